"""Turned squares around hands, as the landmark network likes them: fingers up, the hand in the middle half.

Facts from MediaPipe's published graphs of 0.10.21 (palm_detection_detection_to_roi, hand_landmark_landmarks_to_roi).
"""
import math
from typing import NamedTuple

import tensorflow as tf

from dhpe_tf.finding import palms as palms_of
from dhpe_tf.geometry import crops
from dhpe_tf.hand import skeletons

# A palm's region: side over the longer side of its box, and shift toward the fingers over the box's height.
PALM_SCALE, PALM_SHIFT = 2.6, 0.5
# A region of landmarks: the same, for the box of those that move little when the fingers bend.
JOINTS_SCALE, JOINTS_SHIFT = 2.0, 0.1
STEADY = tuple(skeletons.KEYPOINT_NAMES.index(name) for name in (
    'wrist', 'thumb1', 'thumb2', 'thumb3', 'index1', 'index2', 'middle1', 'middle2', 'ring1', 'ring2', 'little1',
    'little2'))
INDEX, MIDDLE, RING = skeletons.KNUCKLES[:3]
LEAST_SIDE_PX = 2.  # of a region, for joints that all coincide


class Regions(NamedTuple):
  """N turned squares of a picture.

  Attributes:
    crop: centre [N, 2] and side [N], px.
    turn: [N] radians by which the content turns (`crops.to_crop`) so that the hand points up; -pi .. pi.
  """

  crop: crops.Crop
  turn: tf.Tensor


def upright_turn(direction: tf.Tensor) -> tf.Tensor:
  """The turn that makes directions [..., 2], x right and y down, point up: [...] radians in [-pi, pi)."""
  # Up is the angle -pi / 2, because y points down.
  turn = -math.pi / 2 - tf.atan2(direction[..., 1], direction[..., 0])
  return tf.math.floormod(turn + math.pi, 2 * math.pi) - math.pi


def from_palms(palms: palms_of.Palms) -> Regions:
  """The regions [N] of palms: the line from the wrist to the middle finger's base points up."""
  points_px = palms.points_px
  turn = upright_turn(points_px[:, palms_of.MIDDLE] - points_px[:, palms_of.WRIST])
  shift = _up(PALM_SHIFT * palms.size_px[:, 1])
  center_px = palms.center_px + _turned(shift, -turn)
  return _regions(center_px, PALM_SCALE * tf.reduce_max(palms.size_px, axis=-1), turn)


def from_joints(joints_px: tf.Tensor) -> Regions:
  """The regions [N] of landmarks [N, 21, 2]: the line from the wrist to the knuckles points up.

    knuckles = ((index + ring) / 2 + middle) / 2

  MediaPipe names these joints PIP, yet its indices count the steady landmarks only, where they are the knuckles (MCP).
  """
  knuckles = ((joints_px[:, INDEX] + joints_px[:, RING]) / 2 + joints_px[:, MIDDLE]) / 2
  turn = upright_turn(knuckles - joints_px[:, skeletons.WRIST])
  turned = crops.turn(tf.gather(joints_px, STEADY, axis=1), turn)
  low, high = tf.reduce_min(turned, axis=1), tf.reduce_max(turned, axis=1)
  size = high - low
  center = (low + high) / 2 + _up(JOINTS_SHIFT * size[:, 1])
  return _regions(_turned(center, -turn), JOINTS_SCALE * tf.reduce_max(size, axis=-1), turn)


def quarter_turns(crop: crops.Crop) -> Regions:
  """One square, centre [2] and side [], in its four turns: [4] regions."""
  turn = tf.constant([0., math.pi / 2, -math.pi, -math.pi / 2])
  return _regions(tf.tile(crop.center_px[None], [4, 1]), tf.fill([4], crop.side_px), turn)


def _regions(center_px: tf.Tensor, side_px: tf.Tensor, turn: tf.Tensor) -> Regions:
  """Regions whose sides are not too small."""
  return Regions(crops.Crop(center_px, tf.maximum(side_px, LEAST_SIDE_PX)), turn)


def _up(length: tf.Tensor) -> tf.Tensor:
  """Vectors [N, 2] of the lengths [N] that point up."""
  return tf.stack([tf.zeros_like(length), -length], axis=-1)


def _turned(vectors: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
  """Turns each of the vectors [N, 2] by its own angle [N]."""
  return crops.turn(vectors[:, None], turn)[:, 0]
