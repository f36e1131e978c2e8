"""Self-supervised augmentation: new views and shapes of the hands that a model sees (paper section 3.5)."""
