"""Hands without place and size: relative to the root, in units of the bone from the wrist to it."""
from typing import NamedTuple

import tensorflow as tf

from dhpe_tf.hand import skeletons

_ROOT, _WRIST = skeletons.ROOT, skeletons.WRIST
_LEAST_BONE_M = 1e-4


class Canonical(NamedTuple):
  """Hands without place and size.

  Attributes:
    joints: `[B, 21, 3]`, relative to the root, the bone from the wrist to the root of length 1, in the camera's axes;
      zeros where there is no label.
    weights: `[B, 21]`, 1 where there is one.
    bone_m: `[B]`, length of that bone, metres; 1 where it is not known.
    known: `[B]`, 1 where root and wrist are labelled, else 0.
  """

  joints: tf.Tensor
  weights: tf.Tensor
  bone_m: tf.Tensor
  known: tf.Tensor


def canonical(joints_m: tf.Tensor, weights: tf.Tensor) -> Canonical:
  """Takes place and size from hands: (X - X_root) / |X_root - X_wrist|.

  The paper's 3D joints are relative to a root and of scale 1; the scale is that of one bone, since that of the whole
  hand would change with its pose.

  Args:
    joints_m: X `[B, 21, 3]`, metres; those without label may be anything.
    weights: `[B, 21]`, above 0 where there is a label.
  """
  labelled = weights > 0
  safe = tf.where(labelled[..., None] & tf.math.is_finite(joints_m), joints_m, 0.)
  bone = safe[:, _ROOT] - safe[:, _WRIST]
  squared = tf.reduce_sum(tf.square(bone), axis=-1)
  known = labelled[:, _ROOT] & labelled[:, _WRIST] & (squared > _LEAST_BONE_M ** 2)
  bone_m = tf.sqrt(tf.where(known, squared, 1.))
  used = labelled & known[:, None]
  joints = tf.where(used[..., None], (safe - safe[:, _ROOT, None]) / bone_m[:, None, None], 0.)
  return Canonical(joints, tf.cast(used, tf.float32), bone_m, tf.cast(known, tf.float32))


def missized(joints: tf.Tensor) -> tf.Tensor:
  """How far the bone from wrist to root is from 1, `[B]`, for decoded canonical joints `[B, 21, 3]`.

  The limits of bones and joints hold for a hand of any size, so that they do not keep decoded ones from growing.
  """
  squared = tf.reduce_sum(tf.square(joints[:, _ROOT] - joints[:, _WRIST]), axis=-1)
  return tf.abs(tf.sqrt(squared + 1e-10) - 1.)
