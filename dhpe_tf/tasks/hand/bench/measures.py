"""Measures of the HANDS 2019 challenge: mean joint error by split, and against the distance to the training hands."""
from typing import NamedTuple, Optional

import gin
import numpy as np
from scipy import stats

from dhpe_tf.metrics import bootstrap
from dhpe_tf.tasks.hand.bench import axes, splits
from dhpe_tf.tasks.measured import Line, Measure

_MILLIMETRES = 1000.
_LEAST_HANDS = 2  # of a bin


class Hands(NamedTuple):
  """Errors of N test hands, and where they stand.

  Attributes:
    error_mm: [N] mean over the joints.
    split: [N] names; '' for hands of no test split.
    distance: [N, 4] to the training hands by axis, or None.
  """

  error_mm: np.ndarray
  split: np.ndarray
  distance: Optional[np.ndarray]


def split_of(ids: np.ndarray) -> np.ndarray:
  """Returns the test splits [N] that ids `<split>/<number>` name, '' for others."""
  names = [name.decode(errors='replace') if isinstance(name, bytes) else str(name) for name in ids]
  first = [name.partition('/')[0] for name in names]
  return np.array([name if name in splits.TESTS else '' for name in first])


def hands(errors_m: np.ndarray, valid: np.ndarray, ids: np.ndarray, distance: Optional[np.ndarray]) -> Hands:
  """Gathers the hands with a joint that counts.

  Args:
    errors_m: [N, K] distances in metres.
    valid: [N, K] bool.
    ids: [N] names of the pictures.
    distance: [N, 4], -1 where it is unknown, or None.
  """
  some = valid.any(1)
  error_mm = _MILLIMETRES * np.where(valid, errors_m, 0.).sum(1)[some] / valid.sum(1)[some]
  known = distance is not None and (np.asarray(distance)[some] >= 0).all()
  return Hands(error_mm, split_of(np.asarray(ids)[some]), np.asarray(distance)[some] if known else None)


def mean_joint_errors(found: Hands, words: str) -> dict[str, Measure]:
  """Computes the mean joint error of all hands and of each split, and how much extrapolation adds to it.

  Args:
    found: the hands.
    words: name of the alignment, appended to each definition.

  Returns:
    Measures by name, without splits of which there is no hand.
  """
  result = {'mje': _mean(found.error_mm, f'mean joint error over all hands, {words}')}
  for split in splits.TESTS:
    if (found.split == split).any():
      chosen = found.error_mm[found.split == split]
      interval = bootstrap.mean_interval(chosen)
      result[f'mje_{split}'] = _mean(chosen, f'mean joint error over the hands of {split}, {words}')
      for end, value in (('low', interval.low), ('high', interval.high)):
        result[f'mje_{split}_{end}'] = Measure(value, 'mm', f'{end} end of the 95 % bootstrap interval of mje_{split}')
  for split in splits.TESTS[1:]:
    if {f'mje_{split}', 'mje_interp'} <= set(result):
      gap = result[f'mje_{split}'].value - result['mje_interp'].value
      result[f'gap_{split}'] = Measure(gap, 'mm', f'mje_{split} less mje_interp, {words}')
  return result


def correlations(found: Hands, words: str) -> dict[str, Measure]:
  """Computes, by axis, Spearman's rank correlation of error and distance over interp and the axis's extrap split."""
  result = {}
  for axis in axes.AXES:
    chosen = _of_axis(found, axis)
    distance = found.distance[chosen, axes.AXES.index(axis)]
    if len(distance) > 2 and np.ptp(distance) > 0 and np.ptp(found.error_mm[chosen]) > 0:
      value = stats.spearmanr(distance, found.error_mm[chosen]).statistic
      result[f'distance_correlation_{axis}'] = Measure(
          float(value), '', f'Spearman rank correlation of a hand\'s mean joint error with its distance to the nearest '
          f'training hand along the axis {axis}, over interp and {splits.EXTRAP[axis]}, {words}')
  return result


@gin.configurable(module='bench', denylist=['found'])
def lines(found: Hands, bins: int = 6) -> dict[str, Line]:
  """Computes the mean error against distance to the nearest training hand, by axis.

  The hands of interp and of the axis's extrap split are sorted into bins of equal numbers by their distance. The band
  is the 95 % bootstrap interval of a bin's mean.

  Args:
    found: the hands; their distances are known.
    bins: number of bins.

  Returns:
    Lines by the title of their panel, which names the unit of x.
  """
  result = {}
  for axis in axes.AXES:
    chosen = np.flatnonzero(_of_axis(found, axis))
    if len(chosen) < _LEAST_HANDS * bins:
      continue
    distance = found.distance[chosen, axes.AXES.index(axis)]
    parts = np.array_split(np.argsort(distance, kind='stable'), bins)
    intervals = np.array([bootstrap.mean_interval(found.error_mm[chosen[part]]) for part in parts])
    mean, low, high = intervals.T
    result[f'{axis}, {axes.UNITS[axis]}'] = Line(
        np.array([distance[part].mean() for part in parts]), mean, np.stack([mean - low, high - mean]))
  return result


def _of_axis(found: Hands, axis: str) -> np.ndarray:
  """Which hands [N] tell about one axis: those of interp and of its extrap split, if there are both."""
  pair = (splits.INTERP, splits.EXTRAP[axis])
  return np.isin(found.split, pair) & all((found.split == name).any() for name in pair)


def _mean(error_mm: np.ndarray, definition: str) -> Measure:
  """The mean over hands, as a measure."""
  return Measure(float(error_mm.mean()), 'mm', definition)
