"""Counts and ranges of the records of a split, collected shard by shard and merged."""
from typing import Any

import numpy as np

from dhpe_tf.data.record_schema import RecordSchema


class RecordStatistics:
  """The content of a split's statistics.json; a task may override its methods to add more."""

  def __init__(self, schema: RecordSchema):
    self._schema = schema
    self._count = 0
    self._present: dict[str, int] = {}
    self._ranges: dict[str, list[float]] = {}

  @property
  def count(self) -> int:
    """Number of records."""
    return self._count

  def add(self, record: dict) -> None:
    """Counts a record and extends the ranges of its numeric fields."""
    self._count += 1
    for name, value in record.items():
      self._present[name] = self._present.get(name, 0) + 1
      if self._schema.fields[name].kind != 'bytes':
        self._widen(name, [float(np.min(value)), float(np.max(value))])

  def merge(self, other: 'RecordStatistics') -> None:
    """Adds the counts and ranges of other statistics to these."""
    self._count += other._count
    add_counts(self._present, other._present)
    for name, pair in other._ranges.items():
      self._widen(name, pair)

  def state(self) -> dict[str, Any]:
    """Returns everything collected in a form that JSON can hold; see `load`."""
    return {'count': self._count, 'present': self._present, 'ranges': self._ranges}

  def load(self, state: dict[str, Any]) -> 'RecordStatistics':
    """Replaces the content by a result of `state`; returns itself."""
    self._count, self._present, self._ranges = state['count'], state['present'], state['ranges']
    return self

  def summary(self) -> dict[str, Any]:
    """Returns the content of statistics.json."""
    return {'count': self._count, 'records_with_field': self._present, 'range': self._ranges}

  def _widen(self, name: str, pair: list[float]) -> None:
    """Extends the range of a field to include the pair (low, high)."""
    low, high = self._ranges.get(name, (np.inf, -np.inf))
    self._ranges[name] = [min(low, pair[0]), max(high, pair[1])]


def add_counts(mine: dict[str, int], theirs: dict[str, int]) -> None:
  """Adds the counts of `theirs` to `mine`, in place."""
  for name, count in theirs.items():
    mine[name] = mine.get(name, 0) + count
