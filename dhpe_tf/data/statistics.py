"""Counts, ranges and histograms of records, gathered shard by shard and merged."""
from typing import Any

import numpy as np

from dhpe_tf.data import example_schema
from dhpe_tf.hand import skeletons

# Upper ends of the bins; a value lies in the first bin whose end it is below, or behind the last.
_BINS = {
    'hand_side_px': (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024),
    'labelled_joints': tuple(range(1, 22)),
    'visible_joints': tuple(range(1, 22)),
    'root_depth_m': tuple(round(.1 * k, 1) for k in range(1, 21)),
    'wrist_to_root_m': tuple(round(.01 * k, 2) for k in range(2, 16)),
}


class RecordStatistics:
  """What statistics.json states of a split."""

  def __init__(self):
    self._count = 0
    self._sides: dict[str, int] = {}
    self._present: dict[str, int] = {}
    self._ranges: dict[str, list[float]] = {}
    self._visible = np.zeros(example_schema.NUM_KEYPOINTS)
    self._histograms = {name: np.zeros(len(ends) + 1, np.int64) for name, ends in _BINS.items()}

  @property
  def count(self) -> int:
    """Number of records."""
    return self._count

  def add(self, record: dict) -> None:
    """Takes note of one record."""
    self._count += 1
    self._sides[record['hand/side']] = self._sides.get(record['hand/side'], 0) + 1
    for name, value in record.items():
      self._present[name] = self._present.get(name, 0) + 1
      if example_schema.FIELDS[name].kind != 'bytes':
        self._widen(name, [float(np.min(value)), float(np.max(value))])
    labelled = np.asarray(record['hand/joints_2d_valid']) > 0
    visible = np.asarray(record.get('hand/visibility', 1.)) * labelled
    self._visible += visible
    for name, value in _measures(record, labelled, visible).items():
      self._histograms[name][np.searchsorted(_BINS[name], value, 'right')] += 1

  def merge(self, other: 'RecordStatistics') -> None:
    """Adds what another one has gathered."""
    self._count += other._count
    for mine, theirs in ((self._sides, other._sides), (self._present, other._present)):
      for name, count in theirs.items():
        mine[name] = mine.get(name, 0) + count
    for name, pair in other._ranges.items():
      self._widen(name, pair)
    self._visible += other._visible
    for name, counts in other._histograms.items():
      self._histograms[name] += counts

  def state(self) -> dict[str, Any]:
    """Everything, as JSON can hold it."""
    return {'count': self._count, 'sides': self._sides, 'present': self._present, 'ranges': self._ranges,
            'visible': self._visible.tolist(),
            'histograms': {name: counts.tolist() for name, counts in self._histograms.items()}}

  @classmethod
  def from_state(cls, state: dict[str, Any]) -> 'RecordStatistics':
    """The reverse of `state`."""
    made = cls()
    made._count, made._sides, made._present = state['count'], state['sides'], state['present']
    made._ranges, made._visible = state['ranges'], np.array(state['visible'])
    made._histograms = {name: np.array(state['histograms'][name], np.int64) for name in _BINS}
    return made

  def summary(self) -> dict[str, Any]:
    """What statistics.json holds."""
    return {'count': self._count, 'sides': dict(sorted(self._sides.items())), 'records_with_field': self._present,
            'range': self._ranges,
            'share_of_records_with_visible_joint': (self._visible / max(self._count, 1)).round(4).tolist(),
            'histograms': {name: {'bins_end_at': list(_BINS[name]), 'counts': counts.tolist()}
                           for name, counts in self._histograms.items()}}

  def _widen(self, name: str, pair: list[float]) -> None:
    low, high = self._ranges.get(name, (np.inf, -np.inf))
    self._ranges[name] = [min(low, pair[0]), max(high, pair[1])]


def _measures(record: dict, labelled: np.ndarray, visible: np.ndarray) -> dict[str, float]:
  """The numbers whose histograms are kept, as far as a record's labels give them."""
  measures = {'labelled_joints': labelled.sum(), 'visible_joints': (visible > 0).sum()}
  if labelled.any():
    measures['hand_side_px'] = np.ptp(np.asarray(record['hand/joints_2d_px'])[labelled], axis=0).max()
  valid = np.asarray(record.get('hand/joints_3d_valid', np.zeros(example_schema.NUM_KEYPOINTS))) > 0
  if not valid[skeletons.ROOT]:
    return measures
  joints_m = np.asarray(record['hand/joints_3d_m'])
  if np.any(record.get('camera/intrinsics', 0.)):
    measures['root_depth_m'] = joints_m[skeletons.ROOT, 2]
  if valid[0]:
    measures['wrist_to_root_m'] = np.linalg.norm(joints_m[0] - joints_m[skeletons.ROOT])
  return measures
