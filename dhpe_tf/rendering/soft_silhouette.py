"""The silhouette of Soft Rasterizer (Liu et al., 2019), exact to 1e-6, with its own gradient.

Every face f covers every pixel with probability

  p_f = sigmoid(e_f),    e_f = +-d_f^2 / sigma,    alpha = 1 - prod_f (1 - p_f)    (their Eqs. 1 and 3),

d_f the distance from the pixel's centre x to the nearest point y of the face's outline, + inside. As log(1 - p) =
-softplus(e), the gradient is

  d alpha / d e_f = (1 - alpha) p_f,    d e_f / d y = -+2 (x - y) / sigma,

shared among the ends of the edge on which y lies by its place there. Faces beyond d^2 = `tail` * sigma add less than
2e-7 each and may be left out; none is left out because there are too many.

On a dense mesh many faces add their blur, and the silhouette is fatter than the mesh: `exact_area` has no such bias.
"""
from typing import NamedTuple, Union

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import crop_view
from dhpe_tf.rendering.ranges import centres_within, clip, columns_of, expand_ranges, table_of

# Number of pixels, of one or more images, that are computed at a time.
_PIXELS_AT_ONCE = 60_000


class _Touches(NamedTuple):
  """(face, pixel) pairs within reach, N of them.

  Attributes:
    pixel: int32 [N], counted through the images at hand, as are triangles.
    edge: int32 [N], corner (triangle * 3 + k) at which the nearest edge starts; it runs to the next corner.
    exponent: [N], +-d^2 / sigma.
    x, y: [N], the pixel's centre.
  """

  pixel: tf.Tensor
  edge: tf.Tensor
  exponent: tf.Tensor
  x: tf.Tensor
  y: tf.Tensor


@gin.configurable(module='rendering', denylist=['vertices_px', 'faces', 'image_size'])
def soft_silhouette(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor], image_size: tuple[int, int],
                    sigma: float = 1e-4, tail: float = 16.) -> tf.Tensor:
  """Soft silhouettes of a batch of meshes, open or closed, that share their faces.

  Args:
    vertices_px: [B, V, 2 or 3], pixels. A mesh that cannot be drawn (`crop_view.empty_unless_drawable`) is empty.
    faces: int [F, 3], constant.
    image_size: (height, width) in pixels.
    sigma: sharpness, in units of the square of half the image's larger side, as in the original.
    tail: faces farther than the root of tail * sigma may be left out.

  Returns:
    [B, height, width] in 0 .. 1.
  """
  height, width = map(int, image_size)
  faces = np.asarray(faces, np.int32)
  variance = sigma * (max(height, width) / 2)**2
  vertices_px = tf.convert_to_tensor(vertices_px)[..., :2]

  @tf.custom_gradient
  def soft(vertices):
    images = _InTurn(faces, tf.shape(vertices)[0], height * width)
    uncovered, touches = images.forward(vertices, height, width, variance, tail)

    def gradient(upstream):
      return images.backward(vertices, tf.reshape(upstream, [-1]) * uncovered * (2 / variance), touches)

    return tf.reshape(1 - uncovered, [-1, height, width]), gradient

  alpha = soft(crop_view.empty_unless_drawable(vertices_px))
  alpha.set_shape([vertices_px.shape[0], height, width])
  return alpha


class _InTurn:
  """Computes a few images at a time, which bounds the memory whatever the batch.

  Args:
    faces: int32 [F, 3].
    batch: int32 [], B.
    pixels: of one image.
  """

  def __init__(self, faces, batch, pixels):
    self._faces, self._batch, self._pixels = tf.constant(faces), batch, pixels
    self._at_once = max(1, _PIXELS_AT_ONCE // pixels)

  def forward(self, vertices, height, width, variance, tail):
    """prod(1 - p) [B * pixels] of vertices [B, V, 2], and `_Touches` as TensorArrays with one element per turn."""
    def turn(start, uncovered, touches):
      stop = tf.minimum(start + self._at_once, self._batch)
      found = _find_touches(self._corners(vertices, start, stop), self._faces.shape[0], height, width, variance, tail)
      # log(1 - p) = -softplus(exponent)
      total = tf.math.unsorted_segment_sum(tf.math.softplus(found.exponent), found.pixel, (stop - start) * self._pixels)
      touches = [array.write(array.size(), x) for array, x in zip(touches, found)]
      return stop, uncovered.write(uncovered.size(), tf.exp(-total)), touches

    touches = [_array(t) for t in [tf.int32, tf.int32] + [vertices.dtype] * 3]
    _, uncovered, touches = tf.while_loop(lambda start, *_: start < self._batch, turn,
                                          (0, _array(vertices.dtype), touches), parallel_iterations=1)
    return _concat(uncovered, []), touches

  def backward(self, vertices, push, touches):
    """Gradient [B, V, 2] from `push` [B * pixels], upstream (1 - alpha) 2 / sigma."""
    def turn(start, index, slopes):
      stop = tf.minimum(start + self._at_once, self._batch)
      corners = self._corners(vertices, start, stop)
      ends = _push_ends(corners, _Touches(*(array.read(index) for array in touches)),
                        push[start * self._pixels:stop * self._pixels])
      # An edge's end is the next corner: its gradient goes there. [images, F, 3 corners, 2]
      at_corner = tf.reshape(ends[..., :2] + tf.roll(ends[..., 2:], 1, axis=1), [stop - start, -1, 3, 2])
      slope = tf.math.unsorted_segment_sum(tf.transpose(at_corner, [1, 2, 0, 3]), self._faces, tf.shape(vertices)[1])
      return stop, index + 1, slopes.write(index, tf.transpose(slope, [1, 0, 2]))

    shape = vertices.shape[1:].as_list()
    _, _, slopes = tf.while_loop(lambda start, *_: start < self._batch, turn,
                                 (0, 0, _array(vertices.dtype, shape)), parallel_iterations=1)
    return _concat(slopes, shape)

  def _corners(self, vertices, start, stop):
    """Corners [n * F, 3, 2] of some images; far away where the mesh is a point, which stands for nothing to draw."""
    vertices = vertices[start:stop]
    drawn = tf.reduce_any(vertices != 0, axis=[1, 2], keepdims=True)
    return tf.reshape(tf.gather(tf.where(drawn, vertices, -2.**20), self._faces, axis=1), [-1, 3, 2])


def _array(dtype, shape=()):
  """A growing TensorArray of elements [n, *shape], n different from one to the next."""
  return tf.TensorArray(dtype, size=0, dynamic_size=True, infer_shape=False, element_shape=[None, *shape],
                        clear_after_read=False)


def _concat(array, shape):
  """Concatenates a TensorArray's elements to [N, *shape]; an empty element is added, as no array may be empty."""
  return array.write(array.size(), tf.zeros([0, *shape], array.dtype)).concat()


def _push_ends(corners, touches, push):
  """Gradient on the starts and ends of the edges of triangles [K, 3, 2]: [K, 3, 4], from `push` [pixels].

  With the nearest point y at place m (0 .. 1) of an edge, the start gets (1 - m) and the end m of -sign push p (x - y).
  """
  # The exponent's sign is that of the point: inside, moving the edge away from it covers it better.
  push = -tf.gather(push, touches.pixel) * tf.sigmoid(touches.exponent) * tf.sign(touches.exponent)
  edges = tf.gather(tf.reshape(_edge_table(corners), [-1, 5]), touches.edge)
  x0, y0, ux, uy, length = columns_of(edges)
  right, down = touches.x - x0, touches.y - y0
  place = tf.minimum(tf.maximum(right * ux + down * uy, 0), length)
  push_x, push_y = push * (right - place * ux), push * (down - place * uy)
  far = place / length
  far_x, far_y = push_x * far, push_y * far
  ends = table_of([push_x - far_x, push_y - far_y, far_x, far_y])
  return tf.reshape(tf.math.unsorted_segment_sum(ends, touches.edge, 3 * tf.shape(corners)[0]), [-1, 3, 4])


def _edge_table(corners):
  """The three edges [..., 3, 5] of triangles [..., 3, 2]: start (x, y), unit vector along the edge (x, y), length."""
  delta = tf.roll(corners, -1, axis=-2) - corners
  # A root has no slope at 0; nor has an edge without length a direction.
  length = tf.sqrt(tf.maximum(tf.reduce_sum(delta**2, axis=-1, keepdims=True), 1e-30))
  return tf.concat([corners, delta / length, length], axis=-1)


def _find_touches(corners, faces, height, width, variance, tail):
  """`_Touches` of triangles [K, 3, 2], `faces` per image: the pixels within sqrt(tail * variance) of each triangle."""
  dtype, reach = corners.dtype, float(np.sqrt(tail * variance))
  y = corners[..., 1]
  triangle, row = expand_ranges(*centres_within(
      tf.reduce_min(y, axis=1) - reach, tf.reduce_max(y, axis=1) + reach, height))
  # Per row: whatever its pixels share.
  table = tf.gather(tf.reshape(_edge_table(corners), [-1, 15]), triangle)
  edges = columns_of(table)
  x0, y0, ux, uy, length = (edges[k::5] for k in range(5))
  centre = tf.cast(row, dtype) + .5
  down = [centre - v for v in y0]
  dx, dy = ([u * n for u, n in zip(unit, length)] for unit in (ux, uy))
  left, right = _span(x0, down, dx, dy, reach)
  first_inside, last_inside = _span(x0, down, dx, dy, 0)
  span, column = expand_ranges(*centres_within(left, right, width))

  # In units of the blur: distance to the edge's line, place along the edge and its length are linear in x.
  unit = float(1 / np.sqrt(variance))
  beside = [(down[k] * ux[k] + x0[k] * uy[k]) * unit for k in range(3)]
  along = [(down[k] * uy[k] - x0[k] * ux[k]) * unit for k in range(3)]
  scaled = [unit * n for values in (uy, ux, length) for n in values]
  table = table_of([*beside, *along, *scaled, first_inside, last_inside, centre])
  columns = columns_of(tf.gather(table, span))
  x = tf.cast(column, dtype) + .5
  exponent, slot = _nearest_edge(columns, x)
  triangle = tf.cast(triangle, tf.int32)
  origins = table_of([triangle * 3, (triangle // faces * height + tf.cast(row, tf.int32)) * width])
  edge, pixel = columns_of(tf.gather(origins, span))
  return _Touches(pixel + tf.cast(column, tf.int32), edge + slot, exponent, x, columns[17])


def _nearest_edge(columns, x):
  """The exponent +-d^2 / sigma [N] of pixels at x [N], and which of the face's edges is nearest, int32 [N].

  `columns` are the 18 columns [N] of `_find_touches`' table of a face in a row, lengths in units of sqrt(sigma): for
  each of the three edges the distance to its line and the place along it, both at x = 0, the slopes of the two in x and
  the edge's length; then the x where the inside begins, where it ends, and the row's centre.

    d^2 = min over edges of beside^2 + (place - clip(place, 0, length))^2.
  """
  beside, along, uy, ux, length = (columns[3 * k:3 * k + 3] for k in range(5))
  zero, squares = tf.zeros([], x.dtype), []
  for k in range(3):
    place = along[k] + x * ux[k]
    beyond = place - tf.minimum(tf.maximum(place, zero), length[k])
    squares.append(tf.square(beside[k] - x * uy[k]) + tf.square(beyond))
  # tf.where costs ten times a product: signs and numbers are multiplied instead. At a corner, where two edges are
  # equally near, the first is taken alone.
  least = tf.minimum(squares[0], squares[1])
  slot = tf.maximum(tf.cast(squares[1] < squares[0], tf.int32), 2 * tf.cast(squares[2] < least, tf.int32))
  inside = tf.sign(tf.minimum(x - columns[15], columns[16] - x))
  return inside * tf.minimum(least, squares[2]), slot


def _span(x0, down, dx, dy, reach):
  """Least and greatest x within reach of a triangle in a row (inf, -inf if there is none).

  The row is a band of height 2 reach, to which the edges are cut; reach is then added on both sides. A reach of 0 gives
  the x where the row enters and leaves the triangle.
  """
  lefts, rights = [], []
  for k in range(3):
    per_dy = tf.math.reciprocal_no_nan(dy[k])
    one, two = (clip((down[k] + side) * per_dy, 0, 1) for side in (-reach, reach))
    # An edge beyond the band (or level in it, whose ends are those of others) does not count.
    beyond = (tf.minimum(down[k], down[k] - dy[k]) > reach) | (tf.maximum(down[k], down[k] - dy[k]) < -reach)
    ends = x0[k] + one * dx[k], x0[k] + two * dx[k]
    lefts.append(tf.where(~beyond, tf.minimum(*ends), np.inf))
    rights.append(tf.where(~beyond, tf.maximum(*ends), -np.inf))
  left, right = lefts[0], rights[0]
  for k in (1, 2):
    left, right = tf.minimum(left, lefts[k]), tf.maximum(right, rights[k])
  return left - reach, right + reach
