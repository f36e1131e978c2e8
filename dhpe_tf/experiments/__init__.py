"""Many trainings side by side, and tables of what they show."""
