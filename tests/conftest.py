import dhpe_tf  # noqa: F401  (selects Keras 2 before any test module imports TensorFlow)
