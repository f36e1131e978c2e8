"""Command-line tools that make and look at records and hand models."""
