"""InterHand2.6M, Moon et al. 2020: single and interacting hands in a multi-camera studio.

  annotations/{train,val,test}/InterHand2.6M_{train,val,test}_{data,camera,joint_3d}.json
  images/{train,val,test}/Capture*/...

data holds 'images' and 'annotations' with 'joint_valid' for 42 joints and 'hand_type'. camera holds for each capture
'campos' (mm), 'camrot', 'focal' and 'princpt' by camera. joint_3d holds 'world_coord' [42, 3] (mm) by capture and
frame. The right hand comes first, each finger from tip to base, the wrist last (numbers 20 and 41). A hand whose wrist
is not valid has no usable position and is left out, as in the dataset's own code.
"""
import os
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from data_tools.readers import annotations, base
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

SPLITS = {'train': 'train', 'val': 'val', 'eval': 'test'}
HANDS = ('all', 'single', 'interacting')
_SIDES = ('right', 'left')
_WRIST = skeletons.order_names('interhand').index('wrist')


class Shot(NamedTuple):
  """One picture and its labels.

  Attributes:
    file: relative to the split's folder of images.
    capture: number of the capture.
    camera: name of the camera.
    frame: number of the frame.
    subject: number of the person.
    interacting: whether it shows two interacting hands.
    valid: 42 bytes, 1 for each valid joint.
  """

  file: str
  capture: str
  camera: str
  frame: str
  subject: str
  interacting: bool
  valid: bytes  # of 42 joints, as bytes: there are more than a million pictures


class _Split(NamedTuple):
  """The content of a split's three label files.

  Attributes:
    shots: the pictures, from 'data'.
    cameras: content of 'camera'.
    joints: content of 'joint_3d'.
  """

  shots: list
  cameras: dict
  joints: dict


class InterhandReader(base.Reader):
  """Reads InterHand2.6M; each hand in a picture is an example.

  Args:
    root: folder that holds annotations/ and images/.
    hands: 'all', 'single' (pictures of one hand) or 'interacting' (pictures of two).
  """

  source = 'interhand'
  licence = 'InterHand2.6M is CC BY-NC 4.0 (Meta); cite Moon et al., ECCV 2020.'
  # Papers count pictures, and of several releases; examples here are hands.
  published_counts: dict[str, int] = {}

  def __init__(self, root: str, hands: str = 'all'):
    self._root = base.find_root(os.fspath(root), 'annotations', ('InterHand2.6M',))
    self._hands = base.check_option('hands', hands, HANDS)
    self._splits: dict[str, _Split] = {}
    self._lock = threading.Lock()

  @property
  def options(self) -> dict[str, Any]:
    """Which pictures are read."""
    return {'hands': self._hands}

  def keys(self, split: str) -> Sequence[int]:
    """Returns the numbers of the pictures of the wanted kind in the label file."""
    wanted = {'all': (False, True), 'single': (False,), 'interacting': (True,)}[self._hands]
    return [number for number, shot in enumerate(self._load(split).shots) if shot.interacting in wanted]

  def read(self, split: str, key: int) -> list[base.Example]:
    """Reads the hands of a picture whose wrists are valid.

    World to camera: P = camrot (X - campos) / 1000, metres.
    """
    labels = self._load(split)
    shot = labels.shots[key]
    world_mm, camera = self._lookup(labels, shot, split)
    joints_m = (world_mm - camera['campos']) @ camera['camrot'].T / 1000
    (fx, fy), (cx, cy) = camera['focal'], camera['princpt']
    intrinsics = base.corner_origin(np.array([[fx, 0., cx], [0., fy, cy], [0., 0., 1.]]))
    valid = np.frombuffer(shot.valid, np.uint8).astype(np.float64)
    sides = [side for k, side in enumerate(_SIDES) if valid[21 * k + _WRIST] > 0]
    if not sides:
      return []
    path = os.path.join(self._root, 'images', SPLITS[split], shot.file)
    picture = base.read_picture(path)
    examples = []
    for side in sides:
      chosen = skeletons.permutation('interhand', 'dhpe') + 21 * _SIDES.index(side)
      examples.append(base.make_example(
          picture, f'{SPLITS[split]}/{shot.file}/{side}', side, self.source, joints_m[chosen],
          base.project(joints_m[chosen], intrinsics), intrinsics, valid=valid[chosen],
          group=f'{SPLITS[split]}/subject{shot.subject}', place=self._place(split, 'joint_3d', shot)))
    return examples

  def _load(self, split: str) -> _Split:
    """Returns the labels of a split, which are read once."""
    base.split_folder(SPLITS, split)
    with self._lock:
      if split not in self._splits:
        path = self._path(split, 'data')
        shots = _shots(annotations.read_json(path, dict), path)
        self._splits[split] = _Split(shots, *(annotations.read_json(self._path(split, name), dict)
                                              for name in ('camera', 'joint_3d')))
      return self._splits[split]

  def _path(self, split: str, name: str) -> str:
    """Path of a label file: 'data', 'camera' or 'joint_3d'."""
    folder = SPLITS[split]
    return os.path.join(self._root, 'annotations', folder, f'InterHand2.6M_{folder}_{name}.json')

  def _place(self, split: str, name: str, shot: Shot) -> str:
    """Label file and entry of a picture, for errors."""
    return f'{self._path(split, name)}, capture {shot.capture}, frame {shot.frame}, camera {shot.camera}'

  def _lookup(self, labels: _Split, shot: Shot, split: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns world coordinates `[42, 3]` in mm and the camera of a picture; raises a UserError if one is unusable."""
    place = self._place(split, 'joint_3d', shot)
    joints = annotations.entry(annotations.entry(labels.joints, shot.capture, dict, place), shot.frame, dict, place)
    world_mm = annotations.numbers(joints.get('world_coord'), (42, 3), f'{place}: world_coord')
    place = self._place(split, 'camera', shot)
    cameras = annotations.entry(labels.cameras, shot.capture, dict, place)
    camera = {}
    for name, shape in {'campos': (3,), 'camrot': (3, 3), 'focal': (2,), 'princpt': (2,)}.items():
      by_camera = annotations.entry(cameras, name, dict, place)
      camera[name] = annotations.numbers(by_camera.get(shot.camera), shape, f'{place}: {name}')
    return world_mm, camera


def _shots(data: dict, path: str) -> list[Shot]:
  """Returns the pictures in the order of their annotations; `path` names the file in errors."""
  images = {annotations.name_of(image.get('id'), f'{path}: id of an image'): image
            for image in annotations.objects(data, 'images', path)}
  shots = []
  for number, annotation in enumerate(annotations.objects(data, 'annotations', path)):
    place = f'{path}, annotation {number}'
    image = images.get(annotations.name_of(annotation.get('image_id'), f'{place}: image_id'))
    if image is None:
      raise UserError(f'{place}: no image has its image_id; download the file again')
    valid = annotations.entry(annotation, 'joint_valid', list, place)
    shape = (42, 1) if valid and isinstance(valid[0], list) else (42,)
    valid = annotations.numbers(valid, shape, f'{place}: joint_valid')
    capture, camera, frame = (str(annotations.name_of(image.get(name), f'{place}: {name} of its image'))
                              for name in ('capture', 'camera', 'frame_idx'))
    shots.append(Shot(annotations.entry(image, 'file_name', str, place), capture, camera, frame,
                      str(image.get('subject', capture)),
                      annotations.entry(annotation, 'hand_type', str, place) == 'interacting',
                      (valid > 0).astype(np.uint8).tobytes()))
  return shots
