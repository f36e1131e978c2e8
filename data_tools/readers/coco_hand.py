"""Hands in COCO's JSON format: OneHand10K and others as MMPose publishes them, and COCO-WholeBody.

  'images': id, file_name, height, width; 'categories': names of the keypoints; 'annotations': image_id and either
  'keypoints' [63] (x, y, v of one hand) or 'lefthand_kpts' and 'righthand_kpts' [63] with 'lefthand_valid' ...

v is 0 where there is no label. Of a hand that has a 2 anywhere, 1 marks a hidden joint, as in COCO; of other hands,
such as OneHand10K's, 1 means visible. COCO-WholeBody's v may be a fraction, how sure its annotation is. Keypoints are
pixel numbers, so 0.5 is added.
Polygons of 'segmentation' are not used as masks, because OneHand10K's are outlines of the boxes.
"""
import os
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from data_tools.readers import annotations, base
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

SIDES = ('right', 'left')
DEFAULT_ORDER = 'dhpe'
MIN_V = .5
_FINGER_NAMES = {'forefinger': 'index', 'indexfinger': 'index', 'middlefinger': 'middle', 'ringfinger': 'ring',
                 'pinkyfinger': 'little', 'pinky': 'little', 'littlefinger': 'little'}


class _Hand(NamedTuple):
  """An annotated hand.

  Attributes:
    number: of the annotation, for names and errors.
    image: the entry of its picture.
    side: 'right', 'left' or None.
    keypoints: `[21, 3]` (x, y, v) in the order of the file.
    box: `[4]` left, top, width, height in pixels, or None.
  """

  number: str
  image: dict
  side: Optional[str]
  keypoints: np.ndarray
  box: Optional[np.ndarray]


class _File(NamedTuple):
  """The content of a label file.

  Attributes:
    hands: list of `_Hand`.
    order: names of the keypoints in their order.
  """

  hands: list
  order: tuple[str, ...]


class CocoHandReader(base.Reader):
  """Reads hands with 2D keypoints.

  Args:
    annotations: JSON file by split.
    images: folder by split, to which file names are relative.
    side: 'right' or 'left' for hands whose labels give no side; None takes it from names of pictures that end in _r or
      _l, as those of CMU Panoptic do, and makes others an error.
    joint_order: key of `skeletons.ORDERS`, whatever the categories say: MMPose's file of RHD names base to tip and
      holds tip to base. None takes the names of the categories, or `DEFAULT_ORDER` without them.
    name: of the dataset, for the records.
    min_v: least v in 0..1 of a label that counts; v = 0 never does. MMPose takes every v above 0.
  """

  source = 'coco_hand'
  licence = 'The licence is that of the annotations and of the pictures: see where you got them.'
  published_counts: dict[str, int] = {}

  def __init__(self, annotations: dict[str, str], images: dict[str, str], side: Optional[str] = None,
               joint_order: Optional[str] = None, name: str = 'coco_hand', min_v: float = MIN_V):
    if not annotations:
      raise UserError('no label file was named; use --train_annotations or --eval_annotations')
    if side is not None:
      base.check_option('side', side, SIDES)
    names = sorted(order for order, joints in skeletons.ORDERS.items() if set(joints) == set(skeletons.KEYPOINT_NAMES))
    self._order = joint_order and skeletons.order_names(base.check_option('joint_order', joint_order, names))
    self._annotations, self._images = annotations, images
    self._side, self._name, self._min_v = side, name, min_v
    self._options = {'name': name, 'side': side or 'as annotated', 'joint_order': joint_order or 'by the categories',
                     'min_v': min_v}
    self._files: dict[str, _File] = {}
    self._lock = threading.Lock()

  @property
  def options(self) -> dict[str, Any]:
    """Name, side, joint order, least v and label files."""
    return {**self._options, 'annotations': {split: os.path.basename(path)
                                             for split, path in self._annotations.items()}}

  def keys(self, split: str) -> Sequence[int]:
    """Returns the numbers of the hands in the label file."""
    return range(len(self._load(split).hands))

  def read(self, split: str, key: int) -> list[base.Example]:
    """Reads one hand; an empty list if no joint is labelled."""
    labels = self._load(split)
    hand = labels.hands[key]
    place = f'{self._annotations[split]}, annotation {hand.number}'
    labelled = (hand.keypoints[:, 2] > 0) & (hand.keypoints[:, 2] >= self._min_v)
    if not labelled.any():
      return []
    if hand.side is None:
      raise UserError(f'{place}: neither a right nor a left hand by its labels; say which by --side')
    try:
      picture = base.read_picture(os.path.join(self._images[split], hand.image['file_name']), upright=True)
    except UserError as error:
      raise UserError(f'{place}: {error}') from error
    announced = hand.image.get('height', picture.height), hand.image.get('width', picture.width)
    if announced != (picture.height, picture.width):
      raise UserError(f'{place}: {hand.image["file_name"]} is {picture.width} x {picture.height} pixels, its label '
                      f'says {announced[1]} x {announced[0]}; take pictures and labels from the same release')
    order = [labels.order.index(name) for name in skeletons.KEYPOINT_NAMES]
    keypoints, labelled = hand.keypoints[order], labelled[order]
    one_is_hidden = (keypoints[:, 2] > 1).any()
    seen = keypoints[:, 2] > 1 if one_is_hidden else labelled
    example = base.make_example(
        picture, f'{split}/{hand.image["file_name"]}/{hand.number}', hand.side, self._name, np.zeros([21, 3]),
        keypoints[:, :2] + .5, np.zeros([3, 3]), valid=labelled, visibility=seen, box_px=hand.box,
        group=f'{split}/{hand.image["file_name"]}', place=place)
    return [{**example, 'hand/joints_3d_valid': np.zeros(21, np.float32)}]

  def _load(self, split: str) -> _File:
    """Returns the labels of a split, which are read once."""
    path = base.split_folder(self._annotations, split)
    with self._lock:
      if split not in self._files:
        self._files[split] = self._parse(annotations.read_json(path, dict), path)
      return self._files[split]

  def _parse(self, content: dict, path: str) -> _File:
    """Parses the content of a label file; `path` names it in errors."""
    images = {annotations.name_of(image.get('id'), f'{path}: id of an image'): image
              for image in annotations.objects(content, 'images', path)}
    for name, image in images.items():
      annotations.entry(image, 'file_name', str, f'{path}, image {name}')
    hands = [hand for number, annotation in enumerate(annotations.objects(content, 'annotations', path))
             for hand in self._hands(annotation, images, f'{path}, annotation {number}')]
    categories = annotations.objects(content, 'categories', path) if 'categories' in content else []
    named = filter(None, map(_named_order, categories))
    return _File(hands, self._order or next(named, skeletons.order_names(DEFAULT_ORDER)))

  def _hands(self, annotation: dict, images: dict, place: str) -> list[_Hand]:
    """Returns the hands of an annotation: those of a person, or the only one."""
    image_id = annotations.name_of(annotation.get('image_id'), f'{place}: image_id')
    if image_id not in images:
      raise UserError(f'{place}: no image has its image_id {image_id}; download the file again')
    image, number = images[image_id], str(annotations.name_of(annotation.get('id', image_id), f'{place}: id'))
    if 'righthand_kpts' in annotation:
      return [_Hand(f'{number}/{side}', image, side, _keypoints(annotation, f'{side}hand_kpts', place),
                    _box(annotation, f'{side}hand_box', place))
              for side in SIDES if annotation.get(f'{side}hand_valid')]
    side = annotation.get('hand_type')
    side = side if side in SIDES else self._side or _named_side(image['file_name'])
    return [_Hand(number, image, side, _keypoints(annotation, 'keypoints', place),
                  _box(annotation, 'bbox', place))]


def _keypoints(annotation: dict, name: str, place: str) -> np.ndarray:
  """Returns an entry of 63 numbers as `[21, 3]`; a UserError if it is none."""
  return annotations.numbers(annotation.get(name), (63,), f'{place}: {name}').reshape(21, 3)


def _box(annotation: dict, name: str, place: str) -> Optional[np.ndarray]:
  """Returns a box (x, y, width, height) in pixels, or None if it is missing or empty."""
  if not annotation.get(name):
    return None
  box = annotations.numbers(annotation[name], (4,), f'{place}: {name}')
  return box if (box[2:] > 0).all() else None


def _named_side(file: str) -> Optional[str]:
  """Returns the side that the name of a picture ends in, such as 000015774_01_l.jpg, or None."""
  return {'_r': 'right', '_l': 'left'}.get(os.path.splitext(file)[0][-2:])


def _named_order(category: dict) -> Optional[tuple[str, ...]]:
  """Returns the joint names of a category in their order, or None if they are not those of a hand."""
  names = []
  keypoints = category.get('keypoints')
  for name in keypoints if isinstance(keypoints, list) else ():
    if not isinstance(name, str) or not name:
      return None
    finger, number = name.lower().replace('_', '').rstrip('1234'), name[-1]
    names.append('wrist' if finger == 'wrist' else _FINGER_NAMES.get(finger, finger) + number)
  return tuple(names) if sorted(names) == sorted(skeletons.KEYPOINT_NAMES) else None
