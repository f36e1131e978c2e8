"""Command-line tools that make and inspect records and hand models."""
