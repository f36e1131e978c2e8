import dhpe_tf  # noqa: F401  (selects Keras 2, also for what is run as python -m tests...)
