"""Finds hands in pictures and follows them through videos."""
