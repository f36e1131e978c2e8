"""Pickles of others read as data, without running what they ask for."""
