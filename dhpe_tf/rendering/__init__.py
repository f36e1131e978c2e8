"""Rasterizer, silhouettes, shading and texture in plain TensorFlow."""
