"""Rendered pictures of hands with all labels."""
