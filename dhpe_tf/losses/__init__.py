"""Loss terms, one value per instance."""
