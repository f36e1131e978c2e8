"""RHD, the Rendered Hand Pose dataset of Zimmermann and Brox 2017 (RHD_published_v2).

  training/, evaluation/: color/%05d.png, mask/%05d.png (and depth/), anno_training.pickle, anno_evaluation.pickle

The pickle is a dictionary: sample number -> 'xyz' `[42, 3]` metres in camera axes, 'uv_vis' `[42, 3]` (u, v, 1 if
visible) and 'K' `[3, 3]`. The left hand comes first: wrist, then each finger from tip to base; then the right hand.
Mask values: 0 background, 1 the person without hands, 2-17 left hand, 18-33 right hand.
"""
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_tools.readers import annotations, base
from dhpe_tf.errors import UserError
from dhpe_tf.hand import restricted_pickle, skeletons

_FOLDERS = {'train': 'training', 'eval': 'evaluation'}
_SIDES = ('left', 'right')
_MASK_IDS = {'left': (2, 17), 'right': (18, 33)}
_SHAPES = {'xyz': (42, 3), 'uv_vis': (42, 3), 'K': (3, 3)}
HANDS = ('mask', 'visible', 'both')


class RhdReader(base.Reader):
  """Reads RHD.

  Args:
    root: folder RHD_published_v2, or its parent.
    hand: 'mask', the hand with more mask pixels (Zimmermann and Brox); 'visible', the hand with more visible keypoints
      (later code); both choose the right hand if equal. 'both' gives each hand that has a mask pixel.
    first_keypoint: 'palm', the middle of wrist and middle MCP (hand3d, the paper), or 'wrist', as labelled.
    min_visible: least number of visible keypoints of a hand.
  """

  source = 'rhd'
  licence = 'RHD is for research only (University of Freiburg); cite Zimmermann and Brox, ICCV 2017.'

  def __init__(self, root: str, hand: str = 'mask', first_keypoint: str = 'palm', min_visible: int = 0):
    self._root = base.find_root(os.fspath(root), 'training', ('RHD_published_v2',))
    self._hand = base.check_option('hand', hand, HANDS)
    self._first = base.check_option('first_keypoint', first_keypoint, base.PALM_OR_WRIST)
    self._min_visible = min_visible
    self._annotations: dict[str, dict] = {}

  @property
  def published_counts(self) -> dict[str, int]:
    """One hand a picture; empty where options add or leave out hands, of which no count is published."""
    return {} if self._hand == 'both' or self._min_visible else {'train': 41258, 'eval': 2728}

  @property
  def options(self) -> dict[str, Any]:
    """Choice of the hand, keypoint 0, and least number of visible keypoints."""
    return {'hand': self._hand, 'first_keypoint': self._first, 'min_visible': self._min_visible}

  def keys(self, split: str) -> Sequence[int]:
    """Returns the numbers of the pictures in ascending order."""
    return sorted(self._load(split))

  def read(self, split: str, key: int) -> list[base.Example]:
    """Reads the chosen hand or hands of a picture."""
    name = os.path.join(self._root, _FOLDERS[split], '{}', f'{key:05d}.png')
    picture = base.read_picture(name.format('color'))
    ids = base.read_labels(name.format('mask'))
    if ids.shape != (picture.height, picture.width):
      raise UserError(f'{name.format("mask")}: its size is not that of {name.format("color")}')
    labels = self._labels(split, key)
    masks = {side: (ids >= low) & (ids <= high) for side, (low, high) in _MASK_IDS.items()}
    return [example for side in self._choose(masks, labels['uv_vis'])
            for example in self._hand_example(split, key, side, picture, masks[side], labels)]

  def _load(self, split: str) -> dict[int, dict]:
    """Returns the annotations of a split, which are read once."""
    base.split_folder(_FOLDERS, split)
    if split not in self._annotations:
      path = self._path(split)
      loaded = restricted_pickle.load(path)
      if not isinstance(loaded, dict) or not loaded or not all(
          type(key) is int and key >= 0 and isinstance(sample, dict) for key, sample in loaded.items()):
        raise UserError(f'{path}: a dictionary by sample number was expected; take the file from RHD_published_v2')
      self._annotations[split] = loaded
    return self._annotations[split]

  def _path(self, split: str) -> str:
    """Path of a split's annotations."""
    return os.path.join(self._root, _FOLDERS[split], f'anno_{_FOLDERS[split]}.pickle')

  def _labels(self, split: str, key: int) -> dict[str, np.ndarray]:
    """Returns the arrays of a sample; raises a UserError unless they are finite and of the expected shapes."""
    labels = {}
    for field, shape in _SHAPES.items():
      place = f'{self._path(split)}, sample {key}: {field}'
      labels[field] = annotations.pickled_numbers(self._load(split)[key].get(field), shape, place)
    return labels

  def _choose(self, masks: dict[str, np.ndarray], uv_vis: np.ndarray) -> list[str]:
    """Returns the sides to label, see `hand` of the class."""
    pixels = [masks[side].sum() for side in _SIDES]
    if self._hand == 'both':
      return [side for side, count in zip(_SIDES, pixels) if count]
    counts = pixels if self._hand == 'mask' else [(uv_vis[k:k + 21, 2] == 1).sum() for k in (0, 21)]
    return ['left' if counts[0] > counts[1] else 'right']

  def _hand_example(self, split: str, key: int, side: str, picture: base.Picture, mask: np.ndarray,
                    labels: dict[str, np.ndarray]) -> list[base.Example]:
    """Makes the example of one hand; an empty list if too few keypoints are visible."""
    chosen = skeletons.permutation('rhd', 'dhpe') + 21 * _SIDES.index(side)
    joints_m, pixels = labels['xyz'][chosen], labels['uv_vis'][chosen, :2]
    visible = labels['uv_vis'][chosen, 2] == 1
    if visible.sum() < self._min_visible:
      return []
    if self._first == 'palm':
      joints_m = base.palm_from_wrist(joints_m)
      pixels = np.concatenate([base.project(joints_m[:1], labels['K']), pixels[1:]])
      visible[0] |= visible[skeletons.ROOT]
    return [base.make_example(picture, f'{_FOLDERS[split]}/{key:05d}/{side}', side, self.source, joints_m, pixels,
                              labels['K'], visibility=visible, mask=mask, place=f'{self._path(split)}, sample {key}')]
