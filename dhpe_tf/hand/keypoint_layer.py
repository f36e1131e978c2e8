"""Keypoints of a posed hand without its vertices, for code that poses many hands and looks at joints alone.

A keypoint is a weighted mean of skinned vertices, and skinning is linear in the transforms of the joints. In the
notation of `mano_layer`, with the regressor's weights r_ki, keypoint k is

  x_k = sum_i r_ki sum_j w_ij G'_j (t_i, 1) = sum_j G'_j (a_kj, m_kj),
  a_kj = sum_i r_ki w_ij t_i,    m_kj = sum_i r_ki w_ij.

The moments a_kj are linear in shape and pose offsets, as the rest vertices t_i are, and few pairs (k, j) have any: the
built-in hand has 66. So this is exact, and costs a small part of skinning the vertices.
"""
from typing import Any

import numpy as np
import tensorflow as tf

from dhpe_tf.hand.hand_model import NUM_SHAPE, HandModel
from dhpe_tf.hand.keypoint_tangents import KeypointTangents, Posed
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.hand.moments import moments_of


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
    self._moments = moments_of(hand_model) if self._tables.shared_keypoints else None

  def call(self, turns: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Poses the keypoints [B, 21, 3], metres, of rotations [B, 15, 3, 3] and shapes [B, 10]."""
    shape = tf.ensure_shape(shape, [None, NUM_SHAPE])
    offsets = _offsets(turns)
    transforms = self._chain(offsets, self._rest_joints(shape), None)  # G', [B, 16, 3, 4]
    if self._moments is None:
      return self._keypoints(self._skin(transforms, self._rest_vertices(offsets, shape)))
    return self._summed(self._parts(transforms, offsets, shape))

  @property
  def can_linearise(self) -> bool:
    """Whether `linearised` works: whether x, y and z have one keypoint regressor."""
    return self._moments is not None

  def linearised(self, turns: tf.Tensor, shape: tf.Tensor, joints: np.ndarray,
                 axes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Keypoints and their derivatives by N turns of joints and by the shape.

    Args:
      turns: [B, 15, 3, 3], as of the layer.
      shape: [B, 10].
      joints: [N] which joint, 1 to 15, each of the turns turns.
      axes: [B, N, 3] about which axis, in the axes of the joint above as at rest.

    Returns:
      keypoints [B, 21, 3], metres, and derivatives [B, N + 10, 21, 3] by the turns, radians, and by the shape.
    """
    offsets, rest_joints = _offsets(turns), self._rest_joints(shape)
    transforms = self._chain(offsets, rest_joints, None)
    posed_joints = tf.linalg.matvec(transforms[..., :3], rest_joints) + transforms[..., 3]
    parts = self._parts(transforms, offsets, shape)
    tangents = KeypointTangents(self._moments, joints).of(Posed(turns, transforms, posed_joints, parts), axes)
    return self._summed(parts), tangents

  def _parts(self, transforms: tf.Tensor, offsets: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Parts G'_j (a_kj, m_kj) [B, P, 3] of G' [B, 16, 3, 4], R - I [B, 15, 9] and shapes [B, 10]."""
    moments, dtype = self._moments, transforms.dtype
    inputs = shape
    if len(moments.blend) > NUM_SHAPE:
      inputs = tf.concat([shape, tf.reshape(offsets, [-1, 15 * 9])], axis=1)
    points = tf.matmul(inputs, tf.constant(moments.blend, dtype)) + tf.constant(moments.base, dtype)
    points = tf.reshape(points, [-1, len(moments.joints), 3])  # a_kj, [B, P, 3]
    moved = tf.gather(transforms, moments.joints, axis=1)  # [B, P, 3, 4]
    turned = tf.reduce_sum(moved[..., :3] * points[:, :, None], axis=-1)
    return turned + moved[..., 3] * tf.constant(moments.masses[:, None], dtype)

  def _summed(self, parts: tf.Tensor) -> tf.Tensor:
    """Keypoints [B, 21, 3] of their parts [B, P, 3]."""
    return tf.matmul(tf.constant(self._moments.sums.T, parts.dtype), parts)


def _offsets(turns: tf.Tensor) -> tf.Tensor:
  """R - I [B, 15, 9] of rotations [B, 15, 3, 3]."""
  return tf.reshape(turns, [-1, 15, 9]) - tf.constant(np.eye(3).ravel(), turns.dtype)
