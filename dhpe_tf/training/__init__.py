"""The training loop with its settings, checkpoints, schedules and callbacks; it depends on no method."""
