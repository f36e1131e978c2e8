"""Keras layers between the networks: reading heat maps, the starting estimate, the regressor's sum as parameters."""
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import heatmaps
from dhpe_tf.hand import parameters

_MAX_LOG_SCALE = 3.0


class ReadHeatmaps(tf.keras.layers.Layer):
  """Heat maps [B, S, S, K] -> joints [B, K, 2] in the crop; no gradient passes, as in the paper (section 3.1)."""

  def __init__(self, **kwargs):
    super().__init__(dtype='float32', **kwargs)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """The highest point of each map [B, S, S, K], as `heatmaps.decode` finds it."""
    return heatmaps.decode(inputs)[0]


class StartingEstimate(tf.keras.layers.Layer):
  """The regressor's start, the same for each image: features [B, F] -> [B, 63]."""

  def __init__(self, start: np.ndarray, **kwargs):
    """Stores h(0), its scale as a logarithm.

    Args:
      start: [63] parameters h(0).
      **kwargs: of the Keras layer.
    """
    super().__init__(dtype='float32', **kwargs)
    self._start = np.array(start, np.float32)
    self._start[parameters.SCALE] = 0

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """h(0) for each row of [B, F]."""
    return tf.tile(self._start[None], [tf.shape(inputs)[0], 1])


class EstimateToParameters(tf.keras.layers.Layer):
  """Turns the accumulated regressor output [B, 63] (log scale) into parameters h [B, 63].

  They differ in the scale: the regressor's entry u means h's s = s(0) exp(u), so that a scale is never negative and the
  entry is as small as the others. An absurd u is cut off.
  """

  def __init__(self, start: np.ndarray, **kwargs):
    """Stores the unit of the scale.

    Args:
      start: [63] parameters h(0).
      **kwargs: of the Keras layer.
    """
    super().__init__(dtype='float32', **kwargs)
    self._unit = float(start[parameters.SCALE.start])

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """The parameters: s = s(0) exp(u), the other entries as they are."""
    estimate = parameters.split(inputs)
    scale = self._unit * tf.exp(tf.clip_by_value(estimate.scale, -_MAX_LOG_SCALE, _MAX_LOG_SCALE))
    return parameters.join(estimate._replace(scale=scale))

  def invert(self, h: tf.Tensor) -> tf.Tensor:
    """The regressor's sum [B, 63] that means parameters h [B, 63]; their scale must be above zero."""
    limit, known = math.exp(_MAX_LOG_SCALE), parameters.split(h)
    entry = tf.math.log(tf.clip_by_value(known.scale / self._unit, 1 / limit, limit))
    return parameters.join(known._replace(scale=entry))


class Flat(tf.keras.layers.Layer):
  """[B, K, C] -> [B, K C]."""

  def __init__(self, **kwargs):
    super().__init__(dtype='float32', **kwargs)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Flattens; unlike Keras's own layer it takes any dtype policy as float32."""
    return tf.reshape(inputs, [-1, inputs.shape[1] * inputs.shape[2]])


class Stack(tf.keras.layers.Layer):
  """List of [B, K C] -> [B, N, K, C]."""

  def __init__(self, shape: Sequence[int], **kwargs):
    super().__init__(dtype='float32', **kwargs)
    self._shape = tuple(shape)

  def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
    """A new axis 1 of the N entries."""
    return tf.reshape(tf.stack(inputs, axis=1), [-1, len(inputs), *self._shape])
