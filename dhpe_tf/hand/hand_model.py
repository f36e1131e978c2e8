"""The hand model: template, shape space, skeleton and skinning weights, as one immutable value.

Every field has MANO's meaning and sizes, so that our own hand (CC0, shipped in assets/) and a user's licensed MANO file
serve alike.
"""
import dataclasses
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import gin
import numpy as np

from dhpe_tf.errors import UserError
from dhpe_tf.geometry import meshes
from dhpe_tf.hand import model_files, skeletons

NUM_JOINTS, NUM_POSE, NUM_SHAPE, NUM_FEATURES = 16, 45, 10, 135
_TOLERANCE = 1e-3
BUILT_IN = os.path.join(os.path.dirname(__file__), 'assets', 'hand_right.npz')


@dataclass(frozen=True, eq=False)
class HandModel:
  """A hand of V vertices, F faces, 16 joints; lengths in metres, angles in radians. Arrays are float64, read-only.

  Attributes:
    name: for results and messages.
    side: 'right' or 'left'.
    v_template: [V, 3] rest vertices.
    faces: [F, 3] int32, counter-clockwise from outside; open at the wrist.
    shapedirs: [V, 3, 10], offsets for a unit of each shape coefficient.
    posedirs: [V, 3, 135], offsets for the entries of R - I of joints 1 to 15.
    joint_regressor: [16, V], rest vertices to rest joints.
    weights: [V, 16] skinning weights; rows sum to one.
    parents: 16 joint numbers, -1 for the wrist (skeletons.PARENTS).
    hands_mean: [45] mean pose, axis-angle about the flat hand.
    hands_components: [45, 45] principal directions of poses, in rows.
    keypoint_regressor: [3, 21, V], posed vertices to keypoints, for x, y and z; rows sum to one.
    path: the file it came from; empty for the built-in hand.
    description: version (MANO's files do not hold theirs: see model_files), licence, choice of keypoints.
    options: the arguments of `load_hand_model` beside path and side that its file was read with.
  """

  name: str
  side: str
  v_template: np.ndarray
  faces: np.ndarray
  shapedirs: np.ndarray
  posedirs: np.ndarray
  joint_regressor: np.ndarray
  weights: np.ndarray
  parents: tuple
  hands_mean: np.ndarray
  hands_components: np.ndarray
  keypoint_regressor: np.ndarray
  path: str = ''
  description: dict = field(default_factory=dict)
  options: dict = field(default_factory=dict)

  def __post_init__(self):
    check(self)
    for name in FIELDS:
      array = np.array(getattr(self, name), np.int32 if name == 'faces' else np.float64)
      if name in ('weights', 'joint_regressor', 'keypoint_regressor'):
        # Files hold them as float32 at best: the rest would show as a drift when the hand is far from the origin.
        array /= array.sum(-1 if name != 'weights' else 1, keepdims=True)
      array.flags.writeable = False
      object.__setattr__(self, name, array)

  @property
  def num_vertices(self) -> int:
    """V, the number of vertices."""
    return len(self.v_template)

  @functools.cached_property
  def closed_faces(self) -> np.ndarray:
    """Faces with a fan over the opening at the wrist, [F + L - 2, 3] int32; silhouettes need a closed mesh."""
    return meshes.cap_boundary(self.faces)

  @functools.cached_property
  def rest_joints(self) -> np.ndarray:
    """Joints [16, 3] of the mean shape at rest, metres."""
    return self.joint_regressor @ self.v_template

  @functools.cached_property
  def rest_keypoints(self) -> np.ndarray:
    """Keypoints [21, 3] of the mean shape at rest, metres."""
    return self.keypoints(self.v_template)

  @functools.cached_property
  def fingerprint(self) -> str:
    """Twelve hexadecimal digits that tell this hand's template, shapes, rig and faces from any other's."""
    return model_files.fingerprint([self.v_template, self.shapedirs, self.posedirs, self.weights, self.faces])

  def keypoints(self, vertices: np.ndarray) -> np.ndarray:
    """Keypoints [..., 21, 3] of posed vertices [..., V, 3]: for each axis c, keypoints_c = regressor_c vertices_c."""
    return np.einsum('ckv,...vc->...kc', self.keypoint_regressor, vertices)


FIELDS = ('v_template', 'faces', 'shapedirs', 'posedirs', 'joint_regressor', 'weights', 'hands_mean',
          'hands_components', 'keypoint_regressor')


def mirrored(model: HandModel) -> HandModel:
  """The same hand of the other side: its image under the reflection M = diag(-1, 1, 1).

  Rotations mirror to M R M, so rotation vectors mirror to (x, -y, -z) (`mirror_pose`) and the entry (i, j) of R - I is
  multiplied by M_ii M_jj. The mirrored model in the mirrored pose has the mirrored vertices.
  """
  x = np.array([-1.0, 1.0, 1.0])
  entries = np.tile(np.outer(x, x).ravel(), NUM_JOINTS - 1)
  return HandModel(
      name=model.name, side='left' if model.side == 'right' else 'right', v_template=model.v_template * x,
      faces=model.faces[:, ::-1], shapedirs=model.shapedirs * x[:, None],
      posedirs=model.posedirs * x[:, None] * entries, joint_regressor=model.joint_regressor, weights=model.weights,
      parents=model.parents, hands_mean=mirror_pose(model.hands_mean),
      hands_components=mirror_pose(model.hands_components), keypoint_regressor=model.keypoint_regressor,
      path=model.path, description=dict(model.description))


def mirror_pose(pose: Any) -> Any:
  """The pose [..., 45] (array or tensor) of the other hand that mirrors this one; its own inverse."""
  return pose * np.tile([1.0, -1.0, -1.0], NUM_POSE // 3).astype(pose.dtype if isinstance(pose, np.ndarray)
                                                                   else pose.dtype.as_numpy_dtype)


def check(model: HandModel) -> None:
  """Checks sizes, numbers, weights and the kinematic tree.

  Raises:
    UserError: a field is wrong; the message names the file, the field, the value expected and the one found.
  """
  where = model.path or model.name
  _check_shapes(model, where)
  for name in FIELDS:
    if not np.isfinite(getattr(model, name)).all():
      raise UserError(f'{where}: field {name} holds NaN or infinite values; the file is damaged, fetch it again')
  faces, count = np.asarray(model.faces), len(model.v_template)
  if faces.min() < 0 or faces.max() >= count:
    raise UserError(f'{where}: field faces names vertices {faces.min()}..{faces.max()}, expected 0..{count - 1}')
  if tuple(model.parents) != skeletons.PARENTS:
    raise UserError(f'{where}: the kinematic tree has parents {list(model.parents)}, expected MANO\'s '
                    f'{list(skeletons.PARENTS)}')
  for name in ('weights', 'joint_regressor', 'keypoint_regressor'):
    sums = np.asarray(getattr(model, name), np.float64).sum(-1)
    if np.abs(sums - 1).max() > _TOLERANCE:
      raise UserError(f'{where}: rows of field {name} must sum to 1, found sums {sums.min():.4g}..{sums.max():.4g}')
  if np.asarray(model.weights).min() < -_TOLERANCE:
    raise UserError(f'{where}: field weights has negative entries, down to {np.asarray(model.weights).min():.4g}')
  if model.side not in ('right', 'left'):
    raise UserError(f"{where}: side must be 'right' or 'left', found {model.side!r}")


def _check_shapes(model: HandModel, where: str) -> None:
  """Checks the arrays' shapes; raises a UserError that names the field, the shape expected and the one found."""
  shape = np.shape(model.v_template)
  if len(shape) != 2 or shape[1] != 3 or not shape[0]:
    raise UserError(f'{where}: field v_template must have shape [V, 3], found {list(shape)}')
  count = shape[0]
  faces = np.shape(model.faces)
  if len(faces) != 2 or faces[1] != 3 or not faces[0]:
    raise UserError(f'{where}: field faces must have shape [F, 3], found {list(faces)}')
  expected = {
      'shapedirs': (count, 3, NUM_SHAPE), 'posedirs': (count, 3, NUM_FEATURES), 'joint_regressor': (NUM_JOINTS, count),
      'weights': (count, NUM_JOINTS), 'hands_mean': (NUM_POSE,), 'hands_components': (NUM_POSE, NUM_POSE),
      'keypoint_regressor': (3, 21, count)}
  for name, wanted in expected.items():
    found = np.shape(getattr(model, name))
    if found != wanted:
      raise UserError(f'{where}: field {name} must have shape {list(wanted)}, found {list(found)}')


@gin.configurable
def load_hand_model(path: Optional[str] = None, side: str = 'right',
                    tip_vertices: Union[str, Sequence[int]] = 'boukhayma',
                    fix_left_shapedirs: Optional[bool] = None) -> HandModel:
  """Loads a hand model.

  Args:
    path: .npz with our or MANO's array names, or MANO_RIGHT.pkl / MANO_LEFT.pkl; the built-in hand if None.
    side: 'right' or 'left'. A file must hold that hand; the built-in one is mirrored.
    tip_vertices: for files without `keypoint_regressor`: a name in model_files.TIP_VERTICES or five vertex numbers,
      thumb to little finger. The other 16 keypoints are then the joint regressor's.
    fix_left_shapedirs: MANO_LEFT.pkl as distributed has the sign of its shape directions' x wrong: its hand grows
      narrower while it grows longer (vchoutas/smplx issue 48). None turns them if they show this, True and False force.

  Returns:
    HandModel.

  Raises:
    UserError: the file is missing, damaged, of another kind or of the other side; the message names file and field.
  """
  if side not in ('right', 'left'):
    raise UserError(f"side must be 'right' or 'left', not {side!r}")
  if path is None:
    return _built_in(side)
  path = os.fspath(path)
  fields = model_files.read_fields(path, tip_vertices)
  tips = tip_vertices if isinstance(tip_vertices, str) else list(tip_vertices)
  model = HandModel(side=side, options={'tip_vertices': tips, 'fix_left_shapedirs': fix_left_shapedirs}, **fields)
  if found_side(model) != side:
    raise UserError(f'{path} holds a {found_side(model)} hand, but side={side!r} was asked for; give the file of that '
                    f'hand or side={found_side(model)!r}')
  if fix_left_shapedirs or (fix_left_shapedirs is None and side == 'left' and shapedirs_x_inverted(model)):
    model = _with_shapedirs_x_inverted(model)
  return model


@functools.cache
def _built_in(side: str) -> HandModel:
  """The hand of assets/ ('right'), or its mirror image ('left')."""
  if side == 'left':
    return mirrored(_built_in('right'))
  model = load_hand_model(BUILT_IN, 'right', fix_left_shapedirs=False)
  return dataclasses.replace(model, path='', options={})


def found_side(model: HandModel) -> str:
  """'right' or 'left' by geometry: the thumb's last joint lies on the palm's side of wrist and knuckles.

  The sign of ((index - wrist) cross (little - wrist)) . (thumb - wrist) decides: positive for a right hand.
  """
  joints = dict(zip(skeletons.MANO_JOINT_NAMES, model.rest_joints))
  wrist, index, little, thumb = (joints[name] for name in ('wrist', 'index1', 'little1', 'thumb3'))
  return 'right' if np.dot(np.cross(index - wrist, little - wrist), thumb - wrist) > 0 else 'left'


def shapedirs_x_inverted(model: HandModel) -> bool:
  """Whether the shape directions shrink the hand in x while they enlarge it in z, or the reverse.

  The strongest directions of a shape space are size. For each direction k, the slope of the offsets over the rest
  coordinates is the rate of growth along an axis c:

    growth_ck = sum_v (T_vc - mean T_c) S_vck / sum_v (T_vc - mean T_c)^2.

  In a sound model growth in x and in z agree in sign: sum_k growth_xk growth_zk >= 0.
  """
  centred = model.v_template - model.v_template.mean(0)
  growth = np.einsum('vc,vck->ck', centred, model.shapedirs) / np.sum(centred ** 2, axis=0)[:, None]
  return bool(np.sum(growth[0] * growth[2]) < 0)


def _with_shapedirs_x_inverted(model: HandModel) -> HandModel:
  """The model with the sign of its shape directions' x changed, and a note of that in its description."""
  description = {**model.description, 'shapedirs': "x turned: the file's sign is wrong (vchoutas/smplx issue 48)"}
  turned = model.shapedirs * np.array([-1.0, 1.0, 1.0])[:, None]
  return dataclasses.replace(model, shapedirs=turned, description=description)
