"""The splits of the generalisation bench, and the test that nothing of an extrapolated axis leaks into training."""
from collections.abc import Mapping

import numpy as np

from dhpe_tf.tasks.hand.bench import axes

TRAIN, INTERP, EXTRAP_ALL = 'train', 'interp', 'extrap_all'
EXTRAP = {axis: f'extrap_{axis}' for axis in axes.AXES}
TESTS = (INTERP, *EXTRAP.values(), EXTRAP_ALL)
# For experiments, not for training a method that is to be compared: the same number of hands from all regions, and the
# training poses with their fingers exchanged.
CONTROL, RECOMBINED = 'train_all_regions', 'train_recombined'

_SAME = 1e-3  # mm or degrees: rounding of equal values


def extrapolated(split: str) -> tuple[str, ...]:
  """The axes along which all hands of a split are held out."""
  return axes.AXES if split == EXTRAP_ALL else tuple(axis for axis, name in EXTRAP.items() if name == split)


def misplaced(split: str, values: axes.Values, regions: axes.Regions) -> list[str]:
  """Reports hands in a region that their split must not have.

  Args:
    split: 'train' or a test split.
    values: of its N hands.
    regions: of the bench.

  Returns:
    One line for each axis with such hands.
  """
  found = []
  for axis in axes.AXES:
    wanted = axes.HELD_OUT if axis in extrapolated(split) else axes.TRAINING
    wrong = regions.of(axis, values) != wanted
    if wrong.any():
      found.append(f'split {split}: {int(wrong.sum())} of {len(wrong)} hands are not in the {wanted} region of the '
                   f'axis {axis}')
  return found


def leaks(values: Mapping[str, axes.Values], regions: axes.Regions) -> list[str]:
  """Reports whatever makes the test splits no test of extrapolation.

  No value of an extrapolated axis may occur in training: hands lie in their regions, and the nearest training hand is
  at a distance along that axis. Test hands may share no whole hand with the training either.

  Args:
    values: by split; splits that are neither 'train' nor tests are ignored.
    regions: of the bench.

  Returns:
    One line for each finding.
  """
  found = [] if TRAIN in values else [f'there is no split {TRAIN}, so nothing can be compared with it']
  for split in (TRAIN, *TESTS):
    if split in values:
      found += misplaced(split, values[split], regions)
  for split in TESTS if TRAIN in values else ():
    if split not in values:
      continue
    nearest = axes.distances(values[split], values[TRAIN])
    for axis in extrapolated(split):
      same = nearest[:, axes.AXES.index(axis)] < _SAME
      if same.any():
        found.append(f'split {split}: {int(same.sum())} values of the axis {axis} occur in training')
    copied = (nearest < _SAME).all(1)
    if copied.any():
      found.append(f'split {split}: {int(copied.sum())} hands are training hands')
  return found


def wrong_distances(stated: np.ndarray, split: str, values: Mapping[str, axes.Values]) -> list[str]:
  """Reports records whose stated distances [N, 4] to the training differ from the true ones by more than 1%."""
  true = axes.distances(values[split], values[TRAIN])
  wrong = (np.abs(stated - true) > 0.01 * true + 0.01).any(1)
  return [f'split {split}: {int(wrong.sum())} of {len(wrong)} records state other distances to the training than '
          'theirs (bench/training_distance)'] if wrong.any() else []
