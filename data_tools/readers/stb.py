"""STB, the stereo hand pose benchmark of Zhang et al. 2017; the paper calls it SHD.

  images/<sequence>/{BB_left,BB_right,SK_color,SK_depth}_%d.png, numbers from 0 without padding
  labels/<sequence>_BB.mat, <sequence>_SK.mat: handPara [3, 21, frames], millimetres

Sequences are B1 to B6, Counting and Random; B1 is for evaluation. All hands are left hands. Keypoints are the centre of
the palm (the wrist is not labelled), then little finger to thumb, each from base to tip. BB labels are in the frame of
the left camera of the Bumblebee. SK labels are in the frame of the SK's depth camera, although its pictures come from
the colour camera beside it.
"""
import os
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import transform

from data_tools.readers import base, mat_files
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

SEQUENCES = {
    'train': tuple(f'B{k}{kind}' for k in range(2, 7) for kind in ('Counting', 'Random')),
    'eval': ('B1Counting', 'B1Random'),
}
_FRAMES = 1500  # of each sequence
PICTURES = ('bb_left', 'bb_right', 'sk_color')
_FILES = {'bb_left': 'BB_left', 'bb_right': 'BB_right', 'sk_color': 'SK_color'}

# Published calibration, pixel centres at whole numbers.
_BB_INTRINSICS = np.array([[822.79041, 0., 318.47345], [0., 822.79041, 250.31296], [0., 0., 1.]])
_SK_INTRINSICS = np.array([[607.92271, 0., 314.78337], [0., 607.88192, 236.42484], [0., 0., 1.]])
_BASELINE_MM = 120.054
# From the colour to the depth camera of the SK: P_depth = R P_colour + t.
_SK_ROTATION = transform.Rotation.from_rotvec([.00531, -.01196, .00301]).as_matrix()
_SK_TRANSLATION_MM = np.array([-24.0381, -.4563, -1.2326])

# Estimates of the wrist on the line from a knuckle k (a mean of those named) through the palm p: k + factor (p - k).
WRISTS = {
    'wrist_ring': (('ring1',), 2.),  # Zimmermann and Brox 2017, Ge et al. 2019
    'wrist_middle': (('middle1',), 2.2),  # BiHand 2020
    'wrist_mean': (('index1', 'middle1', 'ring1', 'little1'), 2.25),  # BiHand 2020, another version
}
FIRST_KEYPOINTS = ('palm', *WRISTS)


class Key(NamedTuple):
  """One picture: sequence, camera and frame."""

  sequence: str
  picture: str
  frame: int


class StbReader(base.Reader):
  """Reads STB.

  Args:
    root: folder that holds images/ and labels/.
    pictures: of `PICTURES`; each is read with its own labels.
    first_keypoint: 'palm', as labelled and as in the paper; or a key of `WRISTS`, an estimate of the wrist.
  """

  source = 'stb'
  licence = 'STB is for research (Zhang et al.); cite "3D hand pose tracking and estimation using stereo matching".'

  def __init__(self, root: str, pictures: Sequence[str] = ('bb_left', 'bb_right'), first_keypoint: str = 'palm'):
    self._root = base.find_root(os.fspath(root), 'labels', ('STB',))
    if not pictures:
      raise UserError(f'--pictures is empty; name some of {", ".join(PICTURES)}')
    self._pictures = tuple(base.check_option('pictures', picture, PICTURES) for picture in pictures)
    self._first = base.check_option('first_keypoint', first_keypoint, FIRST_KEYPOINTS)
    self._labels: dict[tuple[str, str], np.ndarray] = {}
    self._lock = threading.Lock()

  @property
  def published_counts(self) -> dict[str, int]:
    """The frames of all sequences, once for each kind of picture."""
    return {split: _FRAMES * len(sequences) * len(self._pictures) for split, sequences in SEQUENCES.items()}

  @property
  def options(self) -> dict[str, Any]:
    """Pictures, and the meaning of keypoint 0."""
    return {'pictures': list(self._pictures), 'first_keypoint': self._first}

  def keys(self, split: str) -> Sequence[Key]:
    """Returns the pictures of all labelled frames."""
    base.check_option('splits', split, tuple(SEQUENCES))
    return [Key(sequence, picture, frame) for sequence in SEQUENCES[split] for picture in self._pictures
            for frame in range(len(self._load(sequence, picture)))]

  def read(self, split: str, key: Key) -> list[base.Example]:
    """Reads the left hand of a picture."""
    name = f'{_FILES[key.picture]}_{key.frame}.png'
    picture = base.read_picture(os.path.join(self._root, 'images', key.sequence, name))
    joints_m = self._load(key.sequence, key.picture)[key.frame]
    place = f'{self._path(key.sequence, key.picture)}, frame {key.frame}'
    if not np.isfinite(joints_m).all():
      raise UserError(f'{place}: a label is not a finite number; download it again')
    intrinsics = base.corner_origin(_SK_INTRINSICS if key.picture == 'sk_color' else _BB_INTRINSICS)
    return [base.make_example(picture, f'{key.sequence}/{name[:-4]}', 'left', self.source, joints_m,
                              base.project(joints_m, intrinsics), intrinsics, group=key.sequence, place=place)]

  def _path(self, sequence: str, picture: str) -> str:
    """Path of a sequence's label file for a kind of picture."""
    return os.path.join(self._root, 'labels', f'{sequence}_{_FILES[picture][:2]}.mat')

  def _load(self, sequence: str, picture: str) -> np.ndarray:
    """Returns the joints of a sequence in this package's order and the axes of a picture's camera.

    Args:
      sequence: its name.
      picture: of `PICTURES`.

    Returns:
      `[frames, 21, 3]` metres.
    """
    with self._lock:
      if (sequence, picture) not in self._labels:
        raw_mm = _read_mat(self._path(sequence, picture))
        joints_mm = to_camera(raw_mm.transpose(2, 1, 0), picture)
        self._labels[sequence, picture] = to_keypoints(joints_mm, self._first) / 1000
      return self._labels[sequence, picture]


def to_camera(joints_mm: np.ndarray, picture: str) -> np.ndarray:
  """Converts labels from their published frame to that of a picture's camera.

    bb_right: P - (baseline, 0, 0);    sk_color: R^T (P - t);    bb_left: P.

  Args:
    joints_mm: `[..., 3]` millimetres.
    picture: of `PICTURES`.

  Returns:
    `[..., 3]` millimetres.
  """
  if picture == 'bb_right':
    return joints_mm - [_BASELINE_MM, 0., 0.]
  if picture == 'sk_color':
    return (joints_mm - _SK_TRANSLATION_MM) @ _SK_ROTATION
  return joints_mm


def to_keypoints(joints: np.ndarray, first_keypoint: str) -> np.ndarray:
  """Reorders STB's joints to the order of this package, with the palm or an estimated wrist as keypoint 0.

  Args:
    joints: `[N, 21, 3]` in STB's order.
    first_keypoint: 'palm' or a key of `WRISTS`.

  Returns:
    `[N, 21, 3]`.
  """
  names = skeletons.order_names('stb')
  palm = joints[:, names.index('palm')]
  fingers = [joints[:, names.index(name)] for name in skeletons.KEYPOINT_NAMES[1:]]
  if first_keypoint == 'palm':
    return np.stack([palm, *fingers], axis=1)
  knuckles, factor = WRISTS[first_keypoint]
  knuckle = np.mean([joints[:, names.index(name)] for name in knuckles], axis=0)
  return np.stack([knuckle + factor * (palm - knuckle), *fingers], axis=1)


def _read_mat(path: str) -> np.ndarray:
  """Reads the array handPara `[3, 21, frames]` of a label file, mm; raises a UserError if it is missing or wrong."""
  if not os.path.exists(path):
    raise UserError(f'{path}: not found; --input must hold the labels of all sequences')
  labels = mat_files.read(path, 'handPara')
  if labels.ndim != 3 or labels.shape[:2] != (3, 21):
    raise UserError(f'{path}: handPara must be [3, 21, frames], got {labels.shape}')
  return labels
