"""Readers of public datasets as they are published; each class yields the labelled hands of one dataset."""
