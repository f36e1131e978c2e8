"""The differentiable silhouette: exact pixel coverage, from the contour edges alone.

The number of faces over a point of the image, halved, is a winding number: 1 inside the silhouette (2, 3, .. where the
surface folds over itself), 0 outside. In the sum over faces only the contour edges remain, so the integral over a pixel
is a sum over the pieces of those edges in the pixel and on its left, as in the rendering of font outlines:

  area(row, column) = sum of rise (1 - offset) over the pieces in the pixel
                      + sum of rise over the pieces on its left in the row,
  alpha(row, column) = clip(area, 0, 1),

`rise` the piece's signed height and `offset` the place of its middle across the pixel (`contour.Pieces`). alpha is the
area of the pixel that the mesh covers (too large only where folds overlap within one partly covered pixel).

An edge that moves changes the coverage of the pixels it crosses, and of no other. Its part of length l (as a share of
the edge) whose middle lies at place m on the edge from p_0 to p_1 = p_0 + (dx, dy) gives

  d alpha / d p_0 = (1 - m) l n,    d alpha / d p_1 = m l n,    n = winding (-dy, dx),

and nothing where alpha is 0 or 1.
"""
import functools
from typing import Union

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import contour, crop_view, ranges

# A coverage has a gradient if it is farther than this from 0 and 1, by type: above the rounding of the running sum.
_MARGIN = {tf.float32: 1e-5, tf.float64: 1e-12}
# Number of columns that one small matrix product sums.
_BLOCK = 16
# In images up to this width one product sums all columns.
_AT_ONCE = 64


class ExactAreaSilhouette:
  """Silhouettes of one mesh topology.

  Attributes:
    topology: of the mesh.

  Args:
    faces: int [F, 3] of a closed, consistently oriented mesh (`HandModel.closed_faces`).

  Raises:
    UserError: the mesh is open or not consistently oriented.
  """

  def __init__(self, faces: np.ndarray):
    self.topology = contour.contour_topology(faces)

  def __call__(self, vertices_px: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Covered area of every pixel.

    Args:
      vertices_px: [B, V, 2] (or [B, V, 3], depth is ignored), pixels; float32 or float64. An image with a vertex that
        is not finite, or farther than 2^20 pixels, is empty and gives no gradient.
      image_size: (height, width) in pixels.

    Returns:
      [B, height, width] in 0 .. 1.
    """
    return self._silhouette(vertices_px, image_size, lambda: None)[0]

  def within_budget(self, vertices_px: tf.Tensor, image_size: tuple[int, int], edges: int = 512,
                    pieces: int = 4096) -> tuple[tf.Tensor, tf.Tensor]:
    """Covered area of every pixel, computed in lists of fixed length, for XLA (jit_compile=True).

    Args:
      vertices_px: [B, V, 2 or 3], B static.
      image_size: (height, width) in pixels.
      edges: contour edges an image, on average over the batch.
      pieces: (contour edge, pixel) pairs an image, on average over the batch.

    Returns:
      ([B, height, width] in 0 .. 1, bool [] overflow). If there are more edges or pieces than allowed, overflow is true
      and every pixel is NaN: the result cannot be used by mistake.
    """
    batch = vertices_px.shape[0]
    return self._silhouette(vertices_px, image_size, lambda: ranges.Budget(
        batch * edges, batch * pieces, batch * pieces))

  def _silhouette(self, vertices_px, image_size, make_budget):
    """Coverage [B, height, width] and overflow, bool []; `make_budget` gives the lists' budget, or None."""
    vertices = crop_view.empty_unless_drawable(tf.convert_to_tensor(vertices_px)[..., :2])
    height, width = map(int, image_size)

    @tf.custom_gradient
    def area(vertices):
      return self._area(vertices, height, width, make_budget())

    alpha, overflow = area(tf.transpose(vertices, [1, 0, 2]))
    alpha.set_shape([vertices_px.shape[0], height, width])
    return alpha, overflow

  def _area(self, vertices, height, width, budget):
    """((Coverage [B, height, width], overflow []), gradient function) of vertices [V, B, 2]."""
    shape = tf.shape(vertices)
    edges = contour.find_contour(vertices, self.topology, budget)
    pieces = contour.find_pieces(edges, height, width, budget)
    area = _running_area(pieces, shape[1] * height, width)
    alpha = tf.reshape(ranges.clip(area, 0, 1), [shape[1], height, width])
    overflow = tf.constant(False) if budget is None else budget.overflow
    if budget is not None:
      alpha = tf.where(~overflow, alpha, np.nan)

    def gradient(upstream, _):
      """Gradient [V, B, 2] from upstream [B, height, width]: d alpha / d p_0 and d alpha / d p_1 of all pieces."""
      margin = _MARGIN[vertices.dtype]
      # Column -1, outside the image, is read as column 0 and then masked.
      where = pieces.row * width + tf.maximum(pieces.column, 0)
      coverage = tf.gather(tf.reshape(alpha, [-1]), where)
      active = (coverage > margin) & (coverage < 1 - margin) & (pieces.column >= 0)
      push = tf.where(active, tf.gather(tf.reshape(upstream, [-1]), where), 0) * pieces.length  # upstream l, [P]
      lower = push * pieces.middle  # the share m of an edge's second end
      per_edge = tf.math.unsorted_segment_sum(ranges.table_of([push - lower, lower]), pieces.edge,
                                              tf.shape(edges.winding)[0])
      normal = ranges.table_of([-edges.winding * edges.dy, edges.winding * edges.dx])  # n, [K, 2]
      ends = per_edge[:, :, tf.newaxis] * normal[:, tf.newaxis, :]  # [K, end, 2]
      total = tf.math.unsorted_segment_sum(tf.reshape(ends, [-1, 2]), tf.reshape(edges.vertices, [-1]),
                                           shape[0] * shape[1])
      return tf.reshape(total, shape)

    return (alpha, overflow), gradient


def _running_area(pieces, rows, width):
  """Area [rows, width], not yet clipped: the pieces summed from left to right."""
  right_part = pieces.rise * pieces.offset
  # A piece adds to its own pixel the part of the row that it bounds there, and the rest to all pixels after it. On the
  # left of the image all is rest. After the last pixel nothing is left to add to: negative places are not summed.
  columns = -(-width // _BLOCK) * _BLOCK
  own = pieces.row * columns + pieces.column
  more = tf.cast(pieces.column < width - 1, tf.int32)
  total = tf.math.unsorted_segment_sum(tf.concat([pieces.rise - right_part, right_part], axis=0),
                                       tf.concat([own, (own + 2) * more - 1], axis=0), rows * columns)
  return _running_sum(tf.reshape(total, [rows, columns]), columns)[:, :width]


def _running_sum(values, columns):
  """Running sum of [rows, columns] along the columns, by matrix products: on a CPU six times as fast as tf.cumsum."""
  if tf.config.list_physical_devices('GPU'):  # whose matrix products may round float32 to ten bits
    return tf.cumsum(values, axis=1)
  if columns <= _AT_ONCE:
    return tf.matmul(values, tf.constant(np.triu(np.ones([columns] * 2)), values.dtype))
  blocks = tf.reshape(values, [-1, _BLOCK])
  within = tf.matmul(blocks, tf.constant(np.triu(np.ones([_BLOCK, _BLOCK])), values.dtype))
  sums = tf.reshape(within[:, -1], [-1, columns // _BLOCK])
  before = tf.matmul(sums, tf.constant(np.triu(np.ones([columns // _BLOCK] * 2), 1), values.dtype))
  # The addition is in place: the fewer arrays of the image's size are alive at one time, the less memory it takes.
  return tf.reshape(within + tf.reshape(before, [-1, 1]), [-1, columns])


def _for_faces(faces: Union[np.ndarray, tf.Tensor]) -> ExactAreaSilhouette:
  """The silhouette of faces [F, 3]; made once and kept."""
  return _cached(np.ascontiguousarray(faces, np.int32).tobytes())


@functools.lru_cache(maxsize=16)
def _cached(data: bytes) -> ExactAreaSilhouette:
  """The silhouette of the faces whose int32 bytes are `data`: arrays cannot be keys of a cache."""
  return ExactAreaSilhouette(np.frombuffer(data, np.int32).reshape(-1, 3))


def exact_area_silhouette(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor],
                          image_size: tuple[int, int]) -> tf.Tensor:
  """Covered area of every pixel, by `ExactAreaSilhouette`; the faces' topology is computed once and kept.

  Args:
    vertices_px: [B, V, 2 or 3], pixels.
    faces: int [F, 3] of a closed mesh.
    image_size: (height, width) in pixels.

  Returns:
    [B, height, width] in 0 .. 1.
  """
  return _for_faces(faces)(vertices_px, image_size)


@gin.configurable(module='rendering')
def exact_area_within_budget(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor], image_size: tuple[int, int],
                             edges: int = 512, pieces_per_row: int = 64) -> tf.Tensor:
  """`exact_area_silhouette` in lists of fixed length where the batch is of a fixed size, for XLA (jit_compile=True).

  Args:
    vertices_px: [B, V, 2 or 3], pixels. Where B is not static, as while Keras builds a model, lengths are not fixed.
    faces: int [F, 3] of a closed mesh.
    image_size: (height, width) in pixels.
    edges: contour edges allowed per image, on average over the batch.
    pieces_per_row: (contour edge, pixel) pairs allowed per row of pixels, on average over the batch.

  Returns:
    [B, height, width] in 0 .. 1; all NaN if there are more, so that a training stops and names the batch.

  Raises:
    UserError: the mesh is open or not consistently oriented.
  """
  if vertices_px.shape[0] is None:
    return exact_area_silhouette(vertices_px, faces, image_size)
  return _for_faces(faces).within_budget(vertices_px, image_size, edges, pieces_per_row * image_size[0])[0]
