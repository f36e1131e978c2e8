"""Dexter+Object, Sridhar et al. 2016: fingertips of left hands with objects, for evaluation only.

  data/<sequence>/color/Color_0001.bmp, ...; data/<sequence>/annotations/<sequence>3D.txt

A line of the text file is a frame. It holds fields `x, y, z;` of the tips from thumb to little finger, then of the
object, which are not used. Units are millimetres in the frame of the depth camera with x and y negated; z = 32001 marks
a missing tip.
"""
import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from data_tools.readers import base
from dhpe_tf import files
from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

SEQUENCES = ('Grasp1', 'Grasp2', 'Occlusion', 'Rigid', 'Pinch', 'Rotate')
LABELS = ('original', 'corrected')
_PREFIX = {'original': '', 'corrected': 'my_'}
_MISSING_Z = 32001
_TIPS = 5

# Published calibration, pixel centres at whole numbers: camera matrix, and [R | t] from depth to colour camera, mm.
_INTRINSICS = np.array([[587.45209, 0., 325.], [0., 600.67456, 249.], [0., 0., 1.]])
_DEPTH_TO_COLOR = np.array([[.9999, .0034, .0161, 19.0473], [-.0033, 1., -.0079, -1.8514],
                            [-.0162, .0079, .9998, -4.7501]])


class Key(NamedTuple):
  """One picture and its line of labels."""

  sequence: str
  file: str
  line: int


class DexterObjectReader(base.Reader):
  """Reads Dexter+Object.

  Frames without a labelled tip are left out. Papers differ in the number of frames (3,145 and 3,014), so no published
  count is stated here.

  Args:
    root: folder that holds data/, or its parent.
    labels: 'original', or 'corrected': the files `my_<sequence>3D.txt` of a later reimplementation.
  """

  source = 'dexter_object'
  licence = 'Dexter+Object is for research only (MPI Informatik); cite Sridhar et al., ECCV 2016.'
  published_counts: dict[str, int] = {}

  def __init__(self, root: str, labels: str = 'original'):
    self._root = os.path.join(base.find_root(os.fspath(root), 'data', ('dexter+object',)), 'data')
    self._labels = base.check_option('labels', labels, LABELS)
    self._tips = functools.lru_cache(maxsize=None)(self._read_tips)

  @property
  def options(self) -> dict[str, Any]:
    """Which labels are read."""
    return {'labels': self._labels}

  def keys(self, split: str) -> Sequence[Key]:
    """Returns the pictures of all sequences; the i-th picture belongs to the i-th line."""
    if split != 'eval':
      raise UserError(f'--splits={split}: Dexter+Object is for evaluation only, use --splits=eval')
    keys = []
    for sequence in SEQUENCES:
      folder = os.path.join(self._root, sequence, 'color')
      if not os.path.isdir(folder):
        raise UserError(f'{folder}: not found; --input must hold all of {", ".join(SEQUENCES)}')
      pictures = sorted(name for name in os.listdir(folder) if name.lower().endswith('.bmp'))
      keys += [Key(sequence, name, i) for i, name in enumerate(pictures)]
    return keys

  def read(self, split: str, key: Key) -> list[base.Example]:
    """Reads the left hand of a picture; an empty list if no tip is labelled."""
    tips_mm = self._tips(key.sequence)
    if key.line >= len(tips_mm):
      raise UserError(f'{self._path(key.sequence)}: no line {key.line + 1}, which {key.file} needs')
    labelled = tips_mm[key.line, :, 2] != _MISSING_Z
    if not labelled.any():
      return []
    image = image_files.read_image(os.path.join(self._root, key.sequence, 'color', key.file))
    joints_m, valid = np.zeros([21, 3]), np.zeros(21)
    joints_m[list(skeletons.TIPS)] = to_color_camera(tips_mm[key.line]) / 1000
    valid[list(skeletons.TIPS)] = labelled
    intrinsics = base.corner_origin(_INTRINSICS)
    picture = base.Picture(base.encode_png(image), *image.shape[:2])
    return [base.make_example(picture, f'{key.sequence}/{os.path.splitext(key.file)[0]}', 'left', self.source, joints_m,
                              base.project(joints_m, intrinsics), intrinsics, valid=valid, group=key.sequence,
                              place=f'{self._path(key.sequence)}, line {key.line + 1}')]

  def _path(self, sequence: str) -> str:
    """Path of a sequence's label file."""
    return os.path.join(self._root, sequence, 'annotations', f'{_PREFIX[self._labels]}{sequence}3D.txt')

  def _read_tips(self, sequence: str) -> np.ndarray:
    """Reads the tips of a sequence as published, `[frames, 5, 3]` mm."""
    path = self._path(sequence)
    lines = [line for line in files.read_text(path).splitlines() if line.strip()]
    try:
      tips = np.array([[[float(x) for x in field.split(',')] for field in line.split(';')[:_TIPS]] for line in lines])
    except ValueError as error:
      raise UserError(f'{path}: lines of fields "x, y, z;" were expected ({error})') from error
    if tips.shape[1:] != (_TIPS, 3):
      raise UserError(f'{path}: {_TIPS} fields of 3 numbers a line were expected, got {tips.shape[1:]}')
    if not np.isfinite(tips).all():
      raise UserError(f'{path}: a label is not a finite number; download it again')
    return tips


def to_color_camera(tips_mm: np.ndarray) -> np.ndarray:
  """Converts published labels to the frame of the colour camera: P' = R (-x, -y, z) + t.

  Args:
    tips_mm: `[N, 3]` millimetres.

  Returns:
    `[N, 3]` millimetres.
  """
  depth_camera = tips_mm * [-1., -1., 1.]
  return depth_camera @ _DEPTH_TO_COLOR[:, :3].T + _DEPTH_TO_COLOR[:, 3]
