"""Plots, pictures of results, and mesh files."""
