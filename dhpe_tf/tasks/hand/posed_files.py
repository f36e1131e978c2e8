"""Hands of pictures as files of their pose: glTF, with a skeleton that can be bent further."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dhpe_tf.errors import UserError
from dhpe_tf.files import PathLike
from dhpe_tf.hand import hand_model as hand_models
from dhpe_tf.tasks.hand import steady
from dhpe_tf.tasks.hand.prediction import Hand
from dhpe_tf.visualization import gltf


class Moment(NamedTuple):
  """A hand at a time: pose [45] and shape [10] of that side's model, camera [8] in metres (`gltf`)."""

  time_s: float
  side: str
  pose: np.ndarray
  shape: np.ndarray
  camera: np.ndarray


def moment(hand: Hand, size: Sequence[int], time_s: float = 0.) -> Moment:
  """Places a hand before a camera whose focal length is the longer side of the picture, with its axis in the middle.

  Args:
    hand: that was found.
    size: (height, width) of the picture in pixels.
    time_s: seconds since the first picture.

  Raises:
    UserError: the method does not say how the hand is posed.
  """
  if 'camera' not in hand.values:
    raise UserError('--gltf needs a method that says how the hand is posed, and its hand model; leave it out.')
  width_height = np.array(size[::-1])
  camera, half_px = hand.values['camera'].astype(np.float64), hand.box[2] / 2
  mirror = -1. if hand.side == 'left' else 1.
  rotation = steady.about_view([-hand.turn], camera[None, :4])[0] * [1, 1, mirror, mirror]
  cos, sin = np.cos(hand.turn), np.sin(hand.turn)
  x, y, z = camera[5:] * half_px
  # The place of the hand's origin in the picture: turned back and mirrored, as in `results.in_picture`.
  place_px = [mirror * (cos * x + sin * y), cos * y - sin * x] + np.array(hand.box[:2]) + half_px - width_height / 2
  place_m = np.append(place_px, max(size) + z) / hand.px_per_metre
  pose = hand.values['pose'] if mirror > 0 else hand_models.mirror_pose(hand.values['pose'])
  return Moment(time_s, hand.side, pose, hand.values['shape'], np.concatenate([rotation, [1.], place_m]))


def write_gltf(path: PathLike, moments: Sequence[Moment], hand_model: hand_models.HandModel) -> None:
  """Writes a hand, or its animation, of its last side and shape.

  Args:
    path: the file, .glb.
    moments: of one hand, in the order of their times; those of another side than the last one's are left out.
    hand_model: that of the method.

  Raises:
    UserError: the file cannot be written.
  """
  last = moments[-1]
  moments = [moment for moment in moments if moment.side == last.side]
  model = hand_model if last.side == hand_model.side else hand_models.mirrored(hand_model)
  gltf.write_gltf(path, model, np.stack([moment.pose for moment in moments]), last.shape,
                  np.stack([moment.camera for moment in moments]), times_s=[moment.time_s for moment in moments])
