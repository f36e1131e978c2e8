"""Runs methods on records and writes reports of the task's measures; depends on no task."""
