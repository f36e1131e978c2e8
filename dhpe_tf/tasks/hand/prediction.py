"""Prediction from a picture file: reads the request, makes the method's inputs, writes the results."""
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError
from dhpe_tf.files import check_output
from dhpe_tf.geometry import cameras, crops
from dhpe_tf.tasks.hand import label_lines, results, view
from dhpe_tf.tasks.task import Tensors, write_json
from dhpe_tf.visualization import mesh_files, overlay, pictures

_MASK_SIZE = 32  # side of the empty mask for methods that can use one
_WRITTEN = ('joints_2d_px', 'joints_3d_m', 'vertices_m', 'pose', 'shape', 'camera', 'units_per_metre', 'score')


class Request(NamedTuple):
  """A hand to find in a picture.

  Attributes:
    picture: uint8 [H, W, 3].
    name: names the picture in errors.
    box: (left, top, width, height) px; the crop is the square with the same centre and the longer side.
    side: 'right' or 'left', in an unmirrored picture.
    intrinsics: (fx, fy, cx, cy) px, or None if unknown.
    root_depth_m: depth of the middle MCP in metres, or None if unknown; needs intrinsics.
    joints_px: [21, 2] known 2D joints in pixels of the picture, or None.
    joints_valid: [21], above zero where a joint is known; with joints_px.
  """

  picture: np.ndarray
  name: str
  box: tuple[float, float, float, float]
  side: str = 'right'
  intrinsics: Optional[Sequence[float]] = None
  root_depth_m: Optional[float] = None
  joints_px: Optional[np.ndarray] = None
  joints_valid: Optional[np.ndarray] = None

  @property
  def crop(self) -> crops.Crop:
    """The square to cut out, a batch of one."""
    return crops.crop_from_box(tf.constant([self.box], tf.float32))

  @property
  def is_left(self) -> tf.Tensor:
    """Whether it is a left hand, [1] bool."""
    return tf.constant([self.side == 'left'])


class Hand(NamedTuple):
  """A hand that was found.

  Attributes:
    crop_image: [S, S, 3] in 0..1, not mirrored.
    joints_crop: [21, 2] in that crop.
    vertices_crop: [V, 3] in that crop; None for methods without a mesh.
    faces: [F, 3], outward for this side.
    values: see `results.DOCUMENTED`, without the batch axis.
  """

  crop_image: np.ndarray
  joints_crop: np.ndarray
  vertices_crop: Optional[np.ndarray]
  faces: np.ndarray
  values: dict[str, np.ndarray]


def read_request(path: str, options: Any, labels: Mapping[str, label_lines.Label]) -> Request:
  """Reads a picture file and the flags about the hand in it.

  Args:
    path: the picture.
    options: parsed flags, see `task_flags`.
    labels: by file name, from `read_joints`.

  Raises:
    UserError: the file is no picture, the box does not fit, or its labels are unusable.
  """
  picture = image_files.read_image(path)
  request = Request(picture, path, (0., 0., 0., 0.), options.side, numbers(options, 'intrinsics'), options.root_depth_m)
  box = numbers(options, 'box')
  if options.joints:
    request, box = _with_joints(request, box, labels)
  return request._replace(box=check_box(box, picture.shape[:2], path))


def read_joints(path: str) -> dict[str, label_lines.Label]:
  """Reads the labels of a .jsonl file by the file name of their picture; raises a UserError for an unusable line."""
  checked = [label_lines.check(label) for label in label_lines.read_labels(path)]
  return {os.path.basename(str(label['image'])): label for label in checked}


def _with_joints(request: Request, box: Optional[Sequence[float]],
                 labels: Mapping[str, label_lines.Label]) -> tuple[Request, Optional[Sequence[float]]]:
  """Adds known joints and their side to a request; returns it, and the box around the joints if none was given."""
  name = os.path.basename(request.name)
  if name not in labels:
    raise UserError(f'{request.name}: --joints has no line for {name}; add one, or leave the picture out.')
  joints_px, valid = label_lines.joints_2d_px(labels[name])
  if box is None:
    crop = crops.crop_from_joints(tf.constant(joints_px, tf.float32), tf.constant(valid, tf.float32))
    side = float(crop.side_px)
    box = [*(crop.center_px.numpy() - side / 2), side, side]
  side = label_lines.side(labels[name])
  return request._replace(joints_px=joints_px, joints_valid=valid, side=side), box


def numbers(options: Any, flag: str) -> Optional[list[float]]:
  """Returns the four numbers of --box or --intrinsics, or None without the flag; raises a UserError if they are bad."""
  texts = options[flag].value
  if texts is None:
    return None
  try:
    values = [float(text) for text in texts]
  except ValueError:
    values = []
  if len(values) != 4:
    form = {'box': 'left,top,width,height', 'intrinsics': 'fx,fy,cx,cy'}[flag]
    raise UserError(f'--{flag}={",".join(texts)}: it must be four numbers, {form}.')
  return values


def check_options(options: Any) -> None:
  """Checks flags against each other; raises a UserError if they do not fit together."""
  numbers(options, 'box')
  intrinsics = numbers(options, 'intrinsics')
  if intrinsics and min(intrinsics[:2]) <= 0.:
    raise UserError(f'--intrinsics={",".join(options.intrinsics)}: the focal lengths fx and fy must be positive.')
  if options.root_depth_m and not intrinsics:
    raise UserError('--root_depth_m needs --intrinsics: without a camera nothing is placed.')


def check_box(box: Optional[Sequence[float]], size: tuple[int, int], name: str) -> tuple[float, float, float, float]:
  """Returns the box as floats, or the whole picture of `size` (height, width) for None.

  Raises:
    UserError: the box is empty, not finite, or shares no pixel with the picture.
  """
  height, width = size
  if box is None:
    return 0., 0., float(width), float(height)
  left, top, box_width, box_height = (float(value) for value in box)
  if not np.isfinite(box).all() or box_width <= 0. or box_height <= 0.:
    raise UserError(f'{name}: the box {tuple(box)} is empty; it is left, top, width, height in pixels.')
  if left >= width or top >= height or left + box_width <= 0. or top + box_height <= 0.:
    raise UserError(f'{name}: the box {tuple(box)} lies outside the picture, which is {width} x {height} pixels.')
  return left, top, box_width, box_height


def inputs(request: Request, specs: Mapping[str, tf.TensorSpec]) -> Tensors:
  """Makes the method's inputs, a batch of one, by the names of the batch contract.

  Args:
    request: the hand to find.
    specs: specifications of the inputs that the method takes.

  Raises:
    UserError: the method takes joints and none are known.
  """
  crop, is_left = request.crop, request.is_left
  given = {'mask': tf.zeros([1, _MASK_SIZE, _MASK_SIZE]), 'mask_weight': tf.zeros([1])}
  if 'image' in specs:
    size = specs['image'].shape[1]
    given['image'] = view.cut(tf.constant(request.picture)[None], crop, is_left, size)
  if 'joints_2d' in specs:
    if request.joints_px is None:
      raise UserError('this method takes 2D joints; give them by --joints=labels.jsonl, or a model that finds them by '
                      '--evidence=exported/photographs.')
    joints = crops.to_crop(tf.constant(request.joints_px[None], tf.float32), crop)
    given['joints_2d'] = tf.where(is_left[:, None, None], crops.mirror_points(joints), joints)
    given['joints_2d_weight'] = tf.constant(request.joints_valid[None], tf.float32)
  return {name: given[name] for name in specs}


def to_hand(request: Request, outputs: Tensors, card: Mapping[str, Any], view_size: int = 384) -> Hand:
  """Converts a method's outputs to the hand in the picture and, with intrinsics, in camera space.

  Args:
    request: the hand to find.
    outputs: of the method, a batch of one, with 'score'.
    card: of the task, see `HandTask.describe`.
    view_size: side of `Hand.crop_image`, px.
  """
  crop, is_left = request.crop, request.is_left
  values = results.in_picture(outputs, crop, is_left)
  if request.intrinsics is not None:
    fx, fy, cx, cy = request.intrinsics
    matrix = cameras.make_intrinsics(tf.constant([[fx, fy]], tf.float32), tf.constant([[cx, cy]], tf.float32))
    depth = None if request.root_depth_m is None else tf.constant([request.root_depth_m], tf.float32)
    values = results.place(values, crop, matrix, depth)
  vertices_crop = None
  if 'vertices_px' in values:
    places = crops.to_crop(values['vertices_px'], crop)
    vertices_crop = tf.concat([places, outputs['vertices'][..., 2:]], axis=-1)[0].numpy()
  faces = np.array(card['hand_model']['faces'], np.int32)
  outward = faces[:, ::-1] if request.side == 'left' else faces
  image = crops.extract(tf.constant(request.picture)[None], crop, view_size)[0].numpy()
  joints_crop = crops.to_crop(values['joints_2d_px'], crop)[0].numpy()
  return Hand(image, joints_crop, vertices_crop, outward, {key: value[0].numpy() for key, value in values.items()})


def describe(request: Request, hand: Hand, joint_order: Sequence[str]) -> dict[str, Any]:
  """Returns the JSON content of a picture's result.

  Args:
    request: the hand to find.
    hand: the hand found.
    joint_order: names of the 21 keypoints.
  """
  values = {name: hand.values[name].astype(np.float64).round(6).tolist() for name in _WRITTEN if name in hand.values}
  return {'image': os.path.basename(request.name), 'size': list(request.picture.shape[:2]),
          'joint_order': list(joint_order), 'hands': [{'side': request.side, 'box': list(request.box), **values}]}


def write(request: Request, hand: Hand, stem: str, card: Mapping[str, Any]) -> list[str]:
  """Writes `<stem>_overlay.png`, `<stem>.json` and, if there is a mesh, `<stem>.obj`; returns their paths.

  Raises:
    UserError: a folder is in the place of one of them, and nothing is written; or a file cannot be written.
  """
  picture, mesh, text = f'{stem}_overlay.png', f'{stem}.obj', f'{stem}.json'
  written = [picture, text] if hand.vertices_crop is None else [picture, mesh, text]
  for path in written:
    check_output(path)
  panels = overlay.draw_panels(hand.crop_image, hand.vertices_crop, hand.joints_crop, hand.faces)
  pictures.write_png(picture, panels)
  if mesh in written:
    title = f'{request.side} hand in {os.path.basename(request.name)}'
    mesh_files.write_obj(mesh, hand.values['vertices_m'], hand.faces, title)
  write_json(text, describe(request, hand, card['joint_order']))
  return written
