"""Cross-modal variational auto-encoder: pictures, 2D joints and 3D joints share one code."""
