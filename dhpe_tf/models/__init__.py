"""Trainable Keras models."""
