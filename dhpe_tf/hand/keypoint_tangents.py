"""Derivatives of keypoints by turns of joints and by the shape, in closed form; for solvers of least squares.

In the notation of `keypoint_layer`, y_kj = G'_j (a_kj, m_kj) are the parts of keypoint k and q_b is the posed joint b.

A turn of joint b about w (the posed hand's axes) moves all that hangs from it about q_b. It also changes R_b, and with
it the pose-dependent offsets of the moments a_kj:

  dx_k = w cross sum_j (y_kj - m_kj q_b) + sum_j R'_j da_kj,    the first sum over b and the joints below it.

A change of shape changes the moments and, with J_j the rest joint j, the joints:

  dx_k = sum_j R'_j (da_kj - m_kj dJ_j) + m_kj dq_j,    dq_j = dq_parent + R'_parent (dJ_j - dJ_parent).
"""
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import NUM_SHAPE
from dhpe_tf.hand.moments import Moments

_PARENTS = np.maximum(skeletons.PARENTS, 0)  # the wrist moves as it would under itself


class Posed(NamedTuple):
  """A posed hand.

  Attributes:
    turns: R, the joints' own rotations `[B, 15, 3, 3]`.
    transforms: G' `[B, 16, 3, 4]`.
    joints: q `[B, 16, 3]`.
    parts: y `[B, P, 3]`.
  """

  turns: tf.Tensor
  transforms: tf.Tensor
  joints: tf.Tensor
  parts: tf.Tensor


class KeypointTangents:
  """The derivatives of a model's keypoints by N turns and 10 shape coefficients."""

  def __init__(self, moments: Moments, joints: np.ndarray):
    """Prepares the constants.

    Args:
      moments: of the hand model.
      joints: `[N]` which joint, 1 to 15, each of the turns turns.
    """
    self._moments, self._joints = moments, joints
    ancestors = _ancestors()
    below = ancestors[moments.joints][:, joints]  # 1 where the pair's joint is the turned one or hangs from it, [P, N]
    self._below = np.einsum('pn,pk->nkp', below, moments.sums).reshape(-1, len(moments.joints))
    self._mass_below = np.einsum('pn,pk,p->nk', below, moments.sums, moments.masses)[..., None]
    self._mass_carried = (moments.sums * moments.masses[:, None]).T @ ancestors[moments.joints]  # [21, 16]
    steps = moments.joint_steps  # dJ, [10, 16, 3]
    bones = steps - np.where(np.arange(len(_PARENTS))[:, None] > 0, steps[:, _PARENTS], 0)
    self._bones = bones.transpose(1, 2, 0)  # [16, 3, 10]
    self._shape_steps = moments.blend[:NUM_SHAPE].reshape(NUM_SHAPE, -1, 3) - (
        moments.masses[:, None] * steps[:, moments.joints])
    self._pose_steps = moments.blend[NUM_SHAPE:].reshape(-1, 9, 3 * len(moments.joints))

  def of(self, posed: Posed, axes: tf.Tensor) -> tf.Tensor:
    """The derivatives `[B, N + 10, 21, 3]`, metres a radian and metres a shape coefficient.

    Args:
      posed: the hands.
      axes: `[B, N, 3]` about which axis each turn turns, in the axes of the joint above as at rest.
    """
    dtype = axes.dtype
    above = tf.gather(posed.transforms[..., :3], _PARENTS, axis=1)  # R' of the joint above, [B, 16, 3, 3]
    moments = tf.concat([self._by_turned_offsets(posed, axes), self._by_shape(posed)], axis=1)  # [B, N + 10, P, 3]
    own = tf.gather(posed.transforms[..., :3], self._moments.joints, axis=1)
    moments = tf.einsum('bprc,bdpc->bdpr', own, moments)
    rigid = tf.concat([self._by_levers(posed, above, axes), self._by_bones(above)], axis=1)
    return rigid + tf.matmul(tf.constant(self._moments.sums.T, dtype), moments)

  def _by_levers(self, posed: Posed, above: tf.Tensor, axes: tf.Tensor) -> tf.Tensor:
    """W cross sum (y - m q), `[B, N, 21, 3]`."""
    dtype = axes.dtype
    turns = tf.linalg.matvec(tf.gather(above, self._joints, axis=1), axes)  # w
    levers = tf.reshape(tf.matmul(tf.constant(self._below, dtype), posed.parts),
                        [-1, len(self._joints), skeletons.NUM_KEYPOINTS, 3])
    levers -= tf.constant(self._mass_below, dtype) * tf.gather(posed.joints, self._joints, axis=1)[:, :, None]
    return rotations.cross(turns[:, :, None], levers)

  def _by_bones(self, above: tf.Tensor) -> tf.Tensor:
    """Sum m dq of each shape coefficient, `[B, 10, 21, 3]`."""
    bones = tf.reshape(tf.matmul(above, tf.constant(self._bones, above.dtype)), [-1, len(_PARENTS), 3 * NUM_SHAPE])
    moved = tf.matmul(tf.constant(self._mass_carried, above.dtype), bones)
    return tf.transpose(tf.reshape(moved, [-1, skeletons.NUM_KEYPOINTS, 3, NUM_SHAPE]), [0, 3, 1, 2])

  def _by_shape(self, posed: Posed) -> tf.Tensor:
    """Da - m dJ of each shape coefficient, `[B, 10, P, 3]`."""
    steps = tf.constant(self._shape_steps[None], posed.parts.dtype)
    return tf.tile(steps, [tf.shape(posed.parts)[0], 1, 1, 1])

  def _by_turned_offsets(self, posed: Posed, axes: tf.Tensor) -> tf.Tensor:
    """Da of each turn, `[B, N, P, 3]`."""
    count, pairs = len(self._joints), len(self._moments.joints)
    if not len(self._pose_steps):
      return tf.zeros([tf.shape(axes)[0], count, pairs, 3], axes.dtype)
    turned = rotations.cross(axes[:, :, :, None], tf.gather(posed.turns, self._joints - 1, axis=1), axis=2)  # dR_b
    by_turn = tf.reshape(tf.transpose(turned, [1, 0, 2, 3]), [count, -1, 9])
    steps = tf.matmul(by_turn, tf.constant(self._pose_steps[self._joints - 1], axes.dtype))  # [N, B, 3 P]
    return tf.transpose(tf.reshape(steps, [count, -1, pairs, 3]), [1, 0, 2, 3])


def _ancestors() -> np.ndarray:
  """`[16, 16]`: 1 where the joint of the column is the joint of the row or one above it."""
  table = np.eye(len(skeletons.PARENTS))
  for joint, parent in enumerate(skeletons.PARENTS):
    if parent >= 0:
      table[joint] += table[parent]
  return table
