"""Runs many trainings in parallel and tabulates their results."""
