"""Methods: ways to answer a task, trained or not (the interface is in methods/method.py)."""
