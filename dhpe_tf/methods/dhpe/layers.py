"""Keras layers between the networks: reading heat maps, the starting estimate, and parameters from the regressor."""
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import heatmaps
from dhpe_tf.hand import parameters

_MAX_LOG_SCALE = 3.0


class ReadHeatmaps(tf.keras.layers.Layer):
  """Heat maps [B, S, S, K] -> joints j2D(0) [B, K, 2] in crop space; no gradient passes (paper section 3.1)."""

  def __init__(self, **kwargs):
    super().__init__(dtype='float32', **kwargs)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """The highest points [B, K, 2] of maps [B, S, S, K], found by `heatmaps.decode`."""
    return heatmaps.decode(inputs)[0]


class StartingEstimate(tf.keras.layers.Layer):
  """The regressor's start h(0) [B, 63], the same for each image; features [B, F] only give the batch size."""

  def __init__(self, start: np.ndarray, **kwargs):
    """Stores h(0) in the regressor's form, in which its scale u = log(s / s(0)) is 0.

    Args:
      start: [63] parameters h(0).
      **kwargs: of the Keras layer.
    """
    super().__init__(dtype='float32', **kwargs)
    self._start = np.array(start, np.float32)
    self._start[parameters.SCALE] = 0

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Repeats h(0) for each row of [B, F]: [B, 63]."""
    return tf.tile(self._start[None], [tf.shape(inputs)[0], 1])


class EstimateToParameters(tf.keras.layers.Layer):
  """Turns the accumulated regressor output [B, 63] (log scale) into parameters h [B, 63].

  They differ in the scale: the regressor's entry u stands for the scale

    s = s(0) exp(clip(u, -3, 3)),

  which is never negative, and u is about as large as the other entries.
  """

  def __init__(self, start: np.ndarray, **kwargs):
    """Stores s(0), the unit of the scale, crop units per metre.

    Args:
      start: [63] parameters h(0).
      **kwargs: of the Keras layer.
    """
    super().__init__(dtype='float32', **kwargs)
    self._unit = float(start[parameters.SCALE.start])

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """The parameters h [B, 63]: s = s(0) exp(u), the other entries unchanged."""
    estimate = parameters.split(inputs)
    scale = self._unit * tf.exp(tf.clip_by_value(estimate.scale, -_MAX_LOG_SCALE, _MAX_LOG_SCALE))
    return parameters.join(estimate._replace(scale=scale))

  def invert(self, h: tf.Tensor) -> tf.Tensor:
    """The inverse: the regressor's form [B, 63] of parameters h [B, 63], u = log(s / s(0)); s must be above zero."""
    limit, known = math.exp(_MAX_LOG_SCALE), parameters.split(h)
    entry = tf.math.log(tf.clip_by_value(known.scale / self._unit, 1 / limit, limit))
    return parameters.join(known._replace(scale=entry))


class Flat(tf.keras.layers.Layer):
  """Flattens [B, K, C] to [B, K C], in float32."""

  def __init__(self, **kwargs):
    super().__init__(dtype='float32', **kwargs)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Flattens [B, K, C] to [B, K C]; float32 under any dtype policy, unlike Keras's own layer."""
    return tf.reshape(inputs, [-1, inputs.shape[1] * inputs.shape[2]])


class Stack(tf.keras.layers.Layer):
  """Stacks a list of N tensors [B, K C] to [B, N, K, C]."""

  def __init__(self, shape: Sequence[int], **kwargs):
    super().__init__(dtype='float32', **kwargs)
    self._shape = tuple(shape)

  def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
    """The N tensors [B, K C] along a new axis 1, [B, N, K, C]."""
    return tf.reshape(tf.stack(inputs, axis=1), [-1, len(inputs), *self._shape])
