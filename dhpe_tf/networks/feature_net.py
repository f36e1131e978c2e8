"""The feature net F: picture [B, S, S, 3] -> features [B, 2048] (paper section 3.1, Eq. 2).

F is a trunk (`backbones`) with the head of this file on its coarsest map `c5`.
"""
import math
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf import errors

FEATURE_SIZE = 2048
_GRID = 4  # cells along a side of the 'grid' pooling


@gin.configurable
def feature_head(levels: dict, pooling: str = 'average', size: int = FEATURE_SIZE,
                 groups: Optional[int] = None) -> tf.keras.Model:
  """Builds the head that turns the trunk's maps into one feature vector.

  Args:
    levels: a trunk's output maps (symbolic), of which `c5` [B, h, w, C] is used.
    pooling: 'average' is the paper's: the mean over the map, followed by a dense layer with ReLU where the trunk does
      not have `size` channels (all but ResNet-50). 'grid' keeps the layout, which suits short trainings: the map is
      resampled to 4x4 cells, reduced to size / 16 channels by a 1x1 convolution with ReLU and flattened.
    size: length of the feature vector.
    groups: groups of channels of a group normalisation without weights (Wu and He, ECCV 2018) before the ReLU, or
      after the plain average; the greatest common divisor with the channels is taken. Each picture then has active
      units in each group, whatever the training does. None leaves it out, as trainings of earlier versions did, whose
      units died one after another.

  Returns:
    A model from the `c5` map to features [B, size], float32.

  Raises:
    UserError: an unknown pooling, or less than one group.
  """
  if groups is not None and groups < 1:
    raise errors.UserError(f'feature_head.groups is {groups}; give a number from 1 on, or None for no normalisation')
  c5 = tf.keras.Input(levels['c5'].shape[1:], name='c5')
  if pooling == 'average':
    features = tf.keras.layers.GlobalAveragePooling2D(name='average')(c5)
    if features.shape[-1] == size:
      features = _normalised(features, groups)
    else:
      widened = tf.keras.layers.Dense(size, use_bias=groups is None, name='widen')(features)
      features = tf.keras.layers.ReLU(name='active')(_normalised(widened, groups))
  elif pooling == 'grid':
    cells = tf.keras.layers.Resizing(_GRID, _GRID, name='cells')(c5)
    mixed = tf.keras.layers.Conv2D(size // _GRID**2, 1, use_bias=groups is None, name='mix')(cells)
    active = tf.keras.layers.ReLU(name='active')(_normalised(mixed, groups))
    features = tf.keras.layers.Flatten(name='flatten')(active)
  else:
    raise errors.UserError(f"feature_head.pooling is {pooling!r}; choose 'average' or 'grid'")
  features = tf.keras.layers.Activation('linear', dtype='float32', name='features')(features)
  return tf.keras.Model(c5, features, name='feature_head')


def _normalised(x: tf.Tensor, groups: Optional[int]) -> tf.Tensor:
  """A map [B, ..., C] with mean 0 and variance 1 in each group of channels of each instance; as it is without groups.

  Without scale and shift to learn, so that no training can drive a whole group below zero.
  """
  if groups is None:
    return x
  return tf.keras.layers.GroupNormalization(
      math.gcd(groups, x.shape[-1]), center=False, scale=False, dtype='float32', name='normalise')(x)
