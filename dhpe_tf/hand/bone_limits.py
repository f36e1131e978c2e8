"""Between which bounds the measures of `bone_geometry` lie in real hands: estimated from joints, stored as JSON.

Lengths, curvatures and spreads lie in intervals. Flexion and abduction of a joint depend on each other, so each pair
lies in a convex polygon: the hull of what was seen, with as few corners as keep nearly all of it inside (Spurr et al.,
ECCV 2020, simplify and prune their hulls likewise).
"""
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.spatial

from dhpe_tf import json_files
from dhpe_tf.errors import UserError
from dhpe_tf.hand import bone_geometry, skeletons

_BUILT_IN = os.path.join(os.path.dirname(__file__), 'assets', 'bone_limits.json')
_INTERVALS = {'lengths': len(skeletons.BONES), 'curvatures': bone_geometry.NUM_FINGERS - 1,
              'spreads': bone_geometry.NUM_FINGERS - 1}
_MOST_CORNERS = 64
_REMEDY = 'make it again by python -m data_tools.estimate_limits'
_STEP = 1e-5  # of the numbers in a file
_FLAT = 1e-12  # of turns at corners: three of them on a line, as far as numbers tell
# A joint that never bends still needs a polygon with an inside, radians.
_LEAST_WIDTH = 1e-3


class BoneLimits(NamedTuple):
  """Bounds of the measures of `bone_geometry.BoneGeometry`.

  Attributes:
    lengths: [20, 2] lowest and highest.
    curvatures: [4, 2].
    spreads: [4, 2], radians.
    polygons: for each of the 15 bends the corners [M, 2] of a convex polygon, (flexion, abduction) in radians,
      counter-clockwise.
  """

  lengths: np.ndarray
  curvatures: np.ndarray
  spreads: np.ndarray
  polygons: Sequence[np.ndarray]

  def to_json(self) -> dict[str, Any]:
    """The content of a file for `read`."""
    # Rounded outward, so that what is inside stays inside.
    intervals = {name: np.stack([np.floor(bounds[:, 0] / _STEP), np.ceil(bounds[:, 1] / _STEP)], axis=1) * _STEP
                 for name, bounds in ((name, getattr(self, name)) for name in _INTERVALS)}
    polygons = {name: _rounded(corners).tolist() for name, corners in zip(bone_geometry.BEND_NAMES, self.polygons)}
    return {**{name: bounds.round(5).tolist() for name, bounds in intervals.items()}, 'bends': polygons}

  def widened(self, factor: float) -> 'BoneLimits':
    """Bounds about the same middles, `factor` times as far apart."""
    def widen(bounds: np.ndarray) -> np.ndarray:
      middle = bounds.mean(axis=-1, keepdims=True)
      return middle + factor * (bounds - middle)
    polygons = [corners.mean(0) + factor * (corners - corners.mean(0)) for corners in self.polygons]
    return BoneLimits(widen(self.lengths), widen(self.curvatures), widen(self.spreads), polygons)

  def of_other_fingers(self) -> 'BoneLimits':
    """Wrong bounds of the same sizes: each finger has those of the next one. A control for experiments."""
    lengths = np.roll(self.lengths.reshape(bone_geometry.NUM_FINGERS, -1, 2), 1, axis=0).reshape(-1, 2)
    per = bone_geometry.BENDS_PER_FINGER
    polygons = [*self.polygons[-per:], *self.polygons[:-per]]
    return BoneLimits(lengths, np.roll(self.curvatures, 1, axis=0), np.roll(self.spreads, 1, axis=0), polygons)


def estimate(joints: np.ndarray, kept: float = 0.9995) -> BoneLimits:
  """Estimates bounds from the joints of many right hands.

  Args:
    joints: [N, 21, 3], see `bone_geometry.measure`; N above 2.
    kept: share of the hands that each interval and each polygon keeps inside.

  Raises:
    UserError: joints that are not finite, or too few.
  """
  if len(joints) < 3 or not np.isfinite(joints).all():
    raise UserError('limits are estimated from at least 3 hands whose 21 joints are all finite; label more hands')
  found = bone_geometry.measure(np.asarray(joints, np.float32))
  tail = (1 - kept) / 2
  intervals = {name: np.quantile(getattr(found, name).numpy(), [tail, 1 - tail], axis=0).T for name in _INTERVALS}
  bends = found.bends.numpy().astype(np.float64)
  return BoneLimits(**intervals, polygons=[hull(bends[:, k], kept) for k in range(bends.shape[1])])


def hull(points: np.ndarray, kept: float) -> np.ndarray:
  """The convex hull of points, without corners that hardly any point needs.

  As long as the share of points inside stays at least `kept`, the corner goes whose triangle with its neighbours holds
  the fewest points, and of equal ones the smallest triangle.

  Args:
    points: [N, 2].
    kept: share of the points that stay inside, 0..1.

  Returns:
    Corners [M, 2], counter-clockwise, M at least 3.
  """
  variances, axes = np.linalg.eigh(np.cov(points.T, bias=True))
  for variance, axis in zip(variances, axes.T):
    if variance < _LEAST_WIDTH**2:
      # A joint that bends one way only: the hull of its points has no area, or none to speak of.
      points = np.concatenate([points - _LEAST_WIDTH * axis, points + _LEAST_WIDTH * axis])
  corners = points[scipy.spatial.ConvexHull(points).vertices]
  outside, most = 0, (1 - kept) * len(points)
  inside = points
  while len(corners) > 3:
    neighbours = zip(np.roll(corners, 1, 0), np.roll(corners, -1, 0))
    lost = [_beyond_chord(inside, before, after) for before, after in neighbours]
    counts, areas = np.sum(lost, axis=1), _areas(corners)
    first = np.lexsort([areas, counts])[0]
    if outside + counts[first] > most:
      break
    outside += counts[first]
    inside = inside[~lost[first]]
    corners = np.delete(corners, first, axis=0)
  return corners


def _rounded(corners: np.ndarray) -> np.ndarray:
  """Corners [M, 2] of a convex polygon in the numbers of a file, those that rounding has put inside left out."""
  rounded = np.round(corners, 5)
  return rounded[np.sort(scipy.spatial.ConvexHull(rounded).vertices)]


def _areas(corners: np.ndarray) -> np.ndarray:
  """Twice the areas [M] of the triangles of each corner [M, 2] and its neighbours."""
  before, after = np.roll(corners, 1, 0) - corners, np.roll(corners, -1, 0) - corners
  return np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0])


def _beyond_chord(points: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
  """Which points [N, 2] in a polygon are outside of it without the corner between `before` and `after`."""
  edge = after - before
  beyond = edge[0] * (points[:, 1] - before[1]) - edge[1] * (points[:, 0] - before[0])
  return beyond < -1e-12


def read(path: str) -> BoneLimits:
  """Reads bounds that `BoneLimits.to_json` has written.

  Raises:
    UserError: the file is none; the message names the field.
  """
  content = json_files.read_object(path, _REMEDY)
  intervals = {name: _interval(content, name, count, path) for name, count in _INTERVALS.items()}
  bends = content.get('bends')
  if not isinstance(bends, Mapping) or set(bends) != set(bone_geometry.BEND_NAMES):
    raise UserError(f'{path}: bends must be an object of the {bone_geometry.NUM_BENDS} joints '
                    f'{", ".join(bone_geometry.BEND_NAMES)}; {_REMEDY}')
  return BoneLimits(**intervals, polygons=[_polygon(bends[name], name, path) for name in bone_geometry.BEND_NAMES])


@functools.lru_cache(maxsize=4)
def load(path: str = '') -> BoneLimits:
  """Reads bounds, once for each file; those of the built-in hand without a path. Errors as of `read`."""
  return read(path or _BUILT_IN)


def _numbers(value: Any, shape: Sequence[int], what: str, path: str) -> np.ndarray:
  """A list of pairs as an array [N, 2]; N is free where `shape` has -1."""
  try:
    array = np.array(value, np.float64)
  except (TypeError, ValueError):
    array = np.empty(0)
  fits = array.ndim == 2 and all(want in (-1, have) for want, have in zip(shape, array.shape))
  if not fits or not np.isfinite(array).all():
    count = 'a list of' if shape[0] < 0 else shape[0]
    raise UserError(f'{path}: {what} must be {count} pairs of finite numbers; {_REMEDY}')
  return array


def _interval(content: Mapping[str, Any], name: str, count: int, path: str) -> np.ndarray:
  """The intervals [count, 2] of a field."""
  bounds = _numbers(content.get(name), (count, 2), name, path)
  if (bounds[:, 0] > bounds[:, 1]).any():
    raise UserError(f'{path}: {name}: the lowest of each pair comes first; {_REMEDY}')
  return bounds


def _polygon(value: Any, name: str, path: str) -> np.ndarray:
  """The corners [M, 2] of one joint."""
  corners = _numbers(value, (-1, 2), f'bends.{name}', path)
  edges = np.roll(corners, -1, 0) - corners
  turns = edges[:, 0] * np.roll(edges, -1, 0)[:, 1] - edges[:, 1] * np.roll(edges, -1, 0)[:, 0]
  if not 3 <= len(corners) <= _MOST_CORNERS or (turns < -_FLAT).any() or not turns.sum() > 0:
    raise UserError(f'{path}: bends.{name} must be the 3 to {_MOST_CORNERS} corners of a convex polygon, '
                    f'counter-clockwise; {_REMEDY}')
  return corners
