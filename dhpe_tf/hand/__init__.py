"""The hand: its model, layer, skeletons and anatomy."""
