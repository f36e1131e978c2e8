"""Rendered pictures of hands with every label."""
