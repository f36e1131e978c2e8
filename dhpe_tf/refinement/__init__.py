"""Refining an estimate at test time by gradients of its own consistency."""
