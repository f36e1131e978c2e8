"""Pictures to look at: a rasterizer in NumPy, for one picture of any size, without gradients and without tracing.

`render.render_rgb` is differentiable and draws batches of one mesh at one size; TensorFlow traces it anew for every
size and mesh, or runs it eagerly, several times slower. Drawing results needs neither gradients nor batches, but a size
that differs from hand to hand.

A face covers a row of sample points between the crossings of two of its edges with the row,

  x = x_0 + (y - y_0) / (y_1 - y_0) (x_1 - x_0),

from the first point at or right of the left crossing to the last one left of the right crossing. Every crossing is
computed from the edge's lower to its higher vertex index, so that two faces agree on their common edge to the last bit:
no point between them is missed, and none is drawn twice. Depth and colours are linear in a face.
"""
from typing import NamedTuple

import numpy as np


class _Spans(NamedTuple):
  """Faces in rows of sample points, R of them.

  Attributes:
    row: int32 [R].
    first: int32 [R], column of the first point.
    count: int32 [R], points.
    values: float32 [1 + C, R], depth and colours at the first point.
    slopes: float32 [1 + C, R], their increase from point to point.
  """

  row: np.ndarray
  first: np.ndarray
  count: np.ndarray
  values: np.ndarray
  slopes: np.ndarray


def draw(vertices_px: np.ndarray, faces: np.ndarray, colours: np.ndarray, image_size: tuple[int, int],
         samples: int = 2) -> tuple[np.ndarray, np.ndarray]:
  """Draws the nearest surface of one or several closed meshes.

  Args:
    vertices_px: [V, 3], (x, y) in pixels (origin at the top-left corner, pixel centres at +0.5) and depth in any unit,
      larger is farther; finite.
    faces: int [F, 3], counter-clockwise seen from outside; faces seen from behind are not drawn.
    colours: [V, C], for display, 0..1.
    image_size: (height, width) in pixels.
    samples: points per pixel in each direction; the picture has fewer than 2^31 points.

  Returns:
    colours float32 [H, W, C] of the surface alone, the mean over those of a pixel's points that show it (0 where none
    does); alpha float32 [H, W], the part of the points that show it, 0..1.
  """
  height, width = image_size
  fine = np.asarray(vertices_px, np.float64) * [samples, samples, 1]
  attributes = np.concatenate([fine[:, 2:], colours], axis=1)
  spans = _spans(fine[:, :2], attributes, np.asarray(faces), (height * samples, width * samples))
  span, column = _nearest(spans, (height * samples, width * samples))
  pixel = (spans.row // samples * width).take(span) + column // samples
  shown = np.bincount(pixel, minlength=height * width)
  along = (column - spans.first.take(span)).astype(np.float32)
  mean = np.empty([height * width, len(spans.values) - 1], np.float32)
  per_point = 1 / np.maximum(shown, 1)
  for channel, (value, slope) in enumerate(zip(spans.values[1:], spans.slopes[1:])):
    colour = slope.take(span)
    colour *= along
    colour += value.take(span)
    mean[:, channel] = np.bincount(pixel, colour, height * width) * per_point
  # Where two surfaces are equally near, both are counted.
  alpha = np.minimum(shown / samples**2, 1).astype(np.float32)
  return mean.reshape(height, width, -1), alpha.reshape(height, width)


def _spans(points, attributes, faces, size):
  """`_Spans` of faces [F, 3] over points [V, 2] and attributes [V, 1 + C] in an image of `size` sample points."""
  height, width = size
  a, b, c = (points[faces[:, k]] for k in range(3))
  area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
  faces = np.sort(faces[area < 0], axis=1)  # y is down: counter-clockwise in the picture
  corners = points[faces]  # [F, 3, 2]
  top, end = (_first_centre(bound, height) for bound in (corners[..., 1].min(1), corners[..., 1].max(1)))
  face, row = _expand(top, end)
  left, right = (_first_centre(crossing, width) for crossing in _crossings(corners, face, row + .5))
  kept = np.flatnonzero(right > left)
  face, row, left, right = face[kept], row[kept], left[kept], right[kept]
  at_origin, by_x, by_y = (plane.take(face, axis=1) for plane in _planes(corners, attributes[faces]))
  values = at_origin + by_x * (left + .5) + by_y * (row + .5)
  # Half as many bytes as the usual int64, because a picture has many points.
  row, left, count = (number.astype(np.int32) for number in (row, left, right - left))
  return _Spans(row, left, count, values.astype(np.float32), by_x.astype(np.float32))


def _first_centre(bound, size):
  """Index int64 of the first of `size` pixels whose centre is at or beyond `bound`; `size` if there is none."""
  return np.ceil(np.clip(bound, 0, size + 1) - .5).clip(0, size).astype(np.int64)


def _expand(starts, ends):
  """Lists the integers of ranges starts .. ends - 1 [N]: (index of the range, integer), both int64 [M]."""
  counts = np.maximum(ends - starts, 0)
  index = np.repeat(np.arange(len(counts)), counts)
  return index, np.arange(len(index)) + np.repeat(starts - (np.cumsum(counts) - counts), counts)


def _crossings(corners, face, y):
  """Where rows y [R] enter and leave triangles face [R] of [F, 3, 2]: (left, right), x [R] each."""
  left, right = np.full(len(y), np.inf), np.full(len(y), -np.inf)
  for start, end in ((0, 1), (1, 2), (0, 2)):
    x0, y0, x1, y1 = (corners[:, corner, axis].take(face) for corner in (start, end) for axis in (0, 1))
    crossed = (y0 <= y) != (y1 <= y)
    x = x0 + (y - y0) / np.where(crossed, y1 - y0, 1) * (x1 - x0)
    np.minimum(left, x, where=crossed, out=left)
    np.maximum(right, x, where=crossed, out=right)
  return left, right


def _planes(corners, attributes):
  """Attributes [F, 3, C] as linear functions over triangles [F, 3, 2]: at (0, 0), increase in x, in y, [C, F] each."""
  (ax, ay), (bx, by), (cx, cy) = corners[:, 0].T, (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
  first, second, third = attributes.transpose(1, 2, 0)
  to_b, to_c = second - first, third - first
  per_area = 1 / (bx * cy - by * cx)
  by_x, by_y = (cy * to_b - by * to_c) * per_area, (bx * to_c - cx * to_b) * per_area
  return first - by_x * ax - by_y * ay, by_x, by_y


def _nearest(spans, size):
  """The nearest surface at the points of an image of `size`: (index of its span, column of the point), int32 [N]."""
  count = spans.count
  start = np.cumsum(count, dtype=np.int32) - count
  span = np.repeat(np.arange(len(count), dtype=np.int32), count)
  number = np.arange(len(span), dtype=np.int32)
  along = number - start.take(span)
  depth = spans.slopes[0].take(span)
  depth *= along
  depth += spans.values[0].take(span)
  point = number + (spans.row * size[1] + spans.first - start).take(span)
  nearest = np.full(size[0] * size[1], np.inf, np.float32)
  np.minimum.at(nearest, point, depth)
  visible = np.flatnonzero(depth == nearest.take(point))
  span = span.take(visible)
  return span, along.take(visible) + spans.first.take(span)
