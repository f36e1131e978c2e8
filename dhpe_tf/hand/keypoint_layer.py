"""Keypoints of a posed hand without its vertices, for code that poses many hands and looks at joints alone.

A keypoint is a weighted mean of skinned vertices, and skinning is linear in the transforms of the joints. In the
notation of `mano_layer`, with the regressor's weights r_ki, keypoint k is

  x_k = sum_i r_ki sum_j w_ij G'_j (t_i, 1) = sum_j G'_j (a_kj, m_kj),
  a_kj = sum_i r_ki w_ij t_i,    m_kj = sum_i r_ki w_ij.

The moments a_kj are linear in shape and pose offsets, as the rest vertices t_i are, and few pairs (k, j) have any: the
built-in hand has 66. So this is exact, and costs a small part of skinning the vertices.
"""
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from dhpe_tf.hand.hand_model import NUM_SHAPE, HandModel
from dhpe_tf.hand.mano_layer import ManoLayer


class _Moments:
  """The constants of a model's moments; P pairs (k, j) of a keypoint and a joint that moves some of its vertices.

  joints [P]: j of each pair. sums [P, 21]: 1 where the pair belongs to the keypoint. masses [P]: m_kj. base [3 P]: a_kj
  of the rest hand. blend [10 + 135, 3 P]: their change by shape and pose offsets ([10, 3 P] if poses have none).
  """

  def __init__(self, model: HandModel):
    regressor = model.keypoint_regressor[0]
    keypoints, self.joints = np.nonzero(np.abs(regressor) @ model.weights)
    shares = regressor[keypoints] * model.weights[:, self.joints].T  # r_ki w_ij, [P, V]
    directions = model.shapedirs
    if np.any(model.posedirs):
      directions = np.concatenate([directions, model.posedirs], axis=2)
    self.masses = shares.sum(1)
    self.base = (shares @ model.v_template).ravel()
    self.blend = np.einsum('pv,vcd->dpc', shares, directions).reshape(directions.shape[2], -1)
    self.sums = np.eye(len(regressor))[keypoints]


@functools.lru_cache(maxsize=8)
def _moments(model: HandModel) -> _Moments:
  return _Moments(model)


class KeypointLayer(ManoLayer):
  """Rotations of the joints and shape to keypoints; the same keypoints as ManoLayer's.

  `layer(turns, shape)` with turns [B, 15, 3, 3], the rotations of the joints about the flat hand, and shape [B, 10].
  Returns keypoints [B, 21, 3] in the model's own frame, metres.
  """

  def __init__(self, hand_model: HandModel, **kwargs: Any):
    """Prepares the moments.

    Args:
      hand_model: the hand. One with different keypoint regressors for x, y and z works, at the cost of its vertices.
      **kwargs: of the Keras layer.
    """
    super().__init__(hand_model, **kwargs)
    self._moments = _moments(hand_model) if self._tables.shared_keypoints else None

  def call(self, turns: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Poses the keypoints [B, 21, 3], metres, of rotations [B, 15, 3, 3] and shapes [B, 10]."""
    shape = tf.ensure_shape(shape, [None, NUM_SHAPE])
    offsets = tf.reshape(turns, [-1, 15, 9]) - tf.constant(np.eye(3).ravel(), turns.dtype)  # R - I
    transforms = self._chain(offsets, self._rest_joints(shape), None)  # G', [B, 16, 3, 4]
    if self._moments is None:
      return self._keypoints(self._skin(transforms, self._rest_vertices(offsets, shape)))
    return self._by_moments(transforms, offsets, shape)

  def _by_moments(self, transforms: tf.Tensor, offsets: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Keypoints x_k = sum_j G'_j (a_kj, m_kj), [B, 21, 3], of G' [B, 16, 3, 4], R - I [B, 15, 9] and shapes [B, 10]."""
    moments, dtype = self._moments, transforms.dtype
    inputs = shape
    if len(moments.blend) > NUM_SHAPE:
      inputs = tf.concat([shape, tf.reshape(offsets, [-1, 15 * 9])], axis=1)
    points = tf.matmul(inputs, tf.constant(moments.blend, dtype)) + tf.constant(moments.base, dtype)
    points = tf.reshape(points, [-1, len(moments.joints), 3])  # a_kj, [B, P, 3]
    moved = tf.gather(transforms, moments.joints, axis=1)  # [B, P, 3, 4]
    parts = tf.reduce_sum(moved[..., :3] * points[:, :, None], axis=-1)
    parts += moved[..., 3] * tf.constant(moments.masses[:, None], dtype)
    return tf.matmul(tf.constant(moments.sums.T, dtype), parts)
