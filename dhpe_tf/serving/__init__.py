"""SavedModel signatures and clients."""
