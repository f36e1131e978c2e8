"""Reading hand model files: our own npz, a MANO pickle as its authors distribute it, an npz with MANO's array names."""
import hashlib
import os
import re
from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from dhpe_tf import plain_arrays
from dhpe_tf.errors import UserError
from dhpe_tf.hand import restricted_pickle, skeletons

# MANO has no fingertip joints; each project picks a vertex. (thumb, index, middle, ring, little), of MANO's 778.
TIP_VERTICES = {
    # boukhayma/3dhand and CY-Jeong/fully-automatic-hand-pose-estimation, the line of work this paper belongs to.
    'boukhayma': (745, 333, 444, 555, 672),
    'manopth': (745, 317, 444, 556, 673),
    'smplx': (744, 320, 443, 554, 671),
    # What the labels of the two datasets have as tips.
    'freihand': (744, 320, 443, 555, 672),
    'ho3d': (744, 333, 444, 555, 672),
}
_SHOWN = 40  # names, and characters of each, that a message lists of a file
_LONGEST_TEXT = 1000
_NAMES = {'v_template': 'v_template', 'faces': 'f', 'shapedirs': 'shapedirs', 'posedirs': 'posedirs',
          'joint_regressor': 'J_regressor', 'weights': 'weights', 'hands_mean': 'hands_mean',
          'hands_components': 'hands_components'}


def read_fields(path: str, tip_vertices: Union[str, Sequence[int]]) -> dict:
  """Reads a hand model file.

  Args:
    path: .npz or .pkl.
    tip_vertices: see load_hand_model.

  Returns:
    The fields of a HandModel by name, except the side; sizes are not checked yet.

  Raises:
    UserError: the file is missing, damaged or of another kind.
  """
  arrays = _read(path)
  fields = {name: _field(arrays, key, path) for name, key in _NAMES.items()}
  if fields['shapedirs'].ndim != 3:
    raise UserError(f'{path}: field shapedirs must have shape [V, 3, 10], found {list(fields["shapedirs"].shape)}')
  fields['shapedirs'] = fields['shapedirs'][..., :10]
  keypoints, choice = _keypoint_regressor(arrays, fields['joint_regressor'], tip_vertices, path)
  texts = {key: arrays[key][:_LONGEST_TEXT] for key in ('licence', 'source', 'version', 'name')
           if isinstance(arrays.get(key), str)}
  description = {key: texts[key] for key in ('licence', 'source') if key in texts}
  description['version'] = texts.get('version') or _version_of_folder(path)
  name = texts.get('name') or os.path.splitext(os.path.basename(path))[0]
  return {**fields, 'name': name, 'parents': _parents(arrays, path), 'keypoint_regressor': keypoints, 'path': path,
          'description': {**description, 'keypoints': choice}}


def fingerprint(fields: Sequence[np.ndarray]) -> str:
  """Twelve hexadecimal digits of the arrays' content (SHA-256 of them as float32, in order).

  MANO's files do not state their version, and models of two versions differ by up to 6 mm (FreiHAND's README): this
  tells two hands apart whatever their files are called. float32, so that a file kept in fewer digits is the same hand.
  """
  digest = hashlib.sha256()
  for array in fields:
    digest.update(np.ascontiguousarray(array, '<f4').tobytes())
  return digest.hexdigest()[:12]


def _version_of_folder(path: str) -> str:
  """The version by the name of the folder that MANO's archives unpack to (`mano_v1_2`), or 'unknown'."""
  found = re.findall(r'mano_v(\d+)_(\d+)', os.path.abspath(path))
  return '.'.join(found[-1]) + ' (by the name of its folder)' if found else 'unknown'


def _read(path: str) -> dict:
  """The arrays of a .npz or the dictionary of a .pkl, by name; a UserError if the file is missing or neither."""
  if not os.path.isfile(path):
    raise UserError(f'hand model file {path} does not exist')
  if path.endswith('.npz'):
    return plain_arrays.read_npz(path)
  if path.endswith('.pkl'):
    loaded = restricted_pickle.load(path)
    if not isinstance(loaded, dict):
      raise UserError(f'{path}: holds a {type(loaded).__name__}, expected the dictionary of a hand model')
    return loaded
  raise UserError(f'{path}: expected a hand model named .npz or .pkl')


def _field(arrays: dict, key: str, path: str) -> np.ndarray:
  """The array of a name in the file, int64 for faces ('f') and float64 else; a UserError if it is missing."""
  if key not in arrays:
    found = ', '.join(sorted(ascii(name)[:_SHOWN].strip('\'') for name in arrays)[:_SHOWN]) or 'nothing'
    raise UserError(f'{path}: no field {key}; found {found}. '
                    'Expected a MANO file (v1.2) or our own')
  try:
    array = restricted_pickle.to_floats(arrays[key])
    return array.astype(np.int64) if key == 'f' else array
  except Exception as error:
    raise UserError(f'{path}: field {key} is not an array of numbers ({error})') from error


def _parents(arrays: dict, path: str) -> tuple:
  """The 16 joints' parents from the file's kintree_table [2, 16], -1 for the wrist."""
  table = _field(arrays, 'kintree_table', path)
  if table.shape != (2, 16):
    raise UserError(f'{path}: field kintree_table must have shape [2, 16], found {list(table.shape)}')
  if not np.isfinite(table).all():
    raise UserError(f'{path}: field kintree_table holds NaN or infinite values; the file is damaged, fetch it again')
  # MANO's root has parent 2^32 - 1, which is -1 read as unsigned.
  return tuple(-1 if parent < 0 or parent >= 2 ** 31 else int(parent) for parent in table[0])


def _keypoint_regressor(arrays: dict, joint_regressor: np.ndarray, tip_vertices: Any,
                        path: str) -> tuple[np.ndarray, str]:
  """The keypoint regressor [3, 21, V] and a description of its source.

  Without one in the file, the 16 joints are the joint regressor's [16, V] and the five tips are single vertices.
  """
  if 'keypoint_regressor' in arrays:
    return _field(arrays, 'keypoint_regressor', path), 'keypoint_regressor of the file'
  tips, choice = tip_vertices, 'joint regressor and tip vertices given by the user'
  if isinstance(tip_vertices, str):
    if tip_vertices not in TIP_VERTICES:
      raise UserError(f'tip_vertices {tip_vertices!r} is unknown; known: {", ".join(TIP_VERTICES)}')
    tips, choice = TIP_VERTICES[tip_vertices], f'joint regressor and tip vertices of {tip_vertices!r}'
  if joint_regressor.ndim != 2 or joint_regressor.shape[0] != 16:
    raise UserError(f'{path}: field J_regressor must have shape [16, V], found {list(joint_regressor.shape)}')
  count = joint_regressor.shape[1]
  if len(tips) != 5 or min(tips) < 0 or max(tips) >= count:
    raise UserError(f'{path}: tip_vertices must be five vertices in 0..{count - 1}, thumb to little finger, found '
                    f'{list(tips)}')
  rows = np.concatenate([joint_regressor, np.zeros([5, count])])
  rows[np.arange(16, 21), list(tips)] = 1
  rows = rows[skeletons.permutation('mano21', 'dhpe')]
  return np.broadcast_to(rows, (3,) + rows.shape), choice
