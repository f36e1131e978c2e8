"""The leak test of the generalisation bench, on its records."""
from typing import Any

import numpy as np

from dhpe_tf.data import checks
from dhpe_tf.tasks.hand.bench import axes, splits

NAME = 'bench_regions'  # what dataset.json calls the regions
_FIELDS = ('image/id', 'hand/pose', 'hand/shape', 'hand/rotation', 'hand/has_parameters', 'object/kind',
           'object/half_sizes_m', 'bench/training_distance')


class Leaks(checks.SetCheck):
  """Checks that no held-out value of an axis occurs in training, see `splits.leaks`.

  Args:
    about: content of dataset.json.
    place: its path, for errors.

  Raises:
    UserError: dataset.json names no regions.
  """

  def __init__(self, about: dict[str, Any], place: str):
    self._regions = axes.from_json(about[NAME], place)
    self._parts: dict[str, list[dict[str, np.ndarray]]] = {}

  def add(self, split: str, batch: dict[str, np.ndarray]) -> None:
    """Collects the values of a batch."""
    self._parts.setdefault(split, []).append({name: batch[name] for name in _FIELDS})

  def findings(self) -> list[str]:
    """Reports leaks, and distances to the training that are not the stated ones.

    Raises:
      UserError: a record does not tell where its hand stands on the axes.
    """
    records = {split: {name: np.concatenate([part[name] for part in parts]) for name in _FIELDS}
               for split, parts in self._parts.items() if split in (splits.TRAIN, *splits.TESTS)}
    values = {split: axes.of_records(fields) for split, fields in records.items()}
    found = splits.leaks(values, self._regions)
    for split in splits.TESTS:
      if split in values and splits.TRAIN in values:
        found += splits.wrong_distances(records[split]['bench/training_distance'], split, values)
    return found
