"""Methods: ways to answer a task, trained or not (methods/method.py is the interface)."""
