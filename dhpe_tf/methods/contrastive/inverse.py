"""Codes read as 2D points, from which the turn and the shift of a view are taken back (PeCLR, Spurr et al. 2021)."""
from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from dhpe_tf.geometry import crops

TURN, SHIFT = 'turn', 'shift'


class Affine(NamedTuple):
  """What two views have that their picture has not.

  Attributes:
    turn: `[2N]` radians by which the content of each view is turned, from +x toward +y (clockwise on the screen).
    shift: `[2N, 2]` by which it is moved after that, in crop units of the view (its side is 2).
  """

  turn: tf.Tensor
  shift: tf.Tensor


def of_pairs(batch: Mapping[str, tf.Tensor]) -> Affine:
  """The affine parameters of the views of a batch, as its entries record them.

  A view shows x = R(turn) (2 / g) (x_px - c), c its centre and g its side. Against the square about the middle c0 of
  both views' centres, whose content is neither turned nor moved, its content is turned by `turn` and moved by

    shift = R(turn) (2 / g) (c0 - c).

  Args:
    batch: of the hand task, rows 2i and 2i + 1 being the two views of a picture: crop_center_px `[2N, 2]`,
      crop_side_px `[2N]` and crop_turn `[2N]`.
  """
  center, turn = batch['crop_center_px'], batch['crop_turn']
  middle = tf.reduce_mean(tf.reshape(center, [-1, 2, 2]), axis=1)
  crop = crops.Crop(center, batch['crop_side_px'])
  return Affine(turn, crops.to_crop(tf.repeat(middle, 2, axis=0)[:, None], crop, turn)[:, 0])


def undone(points: tf.Tensor, affine: Affine, what: tuple[str, ...] = (TURN, SHIFT)) -> tf.Tensor:
  """Moves and turns the points of views back.

  The shift is taken as a share of the view's side, and so of the extent of the points in x and in y, through which no
  gradient goes; the points are then turned about their mean m:

    p' = p - (shift / 2) extent,    p'' = R(-turn) (p' - m) + m.

  Scale is not undone: codes are normalised afterwards, which takes it out.

  Args:
    points: `[2N, K, 2]`, x and y with the senses of crop space (right, down).
    affine: of the views.
    what: 'turn', 'shift', both or none.

  Returns:
    `[2N, K, 2]`.
  """
  if SHIFT in what:
    extent = tf.stop_gradient(tf.reduce_max(points, axis=1) - tf.reduce_min(points, axis=1))
    points = points - (affine.shift / 2 * extent)[:, None]
  if TURN in what:
    mean = tf.reduce_mean(points, axis=1, keepdims=True)
    points = crops.turn(points - mean, -affine.turn) + mean
  return points
