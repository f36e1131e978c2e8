"""Keras layers between the networks: reading heat maps, starting parameters, posing the hand, drawing its mask."""
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import heatmaps
from dhpe_tf.hand import mano_layer, parameters
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.rendering import crop_view, silhouette

_SCALE = parameters.NUM_PARAMETERS - 4  # the scale's place in h; the translation follows
_MAX_LOG_SCALE = 3.0


class ReadHeatmaps(tf.keras.layers.Layer):
  """Heat maps [B, S, S, K] -> joints [B, K, 2] in the crop; no gradient passes, as in the paper (section 3.1)."""

  def __init__(self, **kwargs):
    super().__init__(dtype='float32', **kwargs)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Finds the joints."""
    return heatmaps.decode(inputs)[0]


class StartingEstimate(tf.keras.layers.Layer):
  """The regressor's start, the same for each image: features [B, F] -> [B, 63]."""

  def __init__(self, start: np.ndarray, **kwargs):
    """Keeps the start.

    Args:
      start: [63] parameters h(0).
      **kwargs: of the Keras layer.
    """
    super().__init__(dtype='float32', **kwargs)
    self._start = np.array(start, np.float32)
    self._start[_SCALE] = 0

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Repeats the vector."""
    return tf.tile(self._start[None], [tf.shape(inputs)[0], 1])


class EstimateToParameters(tf.keras.layers.Layer):
  """What the regressor adds up [B, 63] -> parameters h [B, 63].

  They differ in the scale: the regressor's entry u means h's s = s(0) exp(u), so that a scale is never negative and the
  entry is as small as the others. An absurd u is cut off.
  """

  def __init__(self, start: np.ndarray, **kwargs):
    """Keeps the scale.

    Args:
      start: [63] parameters h(0).
      **kwargs: of the Keras layer.
    """
    super().__init__(dtype='float32', **kwargs)
    self._unit = float(start[_SCALE])

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Converts."""
    scale = self._unit * tf.exp(tf.clip_by_value(inputs[:, _SCALE:_SCALE + 1], -_MAX_LOG_SCALE, _MAX_LOG_SCALE))
    return tf.concat([inputs[:, :_SCALE], scale, inputs[:, _SCALE + 1:]], axis=-1)

  def invert(self, h: tf.Tensor) -> tf.Tensor:
    """The regressor's sum [B, 63] that means parameters h [B, 63]; their scale must be above zero."""
    limit = math.exp(_MAX_LOG_SCALE)
    entry = tf.math.log(tf.clip_by_value(h[:, _SCALE:_SCALE + 1] / self._unit, 1 / limit, limit))
    return tf.concat([h[:, :_SCALE], entry, h[:, _SCALE + 1:]], axis=-1)


class PosedHand(tf.keras.layers.Layer):
  """Parameters h [B, 63] -> the hand in crop space: V = s R(q) LBS(pose, shape) + t (paper section 3.2)."""

  def __init__(self, hand_model: HandModel, **kwargs):
    super().__init__(dtype='float32', **kwargs)
    self._layer = mano_layer.ManoLayer(hand_model)
    self.hand_model = hand_model

  def call(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
    """Poses the hand.

    Returns:
      `pose`, `shape`, `camera`, `vertices`, `joints_2d` and `joints_3d` as in outputs.OUTPUTS.
    """
    split = parameters.split(inputs)
    rotation = tf.math.l2_normalize(split.rotation, axis=-1, epsilon=1e-8)
    camera = split._replace(rotation=rotation).camera
    hand = self._layer(split.pose, split.shape, camera)
    return {'pose': split.pose, 'shape': split.shape, 'camera': camera, 'vertices': hand['vertices'],
            'joints_2d': hand['keypoints'][..., :2], 'joints_3d': hand['keypoints']}


class Silhouette(tf.keras.layers.Layer):
  """Vertices in crop space [B, V, 3] -> mask [B, size, size]."""

  def __init__(self, hand_model: HandModel, size: int, **kwargs):
    super().__init__(dtype='float32', **kwargs)
    self._faces = hand_model.closed_faces
    self._size = size

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Draws the mask."""
    # It chooses its method in Python, which AutoGraph cannot follow.
    draw = tf.autograph.experimental.do_not_convert(silhouette.silhouette)
    return draw(crop_view.crop_to_pixels(inputs[..., :2], self._size), self._faces, (self._size, self._size))


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
    """Stacks."""
    return tf.reshape(tf.stack(inputs, axis=1), [-1, len(inputs), *self._shape])
