"""Error measures on NumPy arrays."""
