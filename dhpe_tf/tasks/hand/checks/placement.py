"""Checks that labels lie on the hand by the colours of the picture, for records without masks."""
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np

from dhpe_tf.data import checks, image_files
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

_FEW, _MANY = 3, 15
_BINS = 6
_AROUND = 60
_LEAST_RECORDS = 8
_LEAST_AUC = .6


class Placement(checks.Check):
  """Checks that labels lie on the hand in the picture, by two tests.

  Colours: a histogram of the colours at the labels of all other pictures must tell a picture's labels from places
  around them. On two sets of 2,600 photographs the area under the ROC curve is 0.78 to 0.88, with fingertips alone too;
  with wrong axes or the frame of another camera it is 0.45 to 0.64.

  Contrast: if most of a hand is labelled, its bones must differ from the surroundings (`contrast`) more than moved or
  mirrored labels do. On those photographs each such change loses in at least 75 %.

  Args:
    limit: number of pictures to look at.
  """

  title = 'labels lie on the hand in the picture'

  def __init__(self, limit: int = 500):
    self._left = limit
    self._better: dict[str, list[bool]] = {}
    self._colours: list[tuple[np.ndarray, np.ndarray]] = []

  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Collects the colours of each picture, and compares its labels with changed ones."""
    for i in range(len(batch['image/id'])):
      valid = batch['hand/joints_2d_valid'][i] > 0
      if self._left <= 0 or valid.sum() < _FEW:
        continue
      self._left -= 1
      try:
        image = image_files.decode_image(batch['image/encoded'][i])
      except UserError:
        continue
      joints = batch['hand/joints_2d_px'][i].astype(np.float64)
      self._note_colours(image, joints[valid])
      if valid.sum() >= _MANY:
        camera = batch['camera/intrinsics'][i]
        middle = camera[:2, 2] if camera[0, 0] > 0 else np.array([image.shape[1], image.shape[0]]) / 2
        self._compare(image, joints, valid, middle)

  def findings(self) -> list[str]:
    """Reports colours that do not tell the labels from their surroundings, or changed labels that fit better."""
    auc = self._auc()
    if auc is not None and auc < _LEAST_AUC:
      return [f'nothing in the pictures tells the labels from what is around them (AUC {auc:.2f}; axes turned round, '
              'or the frame of another camera?)']
    found = []
    for name, better in self._better.items():
      count, wins = len(better), sum(better)
      # Above two thirds, and above what chance gives: two standard deviations of a fair coin, n / 2 + sqrt(n).
      if wins > max(2 / 3 * count, count / 2 + np.sqrt(count)):
        found.append((wins / count, name, wins, count))
    if not found:
      return []
    _, name, wins, count = max(found)
    return [f'labels {name} would fit the picture better in {wins} of {count} records (the frame of another camera, '
            'or axes turned round?)']

  def numbers(self) -> dict[str, Any]:
    """Returns the number of pictures, the area under the ROC curve, and the most successful change's share of wins."""
    numbers: dict[str, Any] = {'records': len(self._colours)}
    auc = self._auc()
    if auc is not None:
      numbers['auc'] = round(auc, 3)
    if self._better:
      numbers['highest_share_won_by_moved_labels'] = round(max(map(np.mean, self._better.values())), 3)
    return numbers

  def _note_colours(self, image: np.ndarray, labels: np.ndarray) -> None:
    """Stores the colour bins at the labels `[K, 2]` and at random places around them, pixels."""
    low, high = labels.min(0), labels.max(0)
    random = np.random.default_rng(len(self._colours))
    places = (low + high) / 2 + max(high - low) * random.uniform(-1, 1, [_AROUND, 2])
    at, around = _colours(image, labels), _colours(image, places)
    if len(at) >= _FEW and len(around) >= _AROUND // 3:
      self._colours.append((_bins(at), _bins(around)))

  def _auc(self) -> Optional[float]:
    """Mean area under the ROC curve of labels against surroundings; None if there are too few pictures.

    Each place scores l = log P(bin | label) - log P(bin | around), with histograms of all other pictures. The area of a
    picture is P(l_label > l_around) + P(l_label = l_around) / 2.
    """
    if len(self._colours) < _LEAST_RECORDS:
      return None
    counts = [[np.bincount(bins, minlength=_BINS ** 3) for bins in pair] for pair in self._colours]
    at, around = np.sum(counts, axis=0)
    areas = []
    for (mine, others), (at_here, around_here) in zip(self._colours, counts):
      likelihood = _log_share(at - at_here) - _log_share(around - around_here)
      difference = likelihood[mine][:, None] - likelihood[others]
      areas.append(np.mean(difference > 0) + np.mean(difference == 0) / 2)
    return float(np.mean(areas))

  def _compare(self, image: np.ndarray, joints: np.ndarray, valid: np.ndarray, middle: np.ndarray) -> None:
    """Compares the contrast of the labels with that of each changed version."""
    ours = contrast(image, joints, valid)
    for name, moved in _alternatives(joints, valid, middle):
      theirs = contrast(image, moved, valid)
      if np.isfinite(ours) and np.isfinite(theirs):
        self._better.setdefault(name, []).append(theirs > ours)


def _alternatives(joints: np.ndarray, valid: np.ndarray, middle: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
  """Yields (description, joints `[21, 2]`) of changed labels: moved, mirrored, or turned by 180 degrees.

  Args:
    joints: `[21, 2]` pixels.
    valid: `[21]` bool, the joints that give the hand's size, in parts of which labels are moved.
    middle: `[2]` pixels, the fixed point of mirroring and turning: the principal point or the picture's centre.
  """
  side = np.ptp(joints[valid], axis=0).max()
  for share in (.15, .3, .5, 1.):
    for way, step in (('right', (1, 0)), ('left', (-1, 0)), ('down', (0, 1)), ('up', (0, -1))):
      yield f'moved {way} by {share:g} of the hand\'s size', joints + share * side * np.array(step)
  for name, signs in (('mirrored left to right', (-1, 1)), ('mirrored top to bottom', (1, -1)),
                      ('turned round', (-1, -1))):
    yield name, (joints - middle) * signs + middle


def contrast(image: np.ndarray, joints: np.ndarray, valid: np.ndarray) -> float:
  """Squared Mahalanobis distance between the colours along the bones and those around the hand.

  With means m and covariances C of the two sets: d^2 = (m_hand - m_around)^T (C_hand + C_around + 0.001 I)^-1 (m_hand -
  m_around).

  Args:
    image: uint8 `[H, W, 3]`.
    joints: `[21, 2]` pixels.
    valid: `[21]` bool.

  Returns:
    The distance; NaN if too few places lie in the picture.
  """
  along = np.linspace(0, 1, 5)[:, None]
  points = [joints[valid]] + [joints[a] * (1 - along) + joints[b] * along for a, b in skeletons.BONES
                              if valid[a] and valid[b]]
  hand = _colours(image, np.concatenate(points))
  low, high = joints[valid].min(0), joints[valid].max(0)
  t = np.linspace(-1, 1, 16)
  one = np.ones_like(t)
  square = np.concatenate([np.stack(edge, 1) for edge in ((t, -one), (t, one), (-one, t), (one, t))])
  around = _colours(image, (low + high) / 2 + .675 * max(high - low) * square)
  if len(hand) < 5 or len(around) < 8:
    return np.nan
  difference = hand.mean(0) - around.mean(0)
  return float(difference @ np.linalg.solve(np.cov(hand.T) + np.cov(around.T) + 1e-3 * np.eye(3), difference))


def _colours(image: np.ndarray, points: np.ndarray) -> np.ndarray:
  """Colours `[M, 3]` in 0..1 at those of the points `[K, 2]` that lie in the picture, uint8 `[H, W, 3]`."""
  x, y = np.floor(points).astype(int).T
  inside = (x >= 0) & (x < image.shape[1]) & (y >= 0) & (y < image.shape[0])
  return image[y[inside], x[inside]] / 255  # the whole picture as numbers of 8 bytes may take gigabytes


def _bins(colours: np.ndarray) -> np.ndarray:
  """Histogram bin of each colour: `[M, 3]` in 0..1 -> `[M]` in 0 .. _BINS^3 - 1."""
  return np.minimum((colours * _BINS).astype(int), _BINS - 1) @ [_BINS ** 2, _BINS, 1]


def _log_share(counts: np.ndarray) -> np.ndarray:
  """Logarithm of each bin's share with half a count added: log((n + 1/2) / (N + bins / 2))."""
  return np.log((counts + .5) / (counts.sum() + .5 * len(counts)))
