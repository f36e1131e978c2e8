"""Contour edges of a closed mesh in the image, and the pixels they cross.

An edge lies on the contour when one of its two faces is seen from the front and the other from behind: when the signs
of their (b - a) cross (c - a), a, b and c a face's corners in the image, differ. The list of pieces made here, one for
every (contour edge, pixel it crosses), is all that the exact-area silhouette needs.
"""
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.geometry import meshes
from dhpe_tf.rendering import ranges


class ContourTopology(NamedTuple):
  """The edges of a closed mesh, which do not depend on its vertices: constants of the graph.

  Attributes:
    faces: int32 [F, 3].
    edges: int32 [E, 2], vertex indices of each edge, once.
    edge_faces: int32 [E, 2], the face that runs edges[:, 0] -> edges[:, 1], and the one that runs the other way.
  """

  faces: np.ndarray
  edges: np.ndarray
  edge_faces: np.ndarray


class ContourEdges(NamedTuple):
  """The contour edges of a batch of images, K of them in all; each runs from its first vertex to its second.

  Attributes:
    x, y: [K], first end, pixels.
    dx, dy: [K], second end minus first end.
    winding: [K], 1 where the mesh lies on the right of an edge that runs down the image, -1 where on the left.
    image: int32 [K], index in the batch.
    vertices: int32 [K, 2], the ends as rows of the flattened [V * B] vertices.
  """

  x: tf.Tensor
  y: tf.Tensor
  dx: tf.Tensor
  dy: tf.Tensor
  winding: tf.Tensor
  image: tf.Tensor
  vertices: tf.Tensor


class Pieces(NamedTuple):
  """One entry for every contour edge and every pixel it crosses; P of them in all.

  Column -1 stands for everything on the left of the image.

  Attributes:
    edge: int32 [P], ascending.
    row: int32 [P], pixel row counted through the batch: image * height + y.
    column: int32 [P], -1 .. width - 1.
    length: [P], the part of the edge's own length that lies in the pixel.
    middle: [P], the middle of that part: 0 at the edge's first end, 1 at its second.
    rise: [P], +- the part's height in pixels, which it adds to the winding of all points on its right in its row.
    offset: [P], the place of the middle across the pixel: 0 at its left side, 1 at its right.
  """

  edge: tf.Tensor
  row: tf.Tensor
  column: tf.Tensor
  length: tf.Tensor
  middle: tf.Tensor
  rise: tf.Tensor
  offset: tf.Tensor


class _Rows(NamedTuple):
  """One entry for every contour edge and every row of pixels it crosses; R of them in all.

  Attributes:
    origin: int32 [R, 2], the edge, and the row counted through the batch.
    left, right: [R], least and greatest x of the part, pixels.
    length: [R], the part of the edge's own length that lies in the row.
    from_left: [R], place along the edge (0 at its first end, 1 at its second) at `left`.
    signed_length: [R], increase of that place from `left` to `right`.
    rise: [R], see `Pieces`.
    there: bool [R], whether an entry is used; None if all are.
  """

  origin: tf.Tensor
  left: tf.Tensor
  right: tf.Tensor
  length: tf.Tensor
  from_left: tf.Tensor
  signed_length: tf.Tensor
  rise: tf.Tensor
  there: Optional[tf.Tensor]


def contour_topology(faces: np.ndarray) -> ContourTopology:
  """Edges of a closed, consistently oriented mesh, with the faces on their two sides.

  Args:
    faces: int [F, 3].

  Returns:
    A `ContourTopology`.

  Raises:
    UserError: some edge is not run through exactly once in each direction.
  """
  faces = np.asarray(faces, np.int32)
  if faces.ndim != 2 or faces.shape[1] != 3:
    raise UserError(f'faces of a silhouette: expected [F, 3], got {list(faces.shape)}')
  try:
    edges, sides = meshes.edge_faces(faces)
    closed = np.all(sides >= 0)
  except ValueError:
    closed = False
  if not closed:
    raise UserError('faces of a silhouette: the mesh is open or not consistently oriented; close it first '
                    '(HandModel.closed_faces, geometry.meshes.cap_boundary)')
  return ContourTopology(faces, edges.astype(np.int32), sides.astype(np.int32))


def find_contour(vertices_px: tf.Tensor, topology: ContourTopology,
                 budget: Optional[ranges.Budget] = None) -> ContourEdges:
  """Finds the contour edges: those between a face seen from the front and one seen from behind.

  Args:
    vertices_px: [V, B, 2], pixels, finite. Vertices come first so that each gather moves whole batches.
    topology: of the mesh.
    budget: fixed length of the list; unused entries have length and winding 0.

  Returns:
    `ContourEdges` of the whole batch.
  """
  batch = tf.shape(vertices_px)[1]
  corner = [tf.gather(vertices_px, topology.faces[:, k]) for k in range(3)]
  (ax, ay), (bx, by) = (tf.unstack(other - corner[0], axis=-1) for other in corner[1:])
  from_behind = ax * by > ay * bx  # (b - a) cross (c - a) > 0, where y is down, [F, B]
  first, second = (tf.gather(from_behind, topology.edge_faces[:, k]) for k in range(2))  # [E, B] each
  kept, there = ranges.list_true(tf.reshape(tf.not_equal(first, second), [-1]), budget)
  edge, image = kept // batch, kept % batch
  winding = 1 - 2 * tf.cast(tf.gather(tf.reshape(first, [-1]), kept), vertices_px.dtype)
  vertices = tf.gather(topology.edges, edge) * batch + image[:, tf.newaxis]
  ends = tf.gather(tf.reshape(vertices_px, [-1, 2]), vertices)
  if there is not None:
    winding = tf.where(there, winding, 0)
    ends = tf.where(there[:, tf.newaxis, tf.newaxis], ends, 0)
  x, y, x1, y1 = ranges.columns_of(tf.reshape(ends, [-1, 4]))
  return ContourEdges(x, y, x1 - x, y1 - y, winding, image, vertices)


def find_pieces(contour: ContourEdges, height: int, width: int, budget: Optional[ranges.Budget] = None) -> Pieces:
  """Cuts the contour edges into the pieces that lie in one pixel each.

  Within a row of pixels everything along an edge is linear in x: from `left` to `right` its place runs over
  `signed_length` and its height over `rise`. So a pixel's share of both is (high - low) / (right - left), low and high
  the edge's ends in the pixel; 1 for an upright edge.

  Args:
    contour: edges of the batch.
    height: of the image in pixels.
    width: of the image in pixels.
    budget: fixed lengths of two lists, (edge, row) and (edge, pixel); unused entries have length 0.

  Returns:
    `Pieces`. Those above, below and on the right of the image are left out; in each row, an edge's part on the left of
    the image is one piece.
  """
  rows = _find_rows(contour, height, budget)
  left, right = rows.left, rows.right
  first = tf.cast(tf.floor(ranges.clip(left, -1, width)), tf.int64)
  end = tf.cast(tf.floor(ranges.clip(right, -1, width - 1)), tf.int64) + 1
  if rows.there is not None:
    end = tf.where(rows.there, end, -1)
  # Columns are counted from one on, so that the column -1 left of the image does not make packed numbers negative.
  span, column, there = ranges.expand(first + 1, end + 1, budget)
  column = tf.cast(column, tf.int32) - 1

  # Per row: whatever its pixels share.
  per_width, upright = tf.math.reciprocal_no_nan(right - left), tf.cast(left >= right, left.dtype)
  table = ranges.table_of([left, right, rows.length, per_width, upright, rows.from_left, rows.signed_length, rows.rise])
  left, right, length, per_width, upright, from_left, signed_length, rise = ranges.columns_of(tf.gather(table, span))
  edge, row = ranges.columns_of(tf.gather(rows.origin, span))
  # Signs are multiplied where tf.where, ten times as slow, would do.
  cell, beside = tf.cast(column, left.dtype), tf.cast(column < 0, left.dtype)
  low, high = tf.maximum(left, cell - beside * 2.**30), tf.minimum(right, cell + 1)
  part, middle = (high - low) * per_width + upright, (low + high) / 2
  pieces = Pieces(
      edge=edge, row=row, column=column,
      length=part * length, rise=part * rise,
      middle=from_left + ((middle - left) * per_width + upright / 2) * signed_length,
      offset=(middle - cell) * (1 - beside) + beside)
  if there is not None:
    pieces = pieces._replace(**{name: tf.where(there, getattr(pieces, name), 0) for name in (
        'length', 'middle', 'rise', 'offset')})
  return pieces


def _find_rows(contour, height, budget):
  """Cuts the contour edges into the parts that lie in one row of pixels each: `_Rows`.

  An edge from (x, y) to (x + dx, y + dy) crosses the height h at place (h - y) / dy, clipped to 0 .. 1.
  """
  end_y = contour.y + contour.dy
  first = tf.cast(tf.floor(ranges.clip(tf.minimum(contour.y, end_y), 0, height)), tf.int64)
  end = tf.cast(tf.math.ceil(ranges.clip(tf.maximum(contour.y, end_y), 0, height)), tf.int64)
  edge, row, there = ranges.expand(first, end, budget)

  table = ranges.table_of([contour.x, contour.y, contour.dx, 1 / contour.dy, contour.winding * contour.dy])
  x, y, dx, per_dy, rise = ranges.columns_of(tf.gather(table, edge))
  # Places along the edge where it enters the row from above and from below. A level edge has infinite 1 / dy.
  above = tf.cast(row, y.dtype) - y
  upper, lower = (ranges.clip(tf.math.multiply_no_nan(per_dy, down), 0, 1) for down in (above, above + 1))
  x_upper, x_lower = x + upper * dx, x + lower * dx
  signed = lower - upper
  length = tf.abs(signed)
  # In a row, place along the edge is linear in x: from the end where x is least, backward if the edge runs left.
  leftward = x_lower < x_upper
  origin = ranges.table_of([tf.cast(edge, tf.int32), tf.gather(contour.image, edge) * height + tf.cast(row, tf.int32)])
  return _Rows(origin, tf.minimum(x_upper, x_lower), tf.maximum(x_upper, x_lower), length,
               tf.where(leftward, lower, upper), tf.where(leftward, -signed, signed), rise * length, there)
