"""Fragments: every (face, pixel) pair in which the face covers the pixel's centre, in one flat list for a whole batch.

Each face's rows, then each row's span of pixels, are written out as one list; edge functions run on the list, and
segment reductions by pixel tell which face is seen. The work grows with the pixels that faces cover, not with pixels x
faces.

The edge function of the edge from (x0, y0) to (x1, y1) at a point (x, y), twice the signed area of the three points, is

  e(x, y) = (x1 - x0) (y - y0) - (y1 - y0) (x - x0),

in a row of pixels constant - slope * x. A pixel is covered if its centre is inside the face or on its edge: the face's
three edge functions have one sign. With e_k opposite to corner k, its barycentric coordinates are e_k / (e_0 + e_1 +
e_2), which interpolate the depth. Every edge function is computed from the edge's lower to its higher vertex index, so
that two faces agree to the last bit on their common edge: no pixel between them is missed.
"""
import functools
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import ranges


class Fragments(NamedTuple):
  """Candidates of a batch, N of them, by ascending face and image.

  Attributes:
    pixel: int32 [N], (image * height + row) * width + column.
    source: int32 [N], face * B + image (or the index of a triangle).
    depth: [N], at the pixel's centre; inf where the face does not cover it.
  """

  pixel: tf.Tensor
  source: tf.Tensor
  depth: tf.Tensor


class _Rows(NamedTuple):
  """A face in one row of pixels, R of them: its functions that are linear in x, and the pixels to test.

  Attributes:
    origin: int32 [R, 2], index of the triangle, and the pixel in column 0 of the row.
    first, end: int64 [R], columns to test.
    plane: [R, 11]: constants and slopes of the three edge functions, constant - slope * x; depth at the first column,
      its increase per pixel, its least and its greatest value in the face; the first column's x.
  """

  origin: tf.Tensor
  first: tf.Tensor
  end: tf.Tensor
  plane: tf.Tensor


def list_fragments(vertices: tf.Tensor, faces: np.ndarray, image_size: tuple[int, int],
                   drawn: Optional[tf.Tensor] = None, budget: Optional[ranges.Budget] = None) -> Fragments:
  """Lists the fragments of a batch.

  Args:
    vertices: [V, B, 3], (x, y) in pixels, at most 2^20 in size, and a depth that is linear in the image (depth itself
      in parallel projection, -1 / depth in perspective). Vertices come first so that a gather moves whole batches.
    faces: int32 [F, 3].
    image_size: (height, width).
    drawn: bool [F, B], the faces to draw; all by default.
    budget: fixed lengths of two lists, (face, row) and (face, pixel); unused entries have infinite depth.

  Returns:
    `Fragments`.
  """
  batch = tf.shape(vertices)[1]
  # With its corners by ascending index i < j < k, every face's edges run i -> j, j -> k and i -> k.
  corners = tf.gather(vertices, np.sort(faces, axis=1))  # [F, 3, B, 3]
  corners = tf.reshape(tf.transpose(corners, [0, 2, 1, 3]), [-1, 9])
  image = tf.tile(tf.range(batch), [len(faces)])
  drawn = None if drawn is None else tf.reshape(drawn, [-1])
  return list_triangle_fragments(corners, image, image_size, drawn, budget)


def list_triangle_fragments(corners: tf.Tensor, image: tf.Tensor, image_size: tuple[int, int],
                            drawn: Optional[tf.Tensor] = None,
                            budget: Optional[ranges.Budget] = None) -> Fragments:
  """Lists the fragments of triangles that may be in any order and image.

  Args:
    corners: [K, 9], (x, y, depth) of three corners as in `list_fragments`. Triangles that share an edge must have its
      ends in the same order.
    image: int32 [K], index in the batch.
    image_size: (height, width).
    drawn: bool [K].
    budget: see `list_fragments`.

  Returns:
    `Fragments`, whose source is the triangle's index.
  """
  height, _ = image_size
  y = corners[:, 1::3]
  first, end = ranges.centres_within(tf.reduce_min(y, axis=1), tf.reduce_max(y, axis=1), height)
  if drawn is not None:
    end = tf.where(drawn, end, 0)
  source, row, row_there = ranges.expand(first, end, budget)
  rows = _cut_into_rows(tf.gather(corners, source), source, tf.gather(image, source), row, image_size)

  if row_there is not None:
    rows = rows._replace(end=tf.where(row_there, rows.end, rows.first))
  span, column, there = ranges.expand(rows.first, rows.end, budget)
  c0, c1, c2, s0, s1, s2, depth, slope, near, far, start = ranges.columns_of(tf.gather(rows.plane, span))
  x = tf.cast(column, corners.dtype) + .5
  edges = (c0 - s0 * x, c1 - s1 * x, c2 - s2 * x)  # e_0, e_1, e_2 at the pixel's centre, [N] each
  low, high = (f(f(edges[0], edges[1]), edges[2]) for f in (tf.minimum, tf.maximum))
  # All of one sign, and not all zero as those of a face without area are.
  inside = ((low >= 0) & (high > 0)) | ((high <= 0) & (low < 0))
  if there is not None:
    inside &= there
  depth = tf.minimum(tf.maximum(depth + slope * (x - start), near), far)
  source, pixel = ranges.columns_of(tf.gather(rows.origin, span))
  return Fragments(pixel + tf.cast(column, tf.int32), source, tf.where(inside, depth, np.inf))


def _cut_into_rows(corners, source, image, row, image_size):
  """`_Rows` of triangles source [R], corners [R, 9] of images [R], in pixel rows int64 [R]."""
  height, width = image_size
  xi, yi, zi, xj, yj, zj, xk, yk, zk = ranges.columns_of(corners)
  centre = tf.cast(row, corners.dtype) + .5
  constant, slope, crossings = [], [], []
  # The edge opposite to i, to j (backwards: its sign is turned), to k.
  for x0, y0, x1, y1, sign in ((xj, yj, xk, yk, 1), (xi, yi, xk, yk, -1), (xi, yi, xj, yj, 1)):
    dx, dy, down = x1 - x0, y1 - y0, centre - y0
    constant.append(sign * (down * dx + x0 * dy))
    slope.append(sign * dy)
    crossing = x0 + tf.clip_by_value(tf.math.divide_no_nan(down, dy), 0, 1) * dx
    crossings.append((down * (down - dy) <= 0, crossing))
  left = functools.reduce(tf.minimum, (tf.where(crossed, crossing, np.inf) for crossed, crossing in crossings))
  right = functools.reduce(tf.maximum, (tf.where(crossed, crossing, -np.inf) for crossed, crossing in crossings))
  # The span's ends are only candidates: they are widened by more than their rounding, the edge functions decide.
  slack = 1e-3 + 1e-6 * tf.maximum(tf.maximum(tf.abs(xi), tf.abs(xj)), tf.abs(xk))
  first, end = ranges.centres_within(left - slack, right + slack, width)

  start = tf.cast(first, corners.dtype) + .5
  at_first = [c - s * start for c, s in zip(constant, slope)]  # the edge functions at the first column
  per_area = tf.math.reciprocal_no_nan(at_first[0] + at_first[1] + at_first[2])
  # Depth z_i + (e_j (z_j - z_i) + e_k (z_k - z_i)) / (e_i + e_j + e_k) at the first column, and its slope in x.
  to_j, to_k = (zj - zi) * per_area, (zk - zi) * per_area
  pixel = (image * height + tf.cast(row, tf.int32)) * width
  plane = ranges.table_of(constant + slope + [
      zi + at_first[1] * to_j + at_first[2] * to_k, -(slope[1] * to_j + slope[2] * to_k),
      tf.minimum(tf.minimum(zi, zj), zk), tf.maximum(tf.maximum(zi, zj), zk), start])
  return _Rows(ranges.table_of([tf.cast(source, tf.int32), pixel]), first, end, plane)


def nearest(fragments: Fragments, pixels: tf.Tensor) -> tf.Tensor:
  """Finds the nearest fragment of every pixel; among equally near ones, that of the lowest face.

  Args:
    fragments: of the batch, N of them.
    pixels: int32 [], B * height * width.

  Returns:
    int32 [pixels], index of the fragment; the largest int32 where there is none.
  """
  best = tf.math.unsorted_segment_min(fragments.depth, fragments.pixel, pixels)
  # A face that does not cover the pixel has infinite depth, so it cannot be below the best.
  first = (fragments.depth <= tf.gather(best, fragments.pixel)) & (fragments.depth < np.inf)
  index = tf.where(first, tf.range(tf.size(first)), tf.int32.max)
  return tf.math.unsorted_segment_min(index, fragments.pixel, pixels)
