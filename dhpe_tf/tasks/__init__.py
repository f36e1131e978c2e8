"""Tasks: what goes in and what comes out, however it is learnt (tasks/task.py is the interface)."""
