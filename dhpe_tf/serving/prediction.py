"""A hand in a photograph: crop, model, results in the photograph's pixels, files."""
import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path
from dhpe_tf.geometry import cameras, crops
from dhpe_tf.serving import results
from dhpe_tf.serving.predictor import Predictor
from dhpe_tf.visualization import mesh_files, overlay

SIDES = ('right', 'left')


class Hand(NamedTuple):
  """One hand found.

  Attributes:
    side: 'right' or 'left'.
    box: (left, top, width, height) px.
    crop_image: [S, S, 3] in 0..1, as in the picture.
    vertices_crop: [V, 3] in that crop.
    joints_crop: [21, 2] in that crop.
    faces: [F, 3], outward for this side.
    values: see `results.DOCUMENTED`, without the batch axis.
  """

  side: str
  box: tuple[float, float, float, float]
  crop_image: np.ndarray
  vertices_crop: np.ndarray
  joints_crop: np.ndarray
  faces: np.ndarray
  values: dict[str, np.ndarray]


def predict(predictor: Predictor, picture: np.ndarray, box: Optional[Sequence[float]] = None, side: str = 'right',
            intrinsics: Optional[Sequence[float]] = None, name: str = 'image', view_size: int = 384,
            refine_steps: int = 0, root_depth_m: Optional[float] = None) -> Hand:
  """Finds the hand in a box of a picture.

  Args:
    predictor: the model.
    picture: uint8 [H, W, 3].
    box: (left, top, width, height) px; the crop is the square with the same centre and the longer side. None for the
      whole picture.
    side: 'right' or 'left', in an unmirrored picture.
    intrinsics: (fx, fy, cx, cy) px, or None when not known.
    name: what error messages call the picture.
    view_size: side of `Hand.crop_image` in pixels.
    refine_steps: steps of test-time refinement.
    root_depth_m: depth of the middle knuckle where that is known, with intrinsics.

  Raises:
    UserError: the box lies outside the picture or is empty, or the model cannot be refined.
  """
  box = check_box(box, picture.shape[:2], name)
  crop = crops.crop_from_box(tf.constant([box], tf.float32))
  is_left = tf.constant([side == 'left'])
  batch = tf.constant(picture)[None]
  images = crops.extract(batch, crop, predictor.image_size)
  images = results.mirror_left(images, is_left)
  if refine_steps and predictor.refine is None:
    raise UserError('this model has no refinement; leave out --refine_steps, or export the model again.')
  outputs = predictor.refine(images, refine_steps) if refine_steps else predictor.run(images)
  values = results.in_picture(outputs, crop, is_left)
  if intrinsics is not None:
    fx, fy, cx, cy = intrinsics
    matrix = cameras.make_intrinsics(tf.constant([[fx, fy]], tf.float32), tf.constant([[cx, cy]], tf.float32))
    depth = None if root_depth_m is None else tf.constant([root_depth_m], tf.float32)
    values = results.place(values, crop, matrix, depth)
  depth = outputs['vertices'][..., 2:]
  vertices_crop = tf.concat([crops.to_crop(values['vertices_px'], crop), depth], axis=-1)
  return Hand(side, box, crops.extract(batch, crop, view_size)[0].numpy(), vertices_crop[0].numpy(),
              crops.to_crop(values['joints_2d_px'], crop)[0].numpy(),
              predictor.faces[:, ::-1] if side == 'left' else predictor.faces,
              {key: value[0].numpy() for key, value in values.items()})


def check_box(box: Optional[Sequence[float]], size: tuple[int, int], name: str) -> tuple[float, float, float, float]:
  """The box as floats, or the whole picture of `size` (height, width) for None.

  Raises:
    UserError: it is empty, not finite, or shares no pixel with the picture.
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


def describe(hand: Hand, joint_order: Sequence[str], image: str, size: tuple[int, int]) -> dict[str, Any]:
  """What is written as JSON for a picture.

  Args:
    hand: the hand in it.
    joint_order: names of the 21 keypoints.
    image: the picture's file name.
    size: (height, width) px.
  """
  values = {name: hand.values[name].astype(np.float64).round(6).tolist()
            for name in ('joints_2d_px', 'joints_3d_m', 'vertices_m', 'pose', 'shape', 'camera', 'score')}
  return {'image': image, 'size': list(size), 'joint_order': list(joint_order),
          'hands': [{'side': hand.side, 'box': list(hand.box), **values}]}


def predict_file(predictor: Predictor, path: str, output_dir: str, box: Optional[Sequence[float]] = None,
                 side: str = 'right', intrinsics: Optional[Sequence[float]] = None, refine_steps: int = 0,
                 root_depth_m: Optional[float] = None) -> Hand:
  """Writes `<stem>_overlay.png`, `<stem>.obj` and `<stem>.json` for a picture file; see `predict`.

  Raises:
    UserError: the file is no picture, the box does not fit, or a result cannot be written.
  """
  picture = image_files.read_image(path)
  hand = predict(predictor, picture, box, side, intrinsics, path, refine_steps=refine_steps, root_depth_m=root_depth_m)
  stem = os.path.join(output_dir, os.path.splitext(os.path.basename(path))[0])
  panels = overlay.draw_panels(hand.crop_image, hand.vertices_crop, hand.joints_crop, hand.faces)
  overlay.write_png(f'{stem}_overlay.png', panels)
  mesh_files.write_obj(f'{stem}.obj', hand.values['vertices_m'], hand.faces, f'{side} hand in {os.path.basename(path)}')
  description = describe(hand, predictor.joint_order, os.path.basename(path), picture.shape[:2])
  with atomic_path(f'{stem}.json') as temporary, open(temporary, 'w', encoding='utf-8') as file:
    json.dump(description, file)
  return hand


def list_pictures(path: str) -> list[str]:
  """The picture itself, or those in a folder, by name.

  Raises:
    UserError: nothing is there, or the folder holds no picture.
  """
  if not os.path.exists(path):
    raise UserError(f'{path}: no such file or folder.')
  if not os.path.isdir(path):
    return [path]
  found = [os.path.join(path, name) for name in sorted(os.listdir(path))
           if name.lower().endswith(image_files.EXTENSIONS) and not name.startswith('.')]
  if not found:
    raise UserError(f'{path}: no picture in this folder ({", ".join(image_files.EXTENSIONS)}).')
  return found
