"""Optimisers that solve many independent problems at once inside one graph."""
