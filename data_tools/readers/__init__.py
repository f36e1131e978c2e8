"""Readers of public datasets as they lie on disk: plain iterators of labelled hands, one class a dataset."""
