"""Bones as anatomy describes them, from 21 joints alone: lengths, the shape of the palm, and the bend of each joint.

After Spurr et al., Weakly Supervised 3D Hand Pose Estimation via Biomechanical Constraints, ECCV 2020. Nothing here
needs a hand model. All lengths are in units of the bone from the wrist to the middle knuckle, so neither the scale nor
the place nor the turn of a hand changes anything. Joints are those of right hands.

With b_i the bone from the wrist to the base of finger i (thumb 0 .. little 4):

  n_i = unit(b_i x b_(i+1)), i = 0 .. 3                   points out of the palm
  e_0 = n_0,  e_i = unit(n_(i-1) + n_i),  e_4 = n_3        the palm's normal at finger i
  curvature_i = (e_(i+1) - e_i) . (b_(i+1) - b_i) / |b_(i+1) - b_i|^2
  spread_i = the angle between b_i and b_(i+1)

At a finger's base a frame stands on the bone before it: z along that bone, p the palm's normal made perpendicular to z,
s = z x p toward the thumb's side. A bone b bends by

  flexion = atan2(b . p, b . z),    abduction = atan2(b . s, sqrt((b . p)^2 + (b . z)^2)),

flexion positive toward the palm, abduction toward the thumb's side. The next joint's frame is this one, turned by the
shortest turn that takes z to b.
"""
from typing import NamedTuple

import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import skeletons

NUM_FINGERS, BENDS_PER_FINGER = len(skeletons.FINGERS), 3
NUM_BENDS = NUM_FINGERS * BENDS_PER_FINGER
# The joint at which each bend happens: thumb1, thumb2, thumb3, index1, ..
BEND_NAMES = tuple(name for name in skeletons.KEYPOINT_NAMES[1:] if not name.endswith('4'))
FLEXION, ABDUCTION = range(2)
_REFERENCE = skeletons.FINGERS.index('middle')
# Squared lengths, in units of the reference bone, below which a bone has no direction: its gradient stays finite.
_LEAST_SQUARE = 1e-10
_LEAST_TURN = 1e-3  # of 1 + cosine: two bones in opposite directions have no shortest turn


class BoneGeometry(NamedTuple):
  """Measures of B hands.

  Attributes:
    lengths: [B, 20], of `skeletons.BONES`.
    curvatures: [B, 4], between neighbouring fingers, one over the unit of length; below 0 where the
      palm is hollow, as in a cupped hand.
    spreads: [B, 4], radians in 0 .. pi.
    bends: [B, 15, 2], flexion and abduction at `BEND_NAMES`, radians.
  """

  lengths: tf.Tensor
  curvatures: tf.Tensor
  spreads: tf.Tensor
  bends: tf.Tensor


def measure(joints: tf.Tensor) -> BoneGeometry:
  """Measures right hands.

  Args:
    joints: [B, 21, 3], float, in any unit, in axes x right, y down, z forward (or any turn of those).

  Returns:
    The measures. Hands with bones of no length give finite numbers with finite gradients, that mean nothing.
  """
  bones = tf.reshape(joints[:, 1:], [-1, NUM_FINGERS, 4, 3])
  bones = bones - tf.concat([tf.tile(joints[:, None, None, 0], [1, NUM_FINGERS, 1, 1]), bones[:, :, :-1]], axis=2)
  reference = bones[:, _REFERENCE, 0]
  bones = bones / _length(reference)[:, None, None, None]
  palm = bones[:, :, 0]
  normals = _palm_normals(palm)
  return BoneGeometry(tf.reshape(_length(bones), [-1, 4 * NUM_FINGERS]), _curvatures(palm, normals),
                      _spreads(palm), _bends(bones, normals))


def _length(vectors: tf.Tensor) -> tf.Tensor:
  """Lengths [...] of vectors [..., 3]; never zero, so that one can divide by them."""
  return tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=-1) + _LEAST_SQUARE)


def _unit(vectors: tf.Tensor) -> tf.Tensor:
  """Vectors [..., 3] of length 1, or shorter where they have no direction."""
  return vectors / _length(vectors)[..., None]


def _dot(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
  """Scalar products [...] of vectors [..., 3]."""
  return tf.reduce_sum(first * second, axis=-1)


def _angle(sine: tf.Tensor, cosine: tf.Tensor) -> tf.Tensor:
  """The angle atan2(sine, cosine) [...]; 0, with a finite gradient, where both are about zero."""
  none = sine ** 2 + cosine ** 2 < _LEAST_SQUARE
  return tf.atan2(tf.where(none, 0., sine), tf.where(none, 1., cosine))


def _palm_normals(palm: tf.Tensor) -> tf.Tensor:
  """The palm's normals e [B, 5, 3] at the bones [B, 5, 3] from the wrist."""
  between = _unit(rotations.cross(palm[:, :-1], palm[:, 1:]))
  inner = _unit(between[:, :-1] + between[:, 1:])
  return tf.concat([between[:, :1], inner, between[:, -1:]], axis=1)


def _curvatures(palm: tf.Tensor, normals: tf.Tensor) -> tf.Tensor:
  """The curvature [B, 4] of the palm between neighbouring fingers."""
  across = palm[:, 1:] - palm[:, :-1]
  return _dot(normals[:, 1:] - normals[:, :-1], across) / (_dot(across, across) + _LEAST_SQUARE)


def _spreads(palm: tf.Tensor) -> tf.Tensor:
  """The angles [B, 4] between neighbouring bones of the palm."""
  return _angle(_length(rotations.cross(palm[:, :-1], palm[:, 1:])), _dot(palm[:, :-1], palm[:, 1:]))


def _bends(bones: tf.Tensor, normals: tf.Tensor) -> tf.Tensor:
  """Flexion and abduction [B, 15, 2] of the bones [B, 5, 4, 3] of fingers about the palm's normals [B, 5, 3]."""
  forward = _unit(bones[:, :, 0])
  palmward = _unit(normals - _dot(normals, forward)[..., None] * forward)
  bends = []
  for number in range(1, 4):
    bone = _unit(bones[:, :, number])
    sideways = rotations.cross(forward, palmward)
    along, down, aside = (_dot(bone, axis) for axis in (forward, palmward, sideways))
    # Never zero: where it would be, at a right angle, the abduction does not depend on it.
    in_plane = tf.sqrt(along ** 2 + down ** 2 + _LEAST_SQUARE)
    bends.append(tf.stack([_angle(down, along), tf.atan2(aside, in_plane)], axis=-1))
    palmward = _turned(palmward, forward, bone)
    forward = bone
  return tf.reshape(tf.stack(bends, axis=2), [-1, NUM_BENDS, 2])


def _turned(vectors: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
  """Vectors [..., 3] after the shortest turn from unit vectors `start` to `end` [..., 3].

  v + w x v + w x (w x v) / (1 + start . end),   w = start x end.
  """
  axis = rotations.cross(start, end)
  once = rotations.cross(axis, vectors)
  return vectors + once + rotations.cross(axis, once) / tf.maximum(1. + _dot(start, end), _LEAST_TURN)[..., None]
