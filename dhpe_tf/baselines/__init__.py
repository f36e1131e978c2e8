"""What the method is compared with: fitting the hand to 2D evidence by search, and lifting 2D joints to 3D."""
