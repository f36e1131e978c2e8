"""What `predict` is asked: the hands of a picture, found, in a given box, or with known joints."""
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf import files
from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError
from dhpe_tf.finding import finder
from dhpe_tf.geometry import crops
from dhpe_tf.tasks.hand import label_lines
from dhpe_tf.tasks.hand.view import MOST_OUTSIDE

WHOLE = 'whole'  # --box=whole takes the whole picture as the box
_MOST_JOINTS_BYTES = 1 << 26  # of --joints, all of which are kept


class Request(NamedTuple):
  """N hands in a picture.

  Attributes:
    picture: uint8 [H, W, 3].
    name: names the picture in errors.
    crop: centre [N, 2] and side [N] of the square to cut out around each hand, px.
    turn: [N] radians by which the content of the (for left hands mirrored) square is turned, see `view.cut`.
    is_left: [N] bool, in the unmirrored picture.
    intrinsics: (fx, fy, cx, cy) px, or None if unknown.
    root_depth_m: depth of the middle MCP in metres, or None if unknown; needs intrinsics.
    joints_px: [N, 21, 2] known 2D joints in pixels of the picture, or None.
    joints_valid: [N, 21], above zero where a joint is known; with joints_px.
    views: what the landmark network has seen in the squares and their mirror images, see `finder.Hands`; or empty.
  """

  picture: np.ndarray
  name: str
  crop: crops.Crop
  turn: tf.Tensor
  is_left: tf.Tensor
  intrinsics: Optional[Sequence[float]] = None
  root_depth_m: Optional[float] = None
  joints_px: Optional[np.ndarray] = None
  joints_valid: Optional[np.ndarray] = None
  views: tuple[finder.Tensors, ...] = ()

  def of(self, rows: Sequence[int]) -> 'Request':
    """The same request for some of its hands, in the order of `rows`, without what is known of their joints."""
    if list(rows) == list(range(len(self.is_left))):
      chosen = self
    else:
      center_px, side_px, turn, is_left = (tf.gather(value, rows) for value in (*self.crop, self.turn, self.is_left))
      chosen = self._replace(crop=crops.Crop(center_px, side_px), turn=turn, is_left=is_left)
    return chosen._replace(joints_px=None, joints_valid=None, views=())


def in_box(picture: np.ndarray, name: str, box: Sequence[float], is_left: bool) -> Request:
  """The request for one hand in a box (left, top, width, height) px; the crop is the square around it, not turned."""
  return Request(picture, name, crops.crop_from_box(tf.constant([box], tf.float32)), tf.zeros([1]),
                 tf.constant([is_left]))


def with_joints(picture: np.ndarray, name: str, box: Optional[Sequence[float]], label: label_lines.Label) -> Request:
  """The request for one hand whose 2D joints are labelled; the box is that around the joints if none is given.

  Raises:
    UserError: there the joints are, by `check_box`, outside the picture or too far apart.
  """
  joints_px, valid = label_lines.joints_2d_px(label)
  is_left = label_lines.side(label) == 'left'
  if box is None:
    crop = crops.crop_from_joints(tf.constant(joints_px[None], tf.float32), tf.constant(valid[None], tf.float32))
    side_px = float(crop.side_px[0])
    check_box((*(crop.center_px[0].numpy() - side_px / 2), side_px, side_px), picture.shape[:2], name)
    request = Request(picture, name, crop, tf.zeros([1]), tf.constant([is_left]))
  else:
    request = in_box(picture, name, box, is_left)
  return request._replace(joints_px=joints_px[None], joints_valid=valid[None])


def found(picture: np.ndarray, name: str, hands: finder.Hands, upright: bool) -> Request:
  """The request for hands that were found.

  Args:
    picture: uint8 [H, W, 3].
    name: names the picture in errors.
    hands: in the picture.
    upright: whether the method sees hands turned to point up; otherwise it sees the square around the landmarks.
  """
  shown = hands if upright else hands.around_landmarks()
  return Request(picture, name, shown.crop, shown.rotation, shown.is_left, views=shown.views)


def read(path: str, options: Any, labels: Mapping[str, label_lines.Label], upright: bool,
         finder_of: Callable[[], finder.HandFinder]) -> Request:
  """Reads a picture and finds its hands, or takes the one in --box or of --joints.

  Args:
    path: the picture.
    options: parsed flags, see `task_flags`.
    labels: by file name, from `read_joints`; empty without --joints.
    upright: whether the method sees hands turned to point up.
    finder_of: gives the hand finder; called where one is needed.

  Raises:
    UserError: the file is no picture, no hand is found, the box does not fit, or its labels are unusable.
  """
  picture, name = image_files.read_image(path), files.printable(path)
  box = box_of(options, picture.shape[:2], name)
  if options.joints:
    label = labels.get(os.path.basename(path))
    if label is None:
      raise UserError(f'{name}: --joints has no line for {os.path.basename(name)}; add one, or leave the picture out.')
    request = with_joints(picture, name, box, label)
  elif box is None:
    request = found(picture, name, _sided(find(picture, name, finder_of()), options.side), upright)
  elif upright:
    hands = finder_of().at(tf.constant(picture), tf.constant(box, tf.float32))
    request = found(picture, name, _sided(hands, options.side), upright)
  else:
    request = in_box(picture, name, box, options.side == 'left')
  return request._replace(intrinsics=numbers(options, 'intrinsics'), root_depth_m=options.root_depth_m)


def _sided(hands: finder.Hands, side: Optional[str]) -> finder.Hands:
  """The hands, all of a given side; None leaves the sides as they were found."""
  return hands if side is None else hands.sided(tf.constant(side == 'left'))


def find(picture: np.ndarray, name: str, hand_finder: finder.HandFinder) -> finder.Hands:
  """Finds the hands of a picture.

  Raises:
    UserError: there is none.
  """
  hands, rejected = hand_finder.find(tf.constant(picture))
  if not len(hands.presence):
    raise UserError(f'{name}: no hand found; the best candidate scored {float(rejected):.2f} of 1, which is not '
                    'enough. If there is one, say where by --box=left,top,width,height.')
  return hands


def read_joints(path: str) -> dict[str, label_lines.Label]:
  """Reads the labels of a .jsonl file by the file name of their picture; raises a UserError for an unusable line."""
  checked = map(label_lines.check, label_lines.read_labels(path, _MOST_JOINTS_BYTES))
  return {os.path.basename(str(label['image'])): label for label in checked}


def numbers(options: Any, flag: str) -> Optional[list[float]]:
  """Returns the four numbers of --box or --intrinsics, or None without the flag; raises a UserError if they are bad."""
  texts = options[flag].value
  if texts is None:
    return None
  try:
    values = [float(text) for text in texts]
  except ValueError:
    values = []
  if len(values) != 4 or not all(map(_is_usable, values)):
    form = {'box': 'left,top,width,height', 'intrinsics': 'fx,fy,cx,cy'}[flag]
    raise UserError(f'--{flag}={",".join(texts)}: it must be four numbers, {form}.')
  return values


def check_options(options: Any) -> None:
  """Checks flags against each other; raises a UserError if they do not fit together."""
  if options.box != [WHOLE]:
    numbers(options, 'box')
  intrinsics = numbers(options, 'intrinsics')
  if intrinsics and min(intrinsics[:2]) <= 0.:
    raise UserError(f'--intrinsics={",".join(options.intrinsics)}: the focal lengths fx and fy must be positive.')
  if options.root_depth_m and not _is_usable(options.root_depth_m):
    raise UserError(f'--root_depth_m={options.root_depth_m}: it must be a number of metres.')
  if options.root_depth_m and not intrinsics:
    raise UserError('--root_depth_m needs --intrinsics: without a camera nothing is placed.')


def _is_usable(value: float) -> bool:
  """Whether a number is finite as float32, in which everything is computed."""
  return abs(value) <= np.finfo(np.float32).max


def box_of(options: Any, size: tuple[int, int], name: str) -> Optional[tuple[float, float, float, float]]:
  """The box of --box in a picture of `size` (height, width), or None without the flag; see `check_box`."""
  if options.box == [WHOLE]:
    return 0., 0., float(size[1]), float(size[0])
  box = numbers(options, 'box')
  return None if box is None else check_box(box, size, name)


def check_box(box: Sequence[float], size: tuple[int, int], name: str) -> tuple[float, float, float, float]:
  """Returns the box as floats.

  Raises:
    UserError: the box is empty, not finite, far too large, or outside the picture of `size` (height, width).
  """
  height, width = size
  left, top, box_width, box_height = (float(value) for value in box)
  if not np.isfinite(box).all() or box_width <= 0. or box_height <= 0.:
    raise UserError(f'{name}: the box {tuple(box)} is empty; it is left, top, width, height in pixels.')
  if max(box_width, box_height) > MOST_OUTSIDE * max(width, height):
    raise UserError(f'{name}: the box {tuple(box)} is more than {MOST_OUTSIDE} times as large as the picture, which is '
                    f'{width} x {height} pixels.')
  if left >= width or top >= height or left + box_width <= 0. or top + box_height <= 0.:
    raise UserError(f'{name}: the box {tuple(box)} lies outside the picture, which is {width} x {height} pixels.')
  return left, top, box_width, box_height
