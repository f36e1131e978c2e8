"""Checks of labels against each other and the picture: repetition, 3D against 2D, depth."""
from typing import Any

import numpy as np

from dhpe_tf.data import checks
from dhpe_tf.hand import skeletons

_NEAR_M, _FAR_M = .05, 5.
_LARGEST_HAND_M = .35
_HOPELESSLY_OUTSIDE = .5


class Hands(checks.Check):
  """Checks that no hand is there twice, and that most joints lie in the picture."""

  title = 'hands differ and lie in their pictures'

  def __init__(self):
    self._names: set[int] = set()
    self._twice, self._outside = checks.Flagged(), checks.Flagged(.05)

  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Tests each record of a batch: repetition, and the share of joints outside the picture."""
    names = batch['image/id']
    keys = [hash((name, side, joints.tobytes()))
            for name, side, joints in zip(names, batch['hand/side'], batch['hand/joints_2d_px'])]
    self._twice.add(names, np.array([self._seen(key) for key in keys], bool))
    size = np.stack([batch['image/width'], batch['image/height']], -1)[:, None]
    outside = ((batch['hand/joints_2d_px'] < 0) | (batch['hand/joints_2d_px'] > size)).any(-1)
    valid = batch['hand/joints_2d_valid'] > 0
    share = (outside & valid).sum(1) / np.maximum(valid.sum(1), 1)
    self._outside.add(names, share > _HOPELESSLY_OUTSIDE)

  def _seen(self, key: int) -> bool:
    """Whether a key was seen before; remembers it."""
    known = key in self._names
    self._names.add(key)
    return known

  def findings(self) -> list[str]:
    """Reports repeated hands and hands mostly outside their picture."""
    return [*self._twice.findings('the same hand of the same image/id twice'),
            *self._outside.findings('most joints lie outside of the picture (another camera, swapped x and y, or '
                                    'pixels of another resolution?)')]


class Projection(checks.Check):
  """Checks that the 2D labels are the 3D labels projected by the camera.

  Args:
    tolerance_px: largest distance accepted, pixels.
  """

  title = '2D labels are the projected 3D labels'

  def __init__(self, tolerance_px: float = 1.):
    self._tolerance_px = tolerance_px
    self._off = checks.Flagged()
    self._largest, self._offsets = 0., []

  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Projects the 3D joints of records with a camera and measures their distance to the 2D labels."""
    # (u, v, w) = K P, pixel = (u / w, v / w).
    points = np.einsum('nij,nkj->nki', batch['camera/intrinsics'].astype(np.float64), batch['hand/joints_3d_m'])
    both = (batch['hand/joints_2d_valid'] > 0) & (batch['hand/joints_3d_valid'] > 0)
    both &= _has_camera(batch)[:, None]
    depth = np.where(np.abs(points[..., 2:]) > 1e-9, points[..., 2:], 1.)
    offsets = np.where(both[..., None], batch['hand/joints_2d_px'] - points[..., :2] / depth, 0.)
    errors = np.linalg.norm(offsets, axis=-1).max(1)
    checked = both.any(1)
    self._off.add(batch['image/id'][checked], errors[checked] > self._tolerance_px)
    self._largest = max(self._largest, float(errors.max(initial=0.)))
    self._offsets.append(offsets[both].astype(np.float32))

  def findings(self) -> list[str]:
    """Reports records with a joint farther from its projection than the tolerance."""
    return self._off.findings(f'2D labels are more than {self._tolerance_px} px from the projected 3D labels (at most '
                              f'{self._largest:.1f} px; the camera of another picture, or of other axes?)')

  def numbers(self) -> dict[str, Any]:
    """Returns largest and median distance and the median offset (x, y), in pixels."""
    if not self._off.checked:
      return {'records': 0}
    offsets = np.concatenate(self._offsets)
    return {'records': self._off.checked, 'max_px': round(self._largest, 4),
            'median_px': round(float(np.median(np.linalg.norm(offsets, axis=-1))), 4),
            'median_offset_xy_px': np.round(np.median(offsets, axis=0), 4).tolist()}


class Depth(checks.Check):
  """Checks that hands lie in front of the camera, at a plausible distance and of a plausible extent."""

  title = 'hands lie before the camera, in metres'

  def __init__(self):
    self._behind, self._far, self._wide = checks.Flagged(), checks.Flagged(), checks.Flagged()
    self._not_relative = checks.Flagged()
    self._low, self._high = np.inf, -np.inf

  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Tests depth and extent of the labelled 3D joints in a batch."""
    joints, valid = batch['hand/joints_3d_m'], batch['hand/joints_3d_valid'] > 0
    camera, labelled = _has_camera(batch), valid.any(1)
    here = camera & labelled
    low = np.where(valid, joints[..., 2], np.inf).min(1)
    high = np.where(valid, joints[..., 2], -np.inf).max(1)
    self._behind.add(batch['image/id'][here], low[here] <= 0)
    self._far.add(batch['image/id'][here], (high[here] > _FAR_M) | ((low[here] > 0) & (high[here] < _NEAR_M)))
    if here.any():
      self._low, self._high = min(self._low, float(low[here].min())), max(self._high, float(high[here].max()))
    extent = (np.where(valid[..., None], joints, -np.inf).max(1) - np.where(valid[..., None], joints, np.inf).min(1))
    self._wide.add(batch['image/id'][labelled], extent[labelled].max(1) > _LARGEST_HAND_M)
    root = ~camera & valid[:, skeletons.ROOT]
    distance = np.linalg.norm(joints[root, skeletons.ROOT], axis=-1)
    self._not_relative.add(batch['image/id'][root], distance > 1e-3)

  def findings(self) -> list[str]:
    """Reports joints behind the camera, too near or far, too far apart, or not relative to the middle MCP."""
    return [
        *self._behind.findings('joints behind the camera (axes of OpenGL, or world coordinates?)'),
        *self._far.findings(f'joints not between {_NEAR_M} and {_FAR_M} m from the camera (millimetres, or a marker of '
                            'missing joints?)'),
        *self._wide.findings(f'joints more than {_LARGEST_HAND_M} m apart (millimetres, or a marker of missing joints '
                             'taken for one?)'),
        *self._not_relative.findings('without a camera the middle MCP must be the origin of the 3D joints')]

  def numbers(self) -> dict[str, Any]:
    """Returns the range of depth in metres."""
    return {'range_m': [round(self._low, 4), round(self._high, 4)]} if np.isfinite(self._low) else {}


def _has_camera(batch: dict[str, np.ndarray]) -> np.ndarray:
  """Which records `[N]` have intrinsics."""
  return batch['camera/intrinsics'][:, 0, 0] > 0
