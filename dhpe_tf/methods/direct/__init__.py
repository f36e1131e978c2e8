"""Direct regression: one network from the picture to the 3D joints, the plainest baseline."""
