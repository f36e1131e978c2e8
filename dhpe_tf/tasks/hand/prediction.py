"""Prediction for the hands of a picture: makes the method's inputs, converts its outputs, writes the results."""
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError, naming
from dhpe_tf.files import check_output
from dhpe_tf.geometry import cameras, crops
from dhpe_tf.tasks.hand import results, view
from dhpe_tf.tasks.hand.request import Request
from dhpe_tf.tasks.task import Tensors, write_json
from dhpe_tf.visualization import layers, mesh_files, pictures, scene

_CARD, _EXPORT_AGAIN = 'model_card.json', 'export the model again'
_MASK_SIZE = 32  # side of the empty mask for methods that can use one
# The values of a hand that its entry in a JSON file holds, if it has them.
WRITTEN = ('joints_2d_px', 'joints_3d_m', 'vertices_m', 'pose', 'shape', 'camera', 'units_per_metre', 'score',
           'joint_confidence')

_in_picture = tf.function(results.in_picture, autograph=False, reduce_retracing=True)


class Hand(NamedTuple):
  """A hand that was found.

  Attributes:
    side: 'right' or 'left', in the unmirrored picture.
    box: (left, top, width, height) px of the square around it, before its turn.
    turn: radians by which that square was turned, see `Request.turn`.
    faces: [F, 3], outward for this side; None for methods without a mesh.
    values: see `results.DOCUMENTED`, without the batch axis.
  """

  side: str
  box: tuple[float, float, float, float]
  turn: float
  faces: Optional[np.ndarray]
  values: dict[str, np.ndarray]

  @property
  def px_per_metre(self) -> float:
    """How many pixels of the picture a metre at the hand spans."""
    return float(self.values['units_per_metre']) * self.box[2] / 2


def inputs(request: Request, specs: Mapping[str, tf.TensorSpec]) -> Tensors:
  """Makes the method's inputs, a batch of the request's N hands, by the names of the batch contract.

  Args:
    request: the hands.
    specs: specifications of the inputs that the method takes.

  Raises:
    UserError: the method takes joints and none are known.
  """
  crop, is_left = request.crop, request.is_left
  count = len(is_left)
  given = {'mask': tf.zeros([count, _MASK_SIZE, _MASK_SIZE]), 'mask_weight': tf.zeros([count])}
  if 'image' in specs:
    given['image'] = _cut(tf.constant(request.picture), crop, is_left, request.turn, specs['image'].shape[1])
  if 'joints_2d' in specs:
    if request.joints_px is None:
      raise UserError('this method takes 2D joints; give them by --joints=labels.jsonl, or a model that finds them by '
                      '--evidence=exported/dhpe_hand.')
    joints = crops.to_crop(tf.constant(request.joints_px, tf.float32), crop)
    given['joints_2d'] = tf.where(is_left[:, None, None], crops.mirror_points(joints), joints)
    given['joints_2d_weight'] = given['visibility'] = tf.constant(request.joints_valid, tf.float32)
  if 'intrinsics' in specs:
    given.update(_camera(request))
  return {name: given[name] for name in specs}


def _camera(request: Request) -> Tensors:
  """The camera and the crops of a request, by the names of the batch contract; zeros where no camera is known."""
  count, width = len(request.is_left), float(request.picture.shape[1])
  matrix = np.zeros([count, 3, 3], np.float32)
  if request.intrinsics is not None:
    fx, fy, cx, cy = request.intrinsics
    mirrored = np.where(np.asarray(request.is_left), width - cx, cx)
    matrix[:] = [[fx, 0., 0.], [0., fy, cy], [0., 0., 1.]]
    matrix[:, 0, 2] = mirrored
  center = request.crop.center_px
  center = tf.where(request.is_left[:, None], crops.mirror_points(center, width), center)
  return {'intrinsics': tf.constant(matrix), 'crop_center_px': tf.cast(center, tf.float32),
          'crop_side_px': tf.cast(request.crop.side_px, tf.float32), 'crop_turn': tf.cast(request.turn, tf.float32)}


@functools.partial(tf.function, autograph=False, reduce_retracing=True)
def _cut(picture: tf.Tensor, crop: crops.Crop, is_left: tf.Tensor, turn: tf.Tensor, size: int) -> tf.Tensor:
  """The crops [N, S, S, 3] of a request's hands; in a graph, because the many small steps take long one by one."""
  return view.cut_each(picture, crop, is_left, turn, size)


def to_hands(request: Request, outputs: Tensors, card: Mapping[str, Any]) -> list[Hand]:
  """Converts a method's outputs to the hands in the picture and, with intrinsics, in camera space.

  Args:
    request: the N hands.
    outputs: of the method, a batch of N, with 'score'.
    card: of the task, see `HandTask.describe`.
  """
  crop, count = request.crop, len(request.is_left)
  values = _in_picture(outputs, crop, request.is_left, request.turn)
  if request.intrinsics is not None:
    fx, fy, cx, cy = request.intrinsics
    matrix = cameras.make_intrinsics(tf.constant([[fx, fy]] * count), tf.constant([[cx, cy]] * count))
    depth = None if request.root_depth_m is None else tf.fill([count], request.root_depth_m)
    values = results.place(values, crop, matrix, depth)
  arrays = {name: value.numpy() for name, value in values.items()}
  return [_hand(request, {name: value[number] for name, value in arrays.items()}, number, card)
          for number in range(count)]


def faces_of(card: Mapping[str, Any]) -> np.ndarray:
  """The triangles of the mesh [F, 3], int32; a UserError if a model card holds none, or none of a mesh."""
  with naming(f'{_CARD}: hand_model.faces are no mesh of triangles', _EXPORT_AGAIN, KeyError, TypeError, ValueError,
              OverflowError):
    given = card['hand_model']['faces']
    if isinstance(given, np.ndarray):  # a clip's, checked before its first frame
      return given
    faces = np.array(given, np.int32)
    if faces.ndim != 2 or faces.shape[1] != 3:
      raise ValueError(f'their shape is {faces.shape}')
    layers.closed(faces)  # as drawing does
  return faces


def _joint_order(card: Mapping[str, Any]) -> Any:
  """The names of the joints; a UserError if a model card has none."""
  with naming(_CARD, _EXPORT_AGAIN, KeyError, TypeError):
    names = card['joint_order']
    if not isinstance(names, (list, tuple)):
      raise TypeError('joint_order is no list of names')
  return names


def _hand(request: Request, values: dict[str, np.ndarray], number: int, card: Mapping[str, Any]) -> Hand:
  """Hand `number` of the request."""
  is_left, side_px = bool(request.is_left[number]), float(request.crop.side_px[number])
  left, top = request.crop.center_px[number].numpy() - side_px / 2
  faces = None
  if 'vertices_m' in values:
    faces = faces_of(card)[:, ::-1 if is_left else 1]
  return Hand('left' if is_left else 'right', (float(left), float(top), side_px, side_px), float(request.turn[number]),
              faces, values)


def describe(request: Request, hands: Sequence[Hand], joint_order: Sequence[str]) -> dict[str, Any]:
  """Returns the JSON content of a picture's result.

  Args:
    request: the hands that were looked for.
    hands: those found.
    joint_order: names of the 21 keypoints.
  """
  return {'image': os.path.basename(request.name), 'size': list(request.picture.shape[:2]),
          'joint_order': list(joint_order), 'hands': [describe_hand(hand) for hand in hands]}


def describe_hand(hand: Hand, names: Sequence[str] = WRITTEN) -> dict[str, Any]:
  """Returns the entry of a hand in the JSON content, with those values of `names` that it has."""
  values = {name: hand.values[name].astype(np.float64).round(6).tolist() for name in names if name in hand.values}
  return {'side': hand.side, 'box': [round(value, 3) for value in hand.box], 'turn': round(hand.turn, 6), **values}


def summarise(hands: Sequence[Hand]) -> str:
  """Returns sides and scores of the hands, and how much refinement lowered their misfit."""
  found = ', '.join(f'{hand.side} {float(hand.values["score"]):.2f}' for hand in hands)
  misfits = np.array([hand.values['misfit'] for hand in hands if 'misfit' in hand.values])
  if not len(misfits) or np.all(misfits[:, 0] == misfits[:, 1]):
    return found
  before, after = misfits.mean(0)
  return f'{found}; refinement: misfit {before:.1f} -> {after:.1f}'


def draw(picture: np.ndarray, hands: Sequence[Hand], labels: Optional[Sequence[str]] = None,
         most_points: Optional[int] = None) -> np.ndarray:
  """Draws meshes and skeletons over a picture; where hands overlap, the nearer one covers the other.

  Args:
    picture: uint8 [H, W, 3].
    hands: in it.
    labels: a short text to write above each hand, or None.
    most_points: fewer sample points make it faster and coarser, see `scene.draw_hands`; None for the usual number.
  """
  drawn = [_drawn(hand, picture.shape) for hand in hands]
  if labels is not None:
    drawn = [hand._replace(label=label) for hand, label in zip(drawn, labels)]
  return scene.draw_hands(picture, drawn, most_points=most_points)


def _drawn(hand: Hand, size: tuple[int, ...]) -> scene.DrawnHand:
  """A hand as `scene` draws it.

  Its depth is what a camera whose focal length is the picture's longer side would make of its size.
  """
  if hand.faces is None:
    return scene.DrawnHand(hand.values['joints_2d_px'])
  depth = hand.values['vertices_m'][:, 2]
  depth = depth - depth.mean() + max(size[:2]) / hand.px_per_metre
  return scene.DrawnHand(hand.values['joints_2d_px'], hand.values['vertices_px'], depth, hand.faces, hand.px_per_metre)


def write(request: Request, hands: Sequence[Hand], stem: str, card: Mapping[str, Any],
          with_overlay: bool = True) -> list[str]:
  """Writes `<stem>_overlay.jpg`, `<stem>.json` and the meshes, `<stem>.obj`, `<stem>_2.obj`, ..; returns their paths.

  Raises:
    UserError: a folder is in the place of one of them, and nothing is written; or a file cannot be written.
  """
  drawing, text = f'{stem}_overlay.jpg', f'{stem}.json'
  meshes = {f'{stem}_{number}.obj' if number > 1 else f'{stem}.obj': hand
            for number, hand in enumerate(hands, 1) if hand.faces is not None}
  written = [*([drawing] if with_overlay else []), *meshes, text]
  for path in written:
    check_output(path)
  if with_overlay:
    pictures.write_jpeg(drawing, draw(request.picture, hands))
  for path, hand in meshes.items():
    title = f'{hand.side} hand in {os.path.basename(request.name)}'
    mesh_files.write_obj(path, hand.values['vertices_m'], hand.faces, title)
  write_json(text, describe(request, hands, _joint_order(card)))
  return written
