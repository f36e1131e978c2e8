"""HO-3D versions 2 and 3, Hampali et al. 2020: right hands that hold objects.

  train/, evaluation/: <sequence>/rgb/%04d.png (version 2) or .jpg (version 3), <sequence>/meta/%04d.pkl
  train.txt, evaluation.txt: a line "<sequence>/<frame>" for each annotated picture
  evaluation_xyz.json: keypoints [21, 3] by line of evaluation.txt, published later

Each pickle holds 'camMat' [3, 3], 'handJoints3D' [21, 3] (in evaluation/ the wrist alone), 'handPose' [48] (global
rotation, then 45 about MANO's flat hand), 'handBeta' [10], in evaluation/ 'handBoundingBox' [4], and entries about the
object, which are not used and may be None. Units are metres in OpenGL axes, y up and z backward. Keypoints are MANO's
16 joints, then the tips from thumb to little finger.
"""
import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from data_tools.readers import annotations, base
from dhpe_tf import files
from dhpe_tf.errors import UserError
from dhpe_tf.hand import restricted_pickle, skeletons

_FOLDERS = {'train': 'train', 'eval': 'evaluation'}
_OPENGL_TO_CAMERA = np.array([1., -1., -1.])
_WRIST = skeletons.order_names('ho3d').index('wrist')
# Largest distance accepted between the wrists of evaluation_xyz.json and of the picture's own file, metres.
_SAME_M = .002
_MOST_LIST_BYTES = 1 << 26
_TIP_VERTICES = 'ho3d'  # of model_files.TIP_VERTICES: the labels' tips are these vertices of MANO


class Key(NamedTuple):
  """One picture and the number of the line that lists it."""

  sequence: str
  frame: str
  line: int


class Ho3dReader(base.Reader):
  """Reads HO-3D.

  Pictures of train/ without hand labels give no example. In evaluation/ only the wrist is labelled unless
  evaluation_xyz.json is present.

  Args:
    root: folder that holds train/, evaluation/ and the lists.
    mano_parameters: whether to write pose and shape as well. They are valid for MANO only, so train on them with that
      hand model.
  """

  source = 'ho3d'
  licence = 'HO-3D is for academic, non-commercial research only (TU Graz); cite Hampali et al., CVPR 2020.'
  published_counts = {'train': 66034, 'eval': 11524}
  published_counts_v3 = {'train': 83325, 'eval': 20137}

  def __init__(self, root: str, mano_parameters: bool = False):
    self._root = base.find_root(os.fspath(root), 'train.txt', ('HO3D_v2', 'HO3D_v3', 'HO-3D_v2', 'HO-3D_v3'))
    self._mano_parameters = mano_parameters
    self._all_keypoints = functools.lru_cache(maxsize=None)(self._read_all_keypoints)
    self._extension = self._find_extension()
    if self._extension == '.jpg':
      self.published_counts = self.published_counts_v3

  @property
  def options(self) -> dict[str, Any]:
    """Version, whose parameters are written, which vertices are the tips, whether evaluation keypoints are there."""
    return {'version': 2 if self._extension == '.png' else 3,
            'parameters': 'MANO, about the flat hand' if self._mano_parameters else 'none',
            'tip_vertices': _TIP_VERTICES,
            'evaluation_keypoints': os.path.exists(self._keypoint_file())}

  def keys(self, split: str) -> Sequence[Key]:
    """Returns the pictures in the split's list."""
    path = os.path.join(self._root, f'{base.split_folder(_FOLDERS, split)}.txt')
    text = files.read_text(path, _MOST_LIST_BYTES, 'it comes with HO-3D')
    lines = [line.strip() for line in text.split('\n') if line.strip()]
    keys = []
    for number, line in enumerate(lines):
      sequence, separator, frame = line.rpartition('/')
      if not separator:
        raise UserError(f'{path}, line {number + 1}: "<sequence>/<frame>" was expected, got {line!r}')
      keys.append(Key(sequence, frame, number))
    return keys

  def read(self, split: str, key: Key) -> list[base.Example]:
    """Reads the right hand of a picture; an empty list if it is not labelled."""
    folder = os.path.join(self._root, _FOLDERS[split], key.sequence)
    path = os.path.join(folder, 'meta', f'{key.frame}.pkl')
    meta = restricted_pickle.load(path)
    if not isinstance(meta, dict):
      raise UserError(f'{path}: a dictionary was expected; take the file from HO-3D')
    if meta.get('handJoints3D') is None or meta.get('camMat') is None:
      return []
    joints, valid = self._joints(split, key, meta, path)
    intrinsics = base.corner_origin(_numbers(meta, 'camMat', (3, 3), path))
    joints_m = (joints * _OPENGL_TO_CAMERA)[skeletons.permutation('ho3d', 'dhpe')]
    valid = valid[skeletons.permutation('ho3d', 'dhpe')]
    picture = base.read_picture(os.path.join(folder, 'rgb', key.frame + self._extension))
    return [base.make_example(picture, f'{_FOLDERS[split]}/{key.sequence}/{key.frame}', 'right', self.source, joints_m,
                              base.project(joints_m, intrinsics), intrinsics, valid=valid, group=key.sequence,
                              parameters=self._parameters(split, meta, path), box_px=_box(meta, path), place=path)]

  def _joints(self, split: str, key: Key, meta: dict, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns keypoints `[21, 3]` as published, metres, and which of them are labelled `[21]`."""
    if split == 'train':
      return _numbers(meta, 'handJoints3D', (21, 3), path), np.ones(21)
    wrist = _numbers(meta, 'handJoints3D', (3,), path)
    if os.path.exists(self._keypoint_file()):
      keypoints = self._all_keypoints()
      if key.line >= len(keypoints):
        raise UserError(f'{self._keypoint_file()}: {len(keypoints)} entries do not reach line {key.line + 1} of '
                        'evaluation.txt; take both files from the same version of HO-3D')
      if np.linalg.norm(keypoints[key.line, _WRIST] - wrist) > _SAME_M:
        raise UserError(f'{self._keypoint_file()}, entry {key.line}: its wrist is not that of {path}; take both from '
                        'the same version of HO-3D')
      return keypoints[key.line], np.ones(21)
    valid = np.zeros(21)
    valid[_WRIST] = 1
    return np.where(valid[:, None] > 0, wrist, 0.), valid

  def _parameters(self, split: str, meta: dict, path: str) -> Optional[tuple[np.ndarray, np.ndarray]]:
    """Returns pose `[45]` about the flat hand and shape `[10]`, or None if they are not wanted or not published."""
    if not self._mano_parameters or split != 'train':
      return None
    return _numbers(meta, 'handPose', (48,), path)[3:], _numbers(meta, 'handBeta', (10,), path)

  def _find_extension(self) -> str:
    """Returns the pictures' file ending by the first picture: .png in version 2, .jpg in version 3."""
    for key in self.keys('train')[:1]:
      stem = os.path.join(self._root, _FOLDERS['train'], key.sequence, 'rgb', key.frame)
      if os.path.exists(stem + '.jpg'):
        return '.jpg'
    return '.png'

  def _keypoint_file(self) -> str:
    """Path of evaluation_xyz.json."""
    return os.path.join(self._root, 'evaluation_xyz.json')

  def _read_all_keypoints(self) -> np.ndarray:
    """Reads evaluation_xyz.json, `[N, 21, 3]` metres."""
    path = self._keypoint_file()
    found = annotations.read_json(path, list)
    return annotations.numbers(found, (len(found), 21, 3), path)


def _box(meta: dict, path: str) -> Optional[np.ndarray]:
  """Converts the hand's box from (left, top, right, bottom) to (left, top, width, height); None if there is none."""
  if meta.get('handBoundingBox') is None:
    return None
  left, top, right, bottom = _numbers(meta, 'handBoundingBox', (4,), path)
  return np.array([left, top, right - left, bottom - top])


def _numbers(meta: dict, field: str, shape: tuple[int, ...], path: str) -> np.ndarray:
  """Returns a label as an array; raises a UserError unless it is finite and of this shape."""
  return annotations.pickled_numbers(meta.get(field), shape, f'{path}: {field}')
