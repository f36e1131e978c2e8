"""The four axes of the generalisation bench: what of them is for training, what is held out, and how far hands differ.

The HANDS 2019 challenge (Armagan et al., ECCV 2020) measures hands of unseen shape, articulation, viewpoint and object.
It split existing datasets. Here hands are rendered, so the axes are those of the generator and known exactly. Along
each axis a coordinate says to which region a hand belongs: the training region, the held-out region, or the gap
between, which stays empty:

  shape         |beta| of the 10 shape coefficients
  articulation  how much further ring and little finger bend than index and middle finger: the mean flexion of their
                knuckles and middle joints, degrees
  view          how near the direction to the camera, in the hand's frame, is to that of the palm: minus their angle,
                degrees
  object        1 for a kind that is held out, else 0
"""
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import gin
import numpy as np
from scipy import spatial

from dhpe_tf.errors import UserError, naming
from dhpe_tf.geometry import rotations
from dhpe_tf.hand import hand_model, joint_angles, skeletons
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.synthesis import objects

AXES = ('shape', 'articulation', 'view', 'object')
UNITS = {'shape': 'mm', 'articulation': 'degrees', 'view': 'degrees', 'object': 'mm'}
TRAINING, HELD_OUT, BETWEEN = 'training', 'held out', 'between'

_PALM = np.array([0., -1, 0])  # of the built-in hand at rest; its back is +y
_TOWARD_CAMERA = np.array([0., 0, -1])
_BENT, _OTHERS = (('ring', 'little'), ('index', 'middle'))
_AGREE = 1e-4  # records hold float32


class Values(NamedTuple):
  """Where N hands stand on the axes.

  Attributes:
    shape: [N, 10] shape coefficients.
    pose: [N, 45] axis-angle about the flat hand, radians.
    rotation: [N, 4] unit quaternion (w, x, y, z), hand frame to camera axes.
    kind: [N] kinds of objects, of `objects.KINDS`.
    half_sizes_m: [N, 3] of the objects.
  """

  shape: np.ndarray
  pose: np.ndarray
  rotation: np.ndarray
  kind: np.ndarray
  half_sizes_m: np.ndarray

  def take(self, rows: np.ndarray) -> 'Values':
    """The hands of some rows."""
    return Values(*(part[rows] for part in self))


def of_records(records: Mapping[str, np.ndarray]) -> Values:
  """Reads the values from records, fields by name, each [N, ...].

  Raises:
    UserError: a record does not tell them.
  """
  kind = np.array([name.decode() if isinstance(name, bytes) else str(name) for name in records['object/kind']])
  rotation = np.asarray(records['hand/rotation'], np.float64)
  unknown = (np.asarray(records['hand/has_parameters']) <= 0) | (np.abs(rotation).max(1) == 0) | (kind == '')
  if unknown.any():
    raise UserError(f'{_text(records["image/id"][unknown.argmax()])}: the record does not tell pose and shape, '
                    'hand/rotation or object/kind; make the set by data_tools.make_generalisation')
  return Values(np.asarray(records['hand/shape']), np.asarray(records['hand/pose']), rotation, kind,
                np.asarray(records['object/half_sizes_m']))


def joined(parts: list[Values]) -> Values:
  """Concatenates values."""
  return Values(*(np.concatenate(part) for part in zip(*parts)))


class Regions(NamedTuple):
  """Ends of the regions on each axis; a coordinate up to the first is for training, from the second on held out.

  Attributes:
    shape: of the norm of the shape coefficients.
    articulation_deg: of the difference in flexion.
    view_deg: of the angle between camera and palm, so the first is the larger one.
    held_out_kinds: kinds of objects that no training hand meets.
  """

  shape: tuple[float, float]
  articulation_deg: tuple[float, float]
  view_deg: tuple[float, float]
  held_out_kinds: tuple[str, ...]

  def ends(self, axis: str) -> tuple[float, float]:
    """The last coordinate for training and the first held-out one."""
    return {'shape': self.shape, 'articulation': self.articulation_deg,
            'view': (-self.view_deg[0], -self.view_deg[1]), 'object': (0., 1.)}[axis]

  def of(self, axis: str, values: Values) -> np.ndarray:
    """The region [N] of each hand on an axis: `TRAINING`, `HELD_OUT` or `BETWEEN`."""
    coordinate, (last, first) = self.coordinate(axis, values), self.ends(axis)
    return np.where(coordinate <= last + _AGREE, TRAINING, np.where(coordinate >= first - _AGREE, HELD_OUT, BETWEEN))

  def coordinate(self, axis: str, values: Values) -> np.ndarray:
    """The coordinate [N] of each hand on an axis; see the head of this file."""
    if axis == 'shape':
      return np.linalg.norm(values.shape, axis=1)
    if axis == 'articulation':
      bend = {finger: _flexion_deg(values.pose, finger) for finger in _BENT + _OTHERS}
      return sum(bend[finger] for finger in _BENT) / 2 - sum(bend[finger] for finger in _OTHERS) / 2
    if axis == 'view':
      return -np.rad2deg(np.arccos(np.clip(camera_directions(values.rotation) @ _PALM, -1, 1)))
    return np.isin(values.kind, self.held_out_kinds).astype(float)

  def as_json(self) -> dict[str, Any]:
    """The content for dataset.json."""
    return json.loads(json.dumps(self._asdict()))


@gin.configurable(module='bench')
def regions(shape: tuple = (2.5, 4.), articulation_deg: tuple = (10., 25.), view_deg: tuple = (60., 45.),
            held_out_kinds: tuple = (objects.CYLINDER,)) -> Regions:
  """The regions of a new bench; see `Regions` for the arguments.

  Raises:
    UserError: there is no gap between training and held-out regions, or not all objects can be told apart so.
  """
  pairs = {'shape': shape, 'articulation_deg': articulation_deg, 'view_deg': view_deg}
  for name, ends in pairs.items():
    if len(ends) != 2 or (ends[0] >= ends[1]) != (name == 'view_deg'):
      raise UserError(f'bench.regions.{name} = {ends}: give the end of the training region, then that of the held-out '
                      'one beyond it')
  kinds = set(objects.KINDS) - {objects.NONE}
  if not held_out_kinds or not set(held_out_kinds) < kinds:
    raise UserError(f'bench.regions.held_out_kinds = {held_out_kinds}: name some of {", ".join(sorted(kinds))}, and '
                    'leave one for training')
  return Regions(*(tuple(map(float, ends)) for ends in pairs.values()), tuple(held_out_kinds))


def from_json(content: Any, place: str) -> Regions:
  """The regions that dataset.json names.

  Raises:
    UserError: there are none.
  """
  with naming(f'{place}: no regions of a generalisation bench', 'make it again by data_tools.make_generalisation',
              TypeError, ValueError, KeyError):
    pairs = [tuple(float(end) for end in content[name]) for name in Regions._fields[:3]]
    if any(len(pair) != 2 for pair in pairs):
      raise ValueError('two ends of each region were expected')
    return Regions(*pairs, tuple(str(kind) for kind in content['held_out_kinds']))


def camera_directions(rotation: np.ndarray) -> np.ndarray:
  """The direction [N, 3] to the camera in the frames of hands with rotations [N, 4]: R^T (0, 0, -1)."""
  return np.einsum('nij,i->nj', rotations.quaternion_to_matrix(np.asarray(rotation, np.float64)).numpy(),
                   _TOWARD_CAMERA)


def describe(axis: str, values: Values) -> np.ndarray:
  """Points [N, D] whose distances, in the axis's `UNITS`, tell how much hands differ along it.

  For shape, the lengths of the 20 bones over sqrt(20), so that the distance is their root mean square difference. For
  articulation likewise the flexion of the 15 joints and the abduction of the 5 first ones, for the object its reach
  (`objects.support_m`) in 26 directions. For the view, the direction to the camera; `distances` turns chords into
  angles.
  """
  if axis == 'shape':
    joints = ManoLayer(hand_model.load_hand_model())(
        np.zeros([len(values.shape), hand_model.NUM_POSE], np.float32), values.shape.astype(np.float32))['keypoints']
    parents, children = np.transpose(skeletons.BONES)
    bones = np.linalg.norm(joints.numpy()[:, children] - joints.numpy()[:, parents], axis=-1)
    return 1000 * bones / np.sqrt(bones.shape[1])
  if axis == 'articulation':
    angles = _angles_deg(values.pose)
    turns = np.concatenate([angles[..., joint_angles.FLEXION], angles[:, ::3, joint_angles.ABDUCTION]], axis=1)
    return turns / np.sqrt(turns.shape[1])
  if axis == 'view':
    return camera_directions(values.rotation)
  return 1000 * objects.support_m(values.kind, values.half_sizes_m, _DIRECTIONS) / np.sqrt(len(_DIRECTIONS))


def distances(asked: Values, seen: Values) -> np.ndarray:
  """How far hands are from the nearest training hand along each axis alone.

  Args:
    asked: N hands.
    seen: M training hands.

  Returns:
    [N, 4] in the order of `AXES`, in their `UNITS`.
  """
  result = []
  for axis in AXES:
    nearest = spatial.cKDTree(describe(axis, seen)).query(describe(axis, asked))[0]
    result.append(np.rad2deg(2 * np.arcsin(np.clip(nearest / 2, 0, 1))) if axis == 'view' else nearest)
  return np.stack(result, axis=1)


def _angles_deg(pose: np.ndarray) -> np.ndarray:
  """Joint angles [N, 15, 3] of poses, degrees."""
  return np.rad2deg(joint_angles.pose_to_angles(np.asarray(pose, np.float64), hand_model.load_hand_model()).numpy())


def _flexion_deg(pose: np.ndarray, finger: str) -> np.ndarray:
  """Mean flexion [N] of a finger's knuckle and middle joint, degrees."""
  joints = [joint_angles.joint_number(f'{finger}{number}') for number in (1, 2)]
  return _angles_deg(pose)[:, joints, joint_angles.FLEXION].mean(1)


def _grid_directions() -> np.ndarray:
  """The 26 unit directions [26, 3] to the neighbours of a cell in a grid."""
  steps = np.stack(np.meshgrid(*[[-1., 0, 1]] * 3, indexing='ij'), -1).reshape(-1, 3)
  steps = steps[np.abs(steps).max(1) > 0]
  return steps / np.linalg.norm(steps, axis=1, keepdims=True)


_DIRECTIONS = _grid_directions()


def _text(name: Any) -> str:
  """A name as text."""
  return name.decode(errors='replace') if isinstance(name, bytes) else str(name)
