"""Checks of labels against anatomy: lengths of bones, right or left hand, pose and shape."""
from typing import Any, Optional

import numpy as np

from dhpe_tf.data import checks
from dhpe_tf.hand import hand_model, skeletons
from dhpe_tf.metrics import pose_error

_PARENTS, _CHILDREN = (np.array(ends) for ends in zip(*skeletons.BONES))
_PALM_BONES = tuple(i for i, (parent, _) in enumerate(skeletons.BONES) if parent == 0)
_THUMB_BASE = skeletons.BONES.index((0, skeletons.KEYPOINT_NAMES.index('thumb1')))
# Accepted ratios of bone lengths to the built-in hand's, medians over all records. Hands differ by less, and so do
# their labels, except at the base of the thumb.
_SIZES = (.6, 1.6)
_RATIO, _RATIO_THUMB_BASE = 1.5, 2.2
# Bones are foreshortened in pictures, fingers more than the palm.
_RATIO_2D = 1.9
_ODD_RATIO = 4.
_KNUCKLES = skeletons.KNUCKLES
_INDEX, _LITTLE = _KNUCKLES[0], _KNUCKLES[-1]
_PARAMETERS_MM = 15.
# The side of all hands of a dataset.
_ONE_SIDE = {'stb': 'left', 'dexter_object': 'left', 'freihand': 'right', 'ho3d': 'right'}


class Bones(checks.Check):
  """Checks that bones have the proportions and the size of a hand.

  Args:
    first_keypoint: 'palm' or 'wrist', as dataset.json states.
  """

  title = 'bones have the lengths of a hand\'s'

  def __init__(self, first_keypoint: str = 'wrist'):
    rest = np.array(hand_model.load_hand_model().rest_keypoints)
    if first_keypoint == 'palm':
      rest[0] = skeletons.palm_of(rest[0], rest[skeletons.ROOT])
    self._first = first_keypoint
    self._reference = np.linalg.norm(rest[_CHILDREN] - rest[_PARENTS], axis=-1)
    self._ratios, self._ratios_2d = [], []
    self._odd = checks.Flagged(.02)

  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Measures the bones of a batch, in 3D and in the picture, relative to the built-in hand."""
    ratios = self._measure(batch['hand/joints_3d_m'], batch['hand/joints_3d_valid'])
    some = np.isfinite(ratios).sum(1) >= 3
    self._ratios.append(ratios[some])
    relative = ratios[some] / np.nanmedian(ratios[some], axis=1, keepdims=True)
    odd = (relative > _ODD_RATIO) | (relative < 1 / _ODD_RATIO)
    self._odd.add(batch['image/id'][some], odd.any(1))
    flat = self._measure(batch['hand/joints_2d_px'], batch['hand/joints_2d_valid'])
    flat = flat[np.isfinite(flat).sum(1) >= 10]
    self._ratios_2d.append(flat / np.nanmedian(flat, axis=1, keepdims=True))

  def findings(self) -> list[str]:
    """Reports bones out of proportion, hands of a wrong size, and medians that are not those of a hand."""
    median = self._median(self._ratios)
    if median is None:
      flat = self._median(self._ratios_2d)
      return [] if flat is None else self._wrong_bones(flat / np.nanmedian(flat), _RATIO_2D, ' in the picture')
    size = np.nanmedian(median)
    found = self._odd.findings('a bone is out of all proportion (joints that are not valid taken for labels?)')
    if not _SIZES[0] < size < _SIZES[1]:
      found.append(f'hands are {size:.3g} times as large as a hand (millimetres instead of metres?)')
    return found + self._wrong_bones(median / size, _RATIO, '')

  def numbers(self) -> dict[str, Any]:
    """Returns the median length of each bone divided by that of the built-in hand."""
    median = self._median(self._ratios)
    return {} if median is None else {'median_length_over_built_in_hand': dict(
        zip((f'{skeletons.KEYPOINT_NAMES[a]}-{skeletons.KEYPOINT_NAMES[b]}' for a, b in skeletons.BONES),
            np.round(median, 3).tolist()))}

  def _measure(self, joints: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Bone lengths divided by those of the built-in hand at rest.

    Args:
      joints: `[N, 21, D]` metres or pixels.
      valid: `[N, 21]`, above zero where a joint is labelled.

    Returns:
      `[N, 20]` in the order of `skeletons.BONES`, NaN where an end is not labelled.
    """
    lengths = np.linalg.norm(joints[:, _CHILDREN].astype(np.float64) - joints[:, _PARENTS], axis=-1)
    known = (valid[:, _CHILDREN] > 0) & (valid[:, _PARENTS] > 0)
    return np.where(known, np.maximum(lengths, 1e-9) / self._reference, np.nan)

  def _median(self, ratios: list[np.ndarray]) -> Optional[np.ndarray]:
    """Median of each bone `[20]` over all records, NaN for bones never labelled; None without records."""
    if not sum(map(len, ratios)):
      return None
    every = np.concatenate(ratios)
    return np.array([np.median(bone[np.isfinite(bone)]) if np.isfinite(bone).any() else np.nan for bone in every.T])

  def _wrong_bones(self, relative: np.ndarray, limit: float, where: str) -> list[str]:
    """Reports bones whose median ratio lies outside [1 / limit, limit], with a hint at the cause.

    Args:
      relative: `[20]` median ratios.
      limit: largest ratio accepted; the base of the thumb has a wider one.
      where: inserted into the text, for example ' in the picture'.
    """
    limits = np.full(len(relative), limit)
    limits[_THUMB_BASE] = max(limit, _RATIO_THUMB_BASE)
    wrong = np.flatnonzero((relative > limits) | (relative < 1 / limits))
    if not len(wrong):
      return []
    names = [f'{skeletons.KEYPOINT_NAMES[a]}-{skeletons.KEYPOINT_NAMES[b]} x{relative[i]:.2f}'
             for i, (a, b) in enumerate(skeletons.BONES) if i in wrong]
    hint = (f'dataset.json says that keypoint 0 is the {self._first}: is it?' if set(wrong) <= set(_PALM_BONES) else
            'are the joints in another order, such as tip to base?')
    return [f'proportions{where} are not those of a hand ({", ".join(names[:5])}): {hint}']


class DatasetSide(checks.Check):
  """Checks that hands are of the one side that their dataset has, and counts sides.

  Args:
    source: name of the dataset, as dataset.json states.
  """

  title = 'numbers of right and left hands'

  def __init__(self, source: str = ''):
    self._source = source
    self._sides: dict[str, int] = {}

  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Counts the sides in a batch."""
    for side, number in zip(*np.unique(batch['hand/side'], return_counts=True)):
      self._sides[side.decode()] = self._sides.get(side.decode(), 0) + int(number)

  def findings(self) -> list[str]:
    """Reports hands of the side that the dataset does not have."""
    side = _ONE_SIDE.get(self._source)
    other = {'right': 'left', 'left': 'right'}.get(side)
    if not self._sides.get(other, 0):
      return []
    return [f'{self._sides[other]} {other} hands, but all of {self._source} are {side} hands']

  def numbers(self) -> dict[str, Any]:
    """Returns the number of hands by side."""
    return {'sides': self._sides}


class Side(checks.Check):
  """Checks that 3D joints are of the side that the record states.

  Fingers bend toward the palm, and the thumb lies in front of it; these two cues tell a right hand from its mirror
  image (`handedness`). On 2,600 photographs labelled by a network the answer is correct for 99.8 %.
  """

  title = 'right hands are right hands'

  def __init__(self):
    self._wrong = checks.Flagged(.05)
    self._sides = {'right': 0, 'left': 0}

  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Compares the stated side with `handedness`, for records with all 3D joints."""
    left = batch['hand/side'] == b'left'
    self._sides['left'] += int(left.sum())
    self._sides['right'] += int((~left).sum())
    whole = (batch['hand/joints_3d_valid'] > 0).all(1)
    looks_left = handedness(batch['hand/joints_3d_m'][whole].astype(np.float64)) < 0
    self._wrong.add(batch['image/id'][whole], looks_left != left[whole])

  def findings(self) -> list[str]:
    """Reports records whose 3D joints look like the other hand."""
    return self._wrong.findings('3D joints are those of the other hand (mirrored axes, or right and left exchanged?)')

  def numbers(self) -> dict[str, Any]:
    """Returns the number of hands by side, and the share that looks like the other side."""
    return {'sides': self._sides, 'share_that_looks_like_the_other': round(self._wrong.share, 4)}


def handedness(joints: np.ndarray) -> np.ndarray:
  """Computes a number for each hand that is positive for right hands and negative for left ones.

  With bones b0, b1, b2 of the four fingers from base to tip, wrist w, knuckles i (index) and l (little), palm centre p
  and thumb joints t_k:

    [ sum_fingers (b0 x b1 + b1 x b2) . (i - l)  +  ((i - w) x (l - w)) . sum_k (t_k - p) ] / |middle MCP - w|^3.

  The first term measures the bending, the second the position of the thumb.

  Args:
    joints: `[N, 21, 3]` in axes x right, y down, z forward, any unit.

  Returns:
    `[N]`, without unit.
  """
  scale = np.maximum(np.linalg.norm(joints[:, skeletons.ROOT] - joints[:, 0], axis=-1), 1e-9) ** 3
  bending = 0.
  for knuckle in _KNUCKLES:
    bones = [joints[:, knuckle + k + 1] - joints[:, knuckle + k] for k in range(3)]
    bending = bending + np.cross(bones[0], bones[1]) + np.cross(bones[1], bones[2])
  bends = (bending * (joints[:, _INDEX] - joints[:, _LITTLE])).sum(-1)
  normal = np.cross(joints[:, _INDEX] - joints[:, 0], joints[:, _LITTLE] - joints[:, 0])
  palm = (joints[:, _KNUCKLES].mean(1) + joints[:, 0]) / 2
  thumb = (normal * (joints[:, 2:5] - palm[:, None]).sum(1)).sum(-1)
  return (bends + thumb) / scale


class Parameters(checks.Check):
  """Checks that pose and shape produce the labelled 3D joints.

  Args:
    model: the right hand that pose and shape belong to; None if it is not available, then nothing is checked.
  """

  title = 'pose and shape make the 3D joints'

  def __init__(self, model: Optional[hand_model.HandModel]):
    self._model = model
    self._errors_mm, self._unchecked = [], 0

  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Poses the hands that have parameters and all 3D joints, and measures the error after Procrustes alignment."""
    here = (batch['hand/has_parameters'] > 0) & (batch['hand/joints_3d_valid'] > 0).all(1)
    if self._model is None:
      self._unchecked += int(here.sum())
      return
    if not here.any():
      return
    from dhpe_tf.hand.mano_layer import ManoLayer
    found = ManoLayer(self._model)(batch['hand/pose'][here], batch['hand/shape'][here])['keypoints'].numpy()
    truth = batch['hand/joints_3d_m'][here].astype(np.float64)
    truth[batch['hand/side'][here] == b'left', :, 0] *= -1
    # Joint 0 is left out, because it may be the palm.
    aligned = pose_error.align_procrustes(found[:, 1:], truth[:, 1:])
    self._errors_mm.append(1000 * pose_error.joint_errors(aligned, truth[:, 1:]).mean(1))

  def findings(self) -> list[str]:
    """Reports a median error above the limit."""
    error = self.numbers().get('median_error_mm', 0.)
    if error <= _PARAMETERS_MM:
      return []
    return [f'joints of pose and shape are {error:.1f} mm from the labels after alignment (pose about the mean instead '
            'of the flat hand, or another hand model?)']

  def numbers(self) -> dict[str, Any]:
    """Returns the median error in millimetres, or the number of records that were not checked."""
    if self._unchecked:
      return {'not_checked': f'{self._unchecked} records; name their hand model by --hand_model'}
    if not self._errors_mm:
      return {}
    return {'median_error_mm': round(float(np.median(np.concatenate(self._errors_mm))), 3)}
