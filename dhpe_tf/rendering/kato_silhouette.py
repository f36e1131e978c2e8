"""The silhouette with the gradient of Neural 3D Mesh Renderer (Kato, Ushiku and Harada, 2018), the paper's renderer.

Forward it is the hard mask. Backward, consider an outline edge that crosses a row (and, for y, a column) of pixels at
x. Moving the edge to the centre x_j of pixel j would change that pixel by 1, so its slope is taken as 1 / |x_j - x|
(their Fig. 3), and the loss with upstream gradient g_j has

  dL / dx = sum_j +- g_j / |x_j - x|,    dL / dx_0 = (1 - m) dL / dx,    dL / dx_1 = m dL / dx,

m the place of the crossing on the edge from x_0 to x_1; + where the mesh lies on the left of the edge. Pixels outside
the mesh count where the loss wants them brighter (g_j < 0), those of the face inside where it wants them darker.
"""
from typing import NamedTuple, Union

import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import crop_view, rasterizer
from dhpe_tf.rendering.ranges import centres_within, columns_of, expand_ranges, table_of

# Keeps the slope of a pixel centre that lies on an edge finite; pixels.
_LEAST_DISTANCE = 1e-3


def kato_silhouette(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor],
                    image_size: tuple[int, int]) -> tf.Tensor:
  """Hard silhouettes of a batch of meshes that share their faces, with an approximate gradient.

  Args:
    vertices_px: [B, V, 2 or 3], (x, y) in pixels and depth. Of overlapping faces only the nearest is moved; without
      depth the lowest in number.
    faces: int [F, 3], constant.
    image_size: (height, width) in pixels.

  Returns:
    [B, height, width], 0 or 1.
  """
  height, width = map(int, image_size)
  faces = np.asarray(faces, np.int32)
  vertices_px = tf.convert_to_tensor(vertices_px)

  @tf.custom_gradient
  def hard(vertices):
    visible = rasterizer.find_visible(vertices, faces, (height, width))
    ones = tf.ones_like(visible.depth)
    seen = tf.cast(rasterizer.to_image(visible, visible.face[:, tf.newaxis] + 1)[..., 0] - 1, tf.int32)
    mask = rasterizer.to_image(visible, ones[:, tf.newaxis])[..., 0]

    def gradient(upstream):
      flip = [1, 0]
      along_x = _slopes(vertices[..., :2], faces, seen, upstream)
      along_y = _slopes(tf.gather(vertices, flip, axis=-1), faces, *(tf.transpose(t, [0, 2, 1])
                                                                     for t in (seen, upstream)))
      rest = [tf.zeros_like(along_x)] * (vertices.shape[-1] - 2)
      return tf.stack([along_x, along_y, *rest], axis=-1)

    return mask, gradient

  if vertices_px.shape[-1] == 2:
    vertices_px = tf.concat([vertices_px, tf.zeros_like(vertices_px[..., :1])], axis=-1)
  mask = hard(crop_view.empty_unless_drawable(vertices_px))
  mask.set_shape([vertices_px.shape[0], height, width])
  return mask


class _Crossings(NamedTuple):
  """Crossings of outline edges of seen faces with the rows of pixels, E of them.

  Attributes:
    row: int32 [E], image * height + row.
    x: [E], of the crossing.
    place: [E], where on the edge, 0 .. 1.
    ends: int32 [E, 2], the edge's vertices, image * V + vertex.
    face: int32 [E].
    side: int32 [E], 1 if the outside is on the right, -1 on the left.
    inner: int32 [E], column of the first pixel inside.
    depth: int32 [E], how many pixels the face may reach from there on.
  """

  row: tf.Tensor
  x: tf.Tensor
  place: tf.Tensor
  ends: tf.Tensor
  face: tf.Tensor
  side: tf.Tensor
  inner: tf.Tensor
  depth: tf.Tensor


def _slopes(vertices, faces, seen, upstream):
  """Gradient with respect to the first coordinate of vertices [B, V, 2], of which rows are the second.

  `seen` int32 [B, H, W] is the face in each pixel, -1 for none; `upstream` [B, H, W] the mask's gradient.
  """
  crossings = _find_crossings(vertices, faces, seen)
  width = tf.shape(seen)[2]
  outer = tf.where(crossings.side > 0, width - 1 - crossings.inner, crossings.inner)
  brighter, darker = tf.minimum(upstream, 0), tf.maximum(upstream, 0)
  total = _pull(crossings, 1, outer, seen, brighter) + _pull(crossings, 0, crossings.depth, seen, darker)
  ends = table_of([total * (1 - crossings.place), total * crossings.place])
  shape = tf.shape(vertices)[:2]
  return tf.reshape(tf.math.unsorted_segment_sum(ends, crossings.ends, shape[0] * shape[1]), shape)


def _find_crossings(vertices, faces, seen):
  """`_Crossings` of faces [F, 3] over vertices [B, V, 2] with the faces seen [B, H, W]."""
  height, width = tf.shape(seen)[1], tf.shape(seen)[2]
  dtype = vertices.dtype
  # Every edge of every face, with the third vertex, which tells the inside.
  edges = np.stack([faces, np.roll(faces, -1, axis=1), np.roll(faces, -2, axis=1)], axis=-1).reshape(-1, 3)
  corners = tf.reshape(tf.gather(vertices, edges, axis=1), [-1, 6])
  low, high = tf.minimum(corners[:, 1], corners[:, 3]), tf.maximum(corners[:, 1], corners[:, 3])
  first, end = centres_within(low, high, height)
  number, row = expand_ranges(first, tf.where(high > low, end, 0))
  x0, y0, x1, y1, x2, y2 = columns_of(tf.gather(corners, number))
  number, row = tf.cast(number, tf.int32), tf.cast(row, tf.int32)
  place = (tf.cast(row, dtype) + .5 - y0) / (y1 - y0)
  x = x0 + place * (x1 - x0)
  # The inside is right of the edge if the third vertex is right of the edge's line at that vertex' height.
  side = tf.where(x2 > x0 + (y2 - y0) / (y1 - y0) * (x1 - x0), -1, 1)
  inner = tf.clip_by_value(tf.where(side > 0, tf.math.ceil(x - .5) - 1, tf.floor(x - .5) + 1), -1,
                           tf.cast(width, dtype))
  inner = tf.cast(inner, tf.int32)
  depth = tf.where(side > 0, x - tf.minimum(tf.minimum(x0, x1), x2), tf.maximum(tf.maximum(x0, x1), x2) - x)
  depth = tf.cast(tf.clip_by_value(depth, 0, tf.cast(width, dtype)), tf.int32) + 1
  image, edge = number // len(edges), number % len(edges)
  ends = tf.gather(edges[:, :2].astype(np.int32), edge) + (image * tf.shape(vertices)[1])[:, tf.newaxis]
  every = _Crossings(image * height + row, x, place, ends, edge // 3, side, inner, depth)
  # An outline: the edge's own face is seen on the inner side, nothing on the outer.
  outline = (_at(seen, every.row, inner, -2) == every.face) & (_at(seen, every.row, inner + side, -1) == -1)
  return _Crossings(*(tf.boolean_mask(value, outline) for value in every))


def _at(values, row, column, beyond):
  """Values [B, H, W] in rows (image * H + row) and columns, `beyond` where the column is outside the image."""
  width = tf.shape(values)[2]
  inside = (column >= 0) & (column < width)
  flat = tf.gather(tf.reshape(values, [-1]), row * width + tf.where(inside, column, 0))
  return tf.where(inside, flat, tf.cast(beyond, values.dtype))


def _pull(crossings, start, count, seen, upstream):
  """Slope dL / dx [E] of the loss as each crossing moves right, from the pixels on one of its sides.

  The pixels go from the inner one outward, and only empty ones count (start 1), or inward, and only the face's own
  count (start 0).
  """
  which, step = expand_ranges(tf.zeros_like(count, tf.int64), tf.cast(count, tf.int64))
  row, x, face, side, inner = (tf.gather(t, which) for t in (
      crossings.row, crossings.x, crossings.face, crossings.side, crossings.inner))
  column = inner + side * (tf.cast(step, tf.int32) + 1 if start else -tf.cast(step, tf.int32))
  wanted = -1 if start else face
  pull = tf.where(_at(seen, row, column, -2) == wanted, _at(upstream, row, column, 0), 0)
  distance = tf.abs(tf.cast(column, x.dtype) + .5 - x) + _LEAST_DISTANCE
  # Outward on either side covers more: to the right that is a growing x, to the left a falling one.
  return tf.math.unsorted_segment_sum(tf.cast(side, x.dtype) * pull / distance, which, tf.shape(count)[0])
