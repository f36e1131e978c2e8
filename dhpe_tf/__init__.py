"""Dense 3D hands from one RGB picture, in TensorFlow and Keras.

An implementation of Baek, Kim and Kim, "Pushing the Envelope for RGB-based Dense 3D Hand Pose Estimation via Neural
Rendering", CVPR 2019. Importing this package selects Keras 2 (the tf-keras package), on which the whole code rests.
"""
import os
import sys

__version__ = '0.1.0'


def _select_keras_2() -> None:
  """Makes `tf.keras` the tf-keras package; raises if TensorFlow was imported earlier with Keras 3.

  TensorFlow 2.16 and later read TF_USE_LEGACY_KERAS once, when `tf.keras` is first touched, so it must be set first.
  """
  loaded = sys.modules.get('tensorflow')
  os.environ['TF_USE_LEGACY_KERAS'] = '1'
  if loaded is not None and not loaded.keras.__name__.startswith(('tf_keras', 'keras.api._v2')):
    raise ImportError(
        'dhpe_tf needs Keras 2, but TensorFlow was imported before it and has already chosen Keras 3. '
        'Import dhpe_tf before tensorflow, or set TF_USE_LEGACY_KERAS=1 in the environment.')


_select_keras_2()
