"""How far hands lie outside of what anatomy allows, from their joints alone: losses that need no label.

After Spurr et al., Weakly Supervised 3D Hand Pose Estimation via Biomechanical Constraints, ECCV 2020. Where a picture
has 2D labels only, these losses say which depths are possible.
"""
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.hand import bone_geometry, bone_limits

TERMS = ('bone_lengths', 'palm', 'bends')


class _Polygons(NamedTuple):
  """The polygons of all bends, padded to the same number of corners.

  Attributes:
    corners: [15, M, 2] float32; the last corner is repeated.
    edges: [15, M, 2], from each corner to the next.
    middle: [15, 2].
  """

  corners: tf.Tensor
  edges: tf.Tensor
  middle: tf.Tensor


@gin.configurable(module='losses', denylist=['joints'])
def biomechanics(joints: tf.Tensor, limits_file: str = '', widened: float = 1.,
                 of_other_fingers: bool = False) -> dict[str, tf.Tensor]:
  """The excess of right hands over the limits, 0 for possible ones.

    bone_lengths = mean over 20 bones of I(length)
    palm = mean over 4 of I(curvature) + mean over 4 of I(spread)
    bends = mean over 15 joints of |cos a - cos t| + |sin a - sin t|, summed over flexion and abduction

  I(x) = max(low - x, 0) + max(x - high, 0); a is a joint's (flexion, abduction) and t the nearest point of its polygon,
  a itself inside. t has no gradient.

  Args:
    joints: `[B, 21, 3]`, in any unit, from anywhere; finite.
    limits_file: of `data_tools.estimate_limits`; '' for those of the built-in hand.
    widened: the bounds are so many times as far apart; a control for experiments.
    of_other_fingers: whether each finger has the bounds of another one; likewise.

  Returns:
    Each of `TERMS`, `[B]`.
  """
  limits = bone_limits.load(limits_file)
  limits = limits.of_other_fingers() if of_other_fingers else limits
  limits = limits.widened(widened) if widened != 1. else limits
  found = bone_geometry.measure(joints)
  return {'bone_lengths': _beyond(found.lengths, limits.lengths),
          'palm': _beyond(found.curvatures, limits.curvatures) + _beyond(found.spreads, limits.spreads),
          'bends': _beyond_polygons(found.bends, _padded(limits.polygons))}


@gin.configurable(module='losses', denylist=['joints'])
def biomechanics_loss(joints: tf.Tensor, bone_lengths: float = 0.1, palm: float = 0.1,
                      bends: float = 0.01) -> tf.Tensor:
  """The weighted sum `[B]` of `biomechanics` of joints `[B, 21, 3]`.

  Args:
    joints: as there.
    bone_lengths: weight of that term. The defaults are said to be the paper's, beside 1 for 2D joints and 5 for depths.
    palm: likewise.
    bends: likewise.
  """
  terms = biomechanics(joints)
  return bone_lengths * terms['bone_lengths'] + palm * terms['palm'] + bends * terms['bends']


def _beyond(values: tf.Tensor, bounds: np.ndarray) -> tf.Tensor:
  """The mean excess [B] of values [B, N] over bounds [N, 2]."""
  low, high = tf.unstack(tf.constant(bounds, values.dtype), axis=-1)
  return tf.reduce_mean(tf.nn.relu(low - values) + tf.nn.relu(values - high), axis=1)


def _padded(polygons: list[np.ndarray]) -> _Polygons:
  """Polygons [M_k, 2] as one table."""
  most = max(len(corners) for corners in polygons)
  corners = np.stack([np.concatenate([one, np.repeat(one[-1:], most - len(one), 0)]) for one in polygons])
  middle = np.stack([one.mean(0) for one in polygons])
  return _Polygons(*(tf.constant(value, tf.float32)
                     for value in (corners, np.roll(corners, -1, axis=1) - corners, middle)))


def _beyond_polygons(bends: tf.Tensor, polygons: _Polygons) -> tf.Tensor:
  """The mean excess [B] of bends [B, 15, 2] over their polygons."""
  # Angles are taken within half a turn of the polygon, so that its nearest side is that of the shorter way.
  away = bends - polygons.middle
  angles = polygons.middle + away - 2 * np.pi * tf.stop_gradient(tf.round(away / (2 * np.pi)))
  target = tf.stop_gradient(_nearest(angles, polygons))
  off = tf.abs(tf.cos(angles) - tf.cos(target)) + tf.abs(tf.sin(angles) - tf.sin(target))
  return tf.reduce_mean(tf.reduce_sum(off, axis=-1), axis=1)


def _nearest(points: tf.Tensor, polygons: _Polygons) -> tf.Tensor:
  """The point of each polygon that is nearest to points [B, 15, 2]; these themselves inside."""
  from_corner = points[:, :, None] - polygons.corners
  edges = polygons.edges
  turned = edges[..., 0] * from_corner[..., 1] - edges[..., 1] * from_corner[..., 0]
  inside = tf.reduce_all(turned >= 0., axis=-1)
  share = tf.math.divide_no_nan(tf.reduce_sum(from_corner * edges, axis=-1), tf.reduce_sum(edges * edges, axis=-1))
  feet = polygons.corners + tf.clip_by_value(share, 0., 1.)[..., None] * edges
  apart = tf.reduce_sum(tf.square(points[:, :, None] - feet), axis=-1)
  foot = tf.gather(feet, tf.argmin(apart, axis=-1), axis=2, batch_dims=2)
  return tf.where(inside[..., None], points, foot)
