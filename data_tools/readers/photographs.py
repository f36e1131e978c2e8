"""A folder of photographs without labels, for training without labels and for prediction on record sets.

The pictures of a subfolder form a group, which is never divided between splits. A picture directly in the folder is its
own group.
"""
import os
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_tools.readers import base
from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError

SPLITS = ('train', 'eval')
SIDES = ('right', 'left')


class PhotographsReader(base.Reader):
  """Reads photographs of one hand each, without labels.

  Args:
    root: the folder; subfolders are searched.
    side: the hand that all photographs show.
    eval_fraction: share of the groups in the split eval, chosen by a hash of their names.
  """

  source = 'photographs'
  licence = 'The licence is that of your photographs.'
  published_counts: dict[str, int] = {}

  def __init__(self, root: str, side: str = 'right', eval_fraction: float = 0.):
    self._root = os.fspath(root)
    if not os.path.isdir(self._root):
      raise UserError(f'{self._root}: no such folder; --input must name the folder of the photographs')
    self._side = base.check_option('side', side, SIDES)
    if not 0 <= eval_fraction <= 1:
      raise UserError(f'--eval_fraction must be from 0 to 1, got {eval_fraction}')
    self._eval_fraction = eval_fraction

  @property
  def options(self) -> dict[str, Any]:
    """Side and share of the split eval."""
    return {'side': self._side, 'eval_fraction': self._eval_fraction}

  def keys(self, split: str) -> Sequence[str]:
    """Returns the paths of a split's pictures relative to the folder."""
    base.check_option('splits', split, SPLITS)
    names = []
    for folder, _, files in os.walk(self._root):
      names += [os.path.relpath(os.path.join(folder, file), self._root) for file in files
                if file.lower().endswith(image_files.EXTENSIONS)]
    if not names:
      raise UserError(f'{self._root}: no picture in it ({", ".join(image_files.EXTENSIONS)})')
    return sorted(name for name in names if self._held_out(_group(name)) == (split == 'eval'))

  def read(self, split: str, key: str) -> list[base.Example]:
    """Reads a picture; the whole of it is the crop."""
    picture = base.read_picture(os.path.join(self._root, key), upright=True)
    nothing = np.zeros([21, 3])
    return [base.make_example(picture, key.replace(os.sep, '/'), self._side, self.source, nothing, nothing[:, :2],
                              np.zeros([3, 3]), valid=np.zeros(21), group=_group(key))]

  def _held_out(self, group: str) -> bool:
    """Whether a group belongs to eval, by a hash of its name, which does not change when other groups are added."""
    return zlib.crc32(group.encode()) % 1000 < 1000 * self._eval_fraction


def _group(name: str) -> str:
  """The subfolder of a picture, or the picture's name if it lies directly in the folder."""
  return os.path.dirname(name).replace(os.sep, '/') or name
