"""FreiHAND version 2, Zimmermann et al. 2019.

  training/rgb/%08d.jpg: N samples in four versions of background, number = sample + N * version, N = 32,560
  training/mask/%08d.jpg: of the N samples, JPEG, so grey at the edges; they fit all versions
  evaluation/rgb/%08d.jpg
  {training,evaluation}_{K,xyz,mano}.json: lists by sample of [3, 3], [21, 3] and [1, 61]

Metres in camera axes, right hands only, keypoints in the order of this package. The 61 numbers are MANO's global
rotation (3), pose (45, about MANO's mean pose, not the flat hand), shape (10), and a position and scale that xyz
already contains.

K puts pixel centres at whole numbers: the authors project with it and draw and render the results in pictures that
count so (matplotlib, OpenDR), and files made from these labels (MMPose's) are read so. Records get K + 0.5 px.
"""
import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from data_tools.readers import annotations, base
from dhpe_tf.errors import UserError

_FOLDERS = {'train': 'training', 'eval': 'evaluation'}
VERSIONS = ('gs', 'hom', 'sample', 'auto')
_GREY = 127
_TIP_VERTICES = 'freihand'  # of model_files.TIP_VERTICES: the labels' tips are these vertices of MANO
_SAMPLES = 32560  # of the training set, each in every version
_POSE, _SHAPE = slice(3, 48), slice(48, 58)


class Key(NamedTuple):
  """One picture: number of the sample, and version of its background."""

  sample: int
  version: str


class FreihandReader(base.Reader):
  """Reads FreiHAND.

  Args:
    root: folder FreiHAND_pub_v2, or its parent; the evaluation labels are a separate download into it.
    versions: backgrounds of the training pictures: 'gs' green screen; 'hom', 'sample' and 'auto' replaced ones.
    mano_model: MANO_RIGHT.pkl, to write pose and shape as well. Its mean pose is added, because records describe poses
      about the flat hand. Such parameters are valid for MANO only, so train on them with that hand model.
    evaluation_labels: whether evaluation pictures get labels; without them only their cameras are read, which is
      enough for a submission to the challenge.
  """

  source = 'freihand'
  licence = 'FreiHAND is for research only (University of Freiburg and Adobe); cite Zimmermann et al., ICCV 2019.'

  def __init__(self, root: str, versions: Sequence[str] = VERSIONS, mano_model: Optional[str] = None,
               evaluation_labels: bool = True):
    self._root = base.find_root(os.fspath(root), 'training', ('FreiHAND_pub_v2',))
    if not versions:
      raise UserError(f'--versions is empty; name some of {", ".join(VERSIONS)}')
    self._versions = tuple(base.check_option('versions', version, VERSIONS) for version in versions)
    self._hands_mean = None if mano_model is None else _hands_mean(mano_model)
    self._evaluation_labels = evaluation_labels
    self._lists = functools.lru_cache(maxsize=None)(self._read_list)

  @property
  def published_counts(self) -> dict[str, int]:
    """The samples in each of the versions that are read."""
    return {'train': _SAMPLES * len(self._versions), 'eval': 3960}

  @property
  def options(self) -> dict[str, Any]:
    """Versions, whose parameters are written, which vertices are the tips, whether evaluation pictures get labels."""
    return {'versions': list(self._versions), 'parameters': 'none' if self._hands_mean is None else 'MANO, about the '
            'flat hand', 'tip_vertices': _TIP_VERTICES, 'evaluation_labels': self._evaluation_labels}

  def keys(self, split: str) -> Sequence[Key]:
    """Returns the pictures, version by version."""
    base.split_folder(_FOLDERS, split)
    fields = ('K', 'xyz', *(() if self._hands_mean is None else ('mano',)))
    counts = {field: len(self._lists(split, field)) for field in (fields if self._labelled(split) else ('K',))}
    if len(set(counts.values())) != 1:
      raise UserError(f'{self._root}, {split}: the label files differ in length ({counts}); download them again')
    versions = self._versions if split == 'train' else VERSIONS[:1]
    return [Key(sample, version) for version in versions for sample in range(counts['K'])]

  def read(self, split: str, key: Key) -> list[base.Example]:
    """Reads the right hand of a picture."""
    folder = os.path.join(self._root, _FOLDERS[split])
    count = len(self._lists(split, 'K'))
    name = f'{key.sample + count * VERSIONS.index(key.version):08d}.jpg'
    picture = base.read_picture(os.path.join(folder, 'rgb', name))
    mask = None
    if split == 'train':
      mask = base.read_labels(os.path.join(folder, 'mask', f'{key.sample:08d}.jpg'), grey=True) > _GREY
      if mask.shape != (picture.height, picture.width):
        raise UserError(f'{folder}/mask/{key.sample:08d}.jpg: its size is not that of rgb/{name}')
    intrinsics = base.corner_origin(self._numbers(split, 'K', key.sample, (3, 3)))
    labelled = self._labelled(split)
    joints_m = self._numbers(split, 'xyz', key.sample, (21, 3)) if labelled else np.zeros([21, 3])
    # One group for each sample, because its versions show the same hand.
    return [base.make_example(picture, f'{_FOLDERS[split]}/{name[:-4]}', 'right', self.source, joints_m,
                              base.project(joints_m, intrinsics), intrinsics, np.full(21, float(labelled)), mask=mask,
                              group=f'{_FOLDERS[split]}/{key.sample:08d}', parameters=self._parameters(split, key),
                              place=f'{self._label_file(split, "xyz")} and {self._label_file(split, "K")}, sample '
                                    f'{key.sample}')]

  def _labelled(self, split: str) -> bool:
    """Whether pictures of a split get labels."""
    return split == 'train' or self._evaluation_labels

  def _parameters(self, split: str, key: Key) -> Optional[tuple[np.ndarray, np.ndarray]]:
    """Returns pose `[45]` about the flat hand and shape `[10]`, or None if they are not wanted."""
    if self._hands_mean is None or not self._labelled(split):
      return None
    mano = self._numbers(split, 'mano', key.sample, (1, 61))[0]
    return mano[_POSE] + self._hands_mean, mano[_SHAPE]

  def _numbers(self, split: str, field: str, sample: int, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a label of one sample; raises a UserError unless it is finite and of this shape."""
    return annotations.numbers(self._lists(split, field)[sample], shape,
                               f'{self._label_file(split, field)}, sample {sample}')

  def _label_file(self, split: str, field: str) -> str:
    """Path of a label file."""
    return os.path.join(self._root, f'{_FOLDERS[split]}_{field}.json')

  def _read_list(self, split: str, field: str) -> list:
    """Reads a label file as a list by sample."""
    path = self._label_file(split, field)
    found = annotations.read_json(path, list, 'download it again' if split == 'train' else 'evaluation labels are a '
                                  'download of their own; do without by --noevaluation_labels or --splits=train')
    if not found:
      raise UserError(f'{path}: a list by sample was expected')
    return found


def _hands_mean(mano_model: str) -> np.ndarray:
  """Returns MANO's mean pose `[45]`."""
  from dhpe_tf.hand import hand_model  # only here, because it imports TensorFlow, for which --help would wait
  return hand_model.load_hand_model(mano_model).hands_mean
