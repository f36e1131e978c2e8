"""Tasks: their inputs, outputs, measures and pictures, independent of the method; tasks/task.py is the interface."""
