"""Statistics of hand records: counts of sides and visible joints, and histograms."""
from typing import Any

import numpy as np

from dhpe_tf.data.record_schema import RecordSchema
from dhpe_tf.data.statistics import RecordStatistics, add_counts
from dhpe_tf.hand import skeletons

# Upper ends of the bins. A value lies in the first bin whose end is above it; the last bin has no end.
_BINS = {
    'hand_side_px': (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024),
    'labelled_joints': tuple(range(1, 22)),
    'visible_joints': tuple(range(1, 22)),
    'root_depth_m': tuple(round(.1 * k, 1) for k in range(1, 21)),
    'wrist_to_root_m': tuple(round(.01 * k, 2) for k in range(2, 16)),
}


class HandStatistics(RecordStatistics):
  """Adds sides, visible joints, sizes and depths of hands to the statistics of all records."""

  def __init__(self, schema: RecordSchema):
    super().__init__(schema)
    self._sides: dict[str, int] = {}
    self._visible = np.zeros(skeletons.NUM_KEYPOINTS)
    self._histograms = {name: np.zeros(len(ends) + 1, np.int64) for name, ends in _BINS.items()}

  def add(self, record: dict) -> None:
    """Counts a record and sorts its measures into the histograms."""
    super().add(record)
    add_counts(self._sides, {record['hand/side']: 1})
    labelled = np.asarray(record['hand/joints_2d_valid']) > 0
    visible = np.asarray(record.get('hand/visibility', 1.)) * labelled
    self._visible += visible
    for name, value in _measures(record, labelled, visible).items():
      self._histograms[name][np.searchsorted(_BINS[name], value, 'right')] += 1

  def merge(self, other: 'HandStatistics') -> None:
    """Adds the counts and histograms of other statistics to these."""
    super().merge(other)
    add_counts(self._sides, other._sides)
    self._visible += other._visible
    for name, counts in other._histograms.items():
      self._histograms[name] += counts

  def state(self) -> dict[str, Any]:
    """Returns everything collected in a form that JSON can hold; see `load`."""
    return {**super().state(), 'sides': self._sides, 'visible': self._visible.tolist(),
            'histograms': {name: counts.tolist() for name, counts in self._histograms.items()}}

  def load(self, state: dict[str, Any]) -> 'HandStatistics':
    """Replaces the content by a result of `state`; returns itself."""
    super().load(state)
    self._sides, self._visible = state['sides'], np.array(state['visible'])
    self._histograms = {name: np.array(state['histograms'][name], np.int64) for name in _BINS}
    return self

  def summary(self) -> dict[str, Any]:
    """Returns the content of statistics.json."""
    return {**super().summary(), 'sides': dict(sorted(self._sides.items())),
            'share_of_records_with_visible_joint': (self._visible / max(self.count, 1)).round(4).tolist(),
            'histograms': {name: {'bins_end_at': list(_BINS[name]), 'counts': counts.tolist()}
                           for name, counts in self._histograms.items()}}


def _measures(record: dict, labelled: np.ndarray, visible: np.ndarray) -> dict[str, float]:
  """Returns the values for the histograms that a record's labels allow, by name.

  Args:
    record: values by field name.
    labelled: `[21]` bool, joints with a 2D label.
    visible: `[21]`, above zero for labelled joints that are visible.
  """
  measures = {'labelled_joints': labelled.sum(), 'visible_joints': (visible > 0).sum()}
  if labelled.any():
    measures['hand_side_px'] = np.ptp(np.asarray(record['hand/joints_2d_px'])[labelled], axis=0).max()
  valid = np.asarray(record.get('hand/joints_3d_valid', np.zeros(skeletons.NUM_KEYPOINTS))) > 0
  if not valid[skeletons.ROOT]:
    return measures
  joints_m = np.asarray(record['hand/joints_3d_m'])
  if np.any(record.get('camera/intrinsics', 0.)):
    measures['root_depth_m'] = joints_m[skeletons.ROOT, 2]
  if valid[0]:
    measures['wrist_to_root_m'] = np.linalg.norm(joints_m[0] - joints_m[skeletons.ROOT])
  return measures
