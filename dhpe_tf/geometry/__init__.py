"""Rotations, cameras, crops, meshes and heat maps."""
