"""Pictures and mesh files."""
