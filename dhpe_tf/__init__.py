"""Dense 3D hands from one RGB picture, in TensorFlow and Keras.

An implementation of Baek, Kim and Kim, "Pushing the Envelope for RGB-based Dense 3D Hand Pose Estimation via Neural
Rendering", CVPR 2019. Importing this package selects Keras 2 (the tf-keras package), which all of its code uses.
"""
import os
import sys

__version__ = '0.1.0'


def _select_keras_2() -> None:
  """Makes `tf.keras` the tf-keras package (Keras 2).

  TensorFlow reads TF_USE_LEGACY_KERAS once: version 2.15 when it is imported, later versions when `tf.keras` is first
  used. Without the variable, 2.15 takes the keras package, whose layers do not mix with those of tf-keras although both
  are Keras 2.

  Raises:
    ImportError: TensorFlow was imported earlier and has already chosen another Keras.
  """
  loaded = sys.modules.get('tensorflow')
  chosen = os.environ.get('TF_USE_LEGACY_KERAS')
  os.environ['TF_USE_LEGACY_KERAS'] = '1'
  too_late = loaded is not None and loaded.__version__.startswith('2.15.') and chosen != '1'
  if loaded is not None and (too_late or not loaded.keras.__name__.startswith('tf_keras')):
    raise ImportError(
        'dhpe_tf needs Keras 2, but TensorFlow was imported before it and has already chosen another Keras. '
        'Import dhpe_tf before tensorflow, or set TF_USE_LEGACY_KERAS=1 in the environment.')


_select_keras_2()
