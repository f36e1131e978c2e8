"""Exports methods as SavedModels, and clients and servers for them."""
