"""The silhouette of Soft Rasterizer (Liu et al., 2019), exact to 1e-6, with its own gradient.

Every face covers every pixel with probability p = sigmoid(+-d^2 / sigma), d the distance from the pixel's centre to the
face's outline, + inside; the silhouette is 1 - prod(1 - p) (their Eqs. 1 and 3). Faces beyond d^2 = `tail` * sigma add
less than 2e-7 and are left out; no face is left out because there are too many.

On a dense mesh many faces add their blur, and the silhouette is fatter than the mesh: `exact_area` has no such bias.
"""
from typing import NamedTuple, Union

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import crop_view
from dhpe_tf.rendering.ranges import expand_ranges

# Images are worked on in turn so that what is needed at one time stays in the cache; small ones several at once.
_PIXELS_AT_ONCE = 60_000


class _Touches(NamedTuple):
  """(face, pixel) pairs within reach, N of them: the forward result and all that the gradient needs.

  Attributes:
    pixel: int32 [N].
    edge: int32 [N], corner slot (triangle * 3 + k) at which the nearest edge starts; it runs to the next corner.
    exponent: [N], +-d^2 / sigma.
    along: [N], where on the edge the nearest point is, 0 .. 1.
    away_x, away_y: [N], from that point to the pixel's centre.
  """

  pixel: tf.Tensor
  edge: tf.Tensor
  exponent: tf.Tensor
  along: tf.Tensor
  away_x: tf.Tensor
  away_y: tf.Tensor


@gin.configurable(module='rendering', denylist=['vertices_px', 'faces', 'image_size'])
def soft_silhouette(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor], image_size: tuple[int, int],
                    sigma: float = 1e-4, tail: float = 16.) -> tf.Tensor:
  """Soft silhouettes of a batch of meshes, open or closed, that share their faces.

  Args:
    vertices_px: [B, V, 2 or 3], pixels. A mesh that cannot be drawn (`crop_view.empty_unless_drawable`) is empty.
    faces: int [F, 3], constant.
    image_size: (height, width) in pixels.
    sigma: sharpness, in units of the square of half the image's larger side, as in the original.
    tail: faces farther than the root of tail * sigma are left out.

  Returns:
    [B, height, width] in 0 .. 1.
  """
  height, width = map(int, image_size)
  faces = np.asarray(faces, np.int32)
  variance = sigma * (max(height, width) / 2)**2
  vertices_px = tf.convert_to_tensor(vertices_px)[..., :2]

  @tf.custom_gradient
  def soft(vertices):
    drawn = tf.reduce_any(vertices != 0, axis=[1, 2])
    corners = tf.gather(vertices, tf.constant(faces), axis=1)  # [B, F, 3, 2]
    corners = tf.where(drawn[:, tf.newaxis, tf.newaxis, tf.newaxis], corners, -2.**20)
    touches = _touches_in_turn(corners, height, width, variance, tail)
    pixels = tf.shape(vertices)[0] * height * width
    # log(1 - p) = -softplus(exponent)
    uncovered = tf.exp(-tf.math.unsorted_segment_sum(tf.math.softplus(touches.exponent), touches.pixel, pixels))

    def gradient(upstream):
      push = tf.reshape(upstream, [-1]) * uncovered * (2 / variance)
      push = tf.gather(push, touches.pixel) * tf.sigmoid(touches.exponent)
      # The exponent's sign is that of the point: inside, moving the edge away from it covers it better.
      push = tf.where(touches.exponent > 0, -push, push)
      far = push * touches.along
      near = push - far
      ends = tf.stack([near * touches.away_x, near * touches.away_y, far * touches.away_x, far * touches.away_y], -1)
      slots = tf.math.unsorted_segment_sum(ends, touches.edge, tf.size(corners) // 2)
      slots = tf.reshape(slots, [-1, 3, 4])
      at_corner = tf.reshape(slots[..., :2] + tf.roll(slots[..., 2:], 1, axis=1), tf.shape(corners))
      per_vertex = tf.math.unsorted_segment_sum(
          tf.transpose(at_corner, [1, 2, 0, 3]), tf.constant(faces), tf.shape(vertices)[1])
      return tf.transpose(per_vertex, [1, 0, 2])

    return tf.reshape(1 - uncovered, [-1, height, width]), gradient

  alpha = soft(crop_view.empty_unless_drawable(vertices_px))
  alpha.set_shape([vertices_px.shape[0], height, width])
  return alpha


def _touches_in_turn(corners, height, width, variance, tail):
  """`_Touches` of corners [B, F, 3, 2], a few images at a time."""
  batch, faces = tf.shape(corners)[0], corners.shape[1]
  at_once = max(1, _PIXELS_AT_ONCE // (height * width))

  def some(start, arrays):
    stop = tf.minimum(start + at_once, batch)
    image = tf.repeat(tf.range(start, stop), faces)
    found = _find_touches(tf.reshape(corners[start:stop], [-1, 3, 2]), image, height, width, variance, tail)
    found = found._replace(edge=found.edge + start * faces * 3)
    return stop, [array.write(array.size(), x) for array, x in zip(arrays, found)]

  dtypes = [tf.int32, tf.int32] + [corners.dtype] * 4
  arrays = [tf.TensorArray(t, size=0, dynamic_size=True, infer_shape=False, element_shape=[None]) for t in dtypes]
  _, arrays = tf.while_loop(lambda start, _: start < batch, some, (0, arrays), parallel_iterations=1)
  # An empty array cannot be concatenated.
  return _Touches(*(array.write(array.size(), tf.zeros([0], t)).concat() for array, t in zip(arrays, dtypes)))


def _find_touches(corners, image, height, width, variance, tail):
  """`_Touches` of triangles [K, 3, 2] of images int32 [K]."""
  dtype, reach = corners.dtype, float(np.sqrt(tail * variance))
  ends = tf.roll(corners, -1, axis=1)
  delta = ends - corners
  length2 = tf.reduce_sum(delta**2, axis=-1)
  per_length2 = tf.math.reciprocal_no_nan(length2)
  y = corners[..., 1]
  triangle, row = expand_ranges(_first(tf.reduce_min(y, axis=1) - reach, height),
                                _last(tf.reduce_max(y, axis=1) + reach, height) + 1)
  # What is constant in a row is worked out once a row: 3 edges x (start x and y, delta x and y, 1 / length^2).
  table = tf.gather(tf.concat([corners[..., 0], y, delta[..., 0], delta[..., 1], per_length2], axis=1), triangle)
  centre = tf.cast(row, dtype) + .5
  columns = tf.unstack(table, axis=1)
  x0, y0, dx, dy, per = (columns[3 * k:3 * k + 3] for k in range(5))
  down = [centre - v for v in y0]
  left, right = _span(x0, down, dx, dy, reach)
  span, column = expand_ranges(_first(left, width), _last(right, width) + 1)

  along = [(down[k] * dy[k] - x0[k] * dx[k]) * per[k] for k in range(3)]
  per_x = [dx[k] * per[k] for k in range(3)]
  rows = tf.gather(tf.stack([*x0, *down, *dx, *dy, *along, *per_x], axis=1), span)
  columns = tf.unstack(rows, axis=1)
  x0, down, dx, dy, along, per_x = (columns[3 * k:3 * k + 3] for k in range(6))
  x = tf.cast(column, dtype) + .5
  edges = [_nearest_on_edge(x, x0[k], down[k], dx[k], dy[k], along[k], per_x[k]) for k in range(3)]
  distance, where, away_x, away_y, slot = _least(edges)
  outside = [down[k] * dx[k] - (x - x0[k]) * dy[k] for k in range(3)]
  low, high = tf.minimum(tf.minimum(outside[0], outside[1]), outside[2]), tf.maximum(
      tf.maximum(outside[0], outside[1]), outside[2])
  inside = ((low >= 0) & (high > 0)) | ((high <= 0) & (low < 0))
  exponent = tf.where(inside, distance, -distance) / variance
  # What is out of reach after all gets no weight.
  exponent = tf.where(exponent >= -tail, exponent, -np.inf)
  triangle_row = tf.gather(tf.stack([tf.cast(triangle, tf.int32),
                                     (tf.gather(image, triangle) * height + tf.cast(row, tf.int32)) * width], 1), span)
  return _Touches(triangle_row[:, 1] + tf.cast(column, tf.int32), triangle_row[:, 0] * 3 + slot, exponent, where,
                  away_x, away_y)


def _first(low, size):
  return tf.cast(tf.math.ceil(tf.clip_by_value(low, 0, size + 1) - .5), tf.int64)


def _last(high, size):
  return tf.cast(tf.floor(tf.clip_by_value(high, -1, size) - .5), tf.int64)


def _span(x0, down, dx, dy, reach):
  """Least and greatest x within reach of a triangle in a row, seen as a band: edges cut to it, and reach added."""
  lefts, rights = [], []
  for k in range(3):
    per_dy = tf.math.reciprocal_no_nan(dy[k])
    one, two = (tf.clip_by_value((down[k] + side) * per_dy, 0, 1) for side in (-reach, reach))
    # An edge beyond the band (or level in it, whose ends are those of others) does not count.
    beyond = (tf.minimum(down[k], down[k] - dy[k]) > reach) | (tf.maximum(down[k], down[k] - dy[k]) < -reach)
    ends = x0[k] + one * dx[k], x0[k] + two * dx[k]
    lefts.append(tf.where(~beyond, tf.minimum(*ends), np.inf))
    rights.append(tf.where(~beyond, tf.maximum(*ends), -np.inf))
  left, right = lefts[0], rights[0]
  for k in (1, 2):
    left, right = tf.minimum(left, lefts[k]), tf.maximum(right, rights[k])
  return left - reach, right + reach


def _nearest_on_edge(x, x0, down, dx, dy, along, per_x):
  """(squared distance, place on the edge, offset from it) of points to an edge, all [N]."""
  place = tf.clip_by_value(along + x * per_x, 0, 1)
  away_x, away_y = x - x0 - place * dx, down - place * dy
  return away_x * away_x + away_y * away_y, place, away_x, away_y


def _least(edges):
  """The nearest of three edges; at a corner, where two are equally near, the first alone."""
  best = (*edges[0], tf.zeros_like(edges[0][0], tf.int32))
  for k in (1, 2):
    nearer = edges[k][0] < best[0]
    best = (*(tf.where(nearer, new, old) for new, old in zip(edges[k], best)), tf.where(nearer, k, best[4]))
  return best
