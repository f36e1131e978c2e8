"""A rasterization backend for tensorflow_graphics, which has none that loads on a current TensorFlow.

`rasterize` has the arguments of `tensorflow_graphics.rendering.rasterization_backend.rasterize` and that library's
conventions: clip space, image sizes as (width, height), y = -1 in the first row. `install` makes it the CPU backend of
that function and of those that use it (triangle_rasterizer, rasterize_then_splat).
"""
import sys
from typing import Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import fragments, framebuffer

_THEIR_CPU_BACKEND = 'tensorflow_graphics.rendering.kernels.rasterization_backend'


def install() -> None:
  """Puts this module in the place of tensorflow_graphics' CPU backend, for the running process."""
  sys.modules[_THEIR_CPU_BACKEND] = sys.modules[__name__]


def rasterize(vertices: tf.Tensor, triangles: tf.Tensor, view_projection_matrices: tf.Tensor,
              image_size: tuple[int, int], enable_cull_face: bool = True, num_layers: int = 1,
              name: Optional[str] = 'dhpe_tf_rasterize'):
  """Rasterizes a batch of meshes that share their triangles.

  Triangles are clipped at the near plane and, pixel by pixel, between near and far. All is computed in float64, so that
  vertices far outside the image do no harm. No gradients: tensorflow_graphics' `differentiable_barycentrics` adds them.

  Args:
    vertices: [B, V, 3]. A mesh with a vertex that is not finite in clip space draws nothing.
    triangles: int [F, 3].
    view_projection_matrices: [B, 4, 4] (or [1, 4, 4]), world to clip space.
    image_size: (width, height) in pixels.
    enable_cull_face: leave out triangles whose corners run clockwise in x to the right and y in the direction of rows.
    num_layers: L, how many of the nearest triangles of each pixel to list.
    name: of the operations.

  Returns:
    `Framebuffer` of [B, L, H, W, ...]: triangle_id, vertex_ids, foreground_mask and perspective-correct barycentrics.

  Raises:
    ValueError: num_layers below 1, or shapes that do not fit.
  """
  if num_layers < 1:
    raise ValueError('num_layers must be > 0.')
  with tf.name_scope(name):
    vertices, triangles = tf.convert_to_tensor(vertices), tf.cast(tf.convert_to_tensor(triangles), tf.int32)
    width, height = map(int, image_size)
    # With a gradient in the barycentrics, positions interpolated by them would have none: they are the pixels' own.
    clip = tf.stop_gradient(
        _to_clip_space(vertices, tf.convert_to_tensor(view_projection_matrices), width, height))
    batch = tf.shape(clip)[1]
    corners = tf.stack([tf.reshape(tf.gather(clip, triangles[:, k]), [-1, 4]) for k in range(3)], axis=1)
    drawn = tf.reduce_all(tf.math.is_finite(corners), axis=[1, 2])
    if enable_cull_face:
      drawn &= tf.linalg.det(tf.gather(corners, [0, 1, 3], axis=2)) > 0
    listed = _list_fragments(tf.where(drawn[:, tf.newaxis, tf.newaxis], corners, 0), batch, width, height)
    layers = [_describe(layer, corners, batch, width, height, vertices.dtype)
              for layer in _peel(listed, batch * height * width, num_layers)]
    shape = [vertices.shape[0], num_layers, height, width]

    def image(values):
      values = tf.stack([tf.reshape(value, [-1, height, width, values[0].shape[-1]]) for value in values], axis=1)
      return tf.ensure_shape(values, shape + [None])

    face, barycentrics, mask = (image(values) for values in zip(*layers))
    return framebuffer.make(face, tf.gather(triangles, face[..., 0]), mask, barycentrics)


def _to_clip_space(vertices, matrices, width, height):
  """Clip coordinates [V, B, 4], float64, x and y scaled so that x / w is in pixels; images with NaN are all NaN."""
  vertices = tf.cast(vertices, tf.float64)
  homogeneous = tf.concat([vertices, tf.ones_like(vertices[..., :1])], axis=-1)
  clip = tf.matmul(homogeneous, tf.cast(matrices, tf.float64), transpose_b=True)
  x, y, z, w = tf.unstack(tf.transpose(clip, [1, 0, 2]), axis=-1)
  clip = tf.stack([(x + w) * (width / 2), (y + w) * (height / 2), z, w], axis=-1)
  return tf.where(tf.reduce_all(tf.math.is_finite(clip), axis=[0, 2], keepdims=True), clip, np.nan)


def _list_fragments(corners, batch, width, height):
  """`Fragments` of triangles [F * B, 3 corners, 4], cut off at the near plane; their source is modulo F * B."""
  # The part of a triangle before the near plane has up to four corners: two triangles, the second often empty.
  pieces = _clip_near(corners)
  count = tf.shape(corners)[0]
  screen = pieces[..., :3] / tf.where(pieces[..., 3:] > 0, pieces[..., 3:], 1)
  drawn = tf.reduce_all(pieces[..., 3] > 0, axis=1) & tf.reduce_all(tf.abs(screen[..., :2]) < 2.**40, axis=[1, 2])
  screen = tf.where(drawn[:, tf.newaxis, tf.newaxis], screen, 0)
  image = tf.tile(tf.range(batch), [tf.shape(pieces)[0] // batch])
  listed = fragments.list_triangle_fragments(
      tf.reshape(_sorted_corners(screen), [-1, 9]), image, (height, width), drawn)
  # z / w is linear in the image: no need to clip at the far plane but here.
  depth = tf.where((listed.depth >= -1) & (listed.depth < 1), listed.depth, np.inf)
  return listed._replace(source=listed.source % count, depth=depth)


def _clip_near(corners):
  """Cuts triangles [K, 3 corners, 4] in clip space at the near plane z = -w: [2 K, 3, 4].

  Triangle k leaves pieces k and K + k; a piece of which nothing is left has no area.
  """
  distance = corners[..., 2] + corners[..., 3]
  inside = distance >= 0
  number = tf.reduce_sum(tf.cast(inside, tf.int32), axis=1)
  # Turn the corners so that the odd one out (inside or outside) comes first.
  odd = tf.argmax(tf.cast(tf.equal(inside, (number == 1)[:, tf.newaxis]), tf.int32), axis=1, output_type=tf.int32)
  order = (odd[:, tf.newaxis] + tf.range(3)) % 3
  corners, distance = (tf.gather(x, order, axis=1, batch_dims=1) for x in (corners, distance))
  a, b, c = tf.unstack(corners, axis=1)
  da, db, dc = (d[:, tf.newaxis] for d in tf.unstack(distance, axis=1))
  ab, ac = _between(a, b, da, db), _between(a, c, da, dc)
  nothing = tf.zeros_like(a)
  number = number[:, tf.newaxis, tf.newaxis]
  one, two, whole = (tf.stack(x, axis=1) for x in ((a, ab, ac), (ab, b, c), (a, b, c)))
  first = tf.where(number == 3, whole, tf.where(number == 2, two, tf.where(number == 1, one, 0)))
  second = tf.where(number == 2, tf.stack([ab, c, ac], axis=1), tf.stack([nothing] * 3, axis=1))
  return tf.concat([first, second], axis=0)


def _between(a, b, da, db):
  """The point a - da (b - a) / (db - da) [K, 4] of segments a-b where the distances da, db [K, 1] cross 0.

  The ends are ordered by distance first, so that a-b and b-a give the same number.
  """
  swap = da > db
  low, high = tf.where(swap, b, a), tf.where(swap, a, b)
  d_low, d_high = tf.minimum(da, db), tf.maximum(da, db)
  return low + tf.math.divide_no_nan(-d_low, d_high - d_low) * (high - low)


def _sorted_corners(screen):
  """Corners [K, 3, 3] in the order of their x, then y, then depth: the same for all triangles that share two."""
  corners = list(tf.unstack(screen, axis=1))
  for i, j in ((0, 1), (1, 2), (0, 1)):
    (ax, ay, az), (bx, by, bz) = tf.unstack(corners[i], axis=1), tf.unstack(corners[j], axis=1)
    later = (ax > bx) | ((ax == bx) & ((ay > by) | ((ay == by) & (az > bz))))
    later = later[:, tf.newaxis]
    corners[i], corners[j] = tf.where(later, corners[j], corners[i]), tf.where(later, corners[i], corners[j])
  return tf.stack(corners, axis=1)


def _peel(listed, pixels, num_layers):
  """Triangles [pixels] of each layer, nearest first; -1 where there is none."""
  for layer in range(num_layers):
    index = fragments.nearest(listed, pixels)
    found = index < tf.int32.max
    triangle = tf.where(found, tf.gather(tf.pad(listed.source, [[0, 1]]), tf.where(found, index, 0)), -1)
    yield triangle
    if layer + 1 < num_layers:
      seen = listed.source == tf.gather(triangle, listed.pixel)
      listed = listed._replace(depth=tf.where(seen, np.inf, listed.depth))


def _describe(triangle, corners, batch, width, height, dtype):
  """Face [P, 1], barycentrics [P, 3] and mask [P, 1] of the triangles (-1: none) seen in all P pixels."""
  found = triangle >= 0
  pixel = tf.cast(tf.where(found)[:, 0], tf.int32)
  seen = tf.gather(tf.gather(corners, tf.gather(triangle, pixel)), [0, 1, 3], axis=2)
  x = tf.cast(pixel % width, tf.float64) + .5
  y = tf.cast(pixel // width % height, tf.float64) + .5
  # In homogeneous coordinates (x w, y w, w) the perspective-correct weights of a, b and c are the triple products
  # (b cross c) . p, (c cross a) . p and (a cross b) . p over their sum; corners may lie behind the camera.
  a, b, c = tf.unstack(seen, axis=1)
  point = tf.stack([x, y, tf.ones_like(x)], axis=-1)
  weights = tf.stack([tf.reduce_sum(tf.linalg.cross(p, q) * point, axis=-1) for p, q in ((b, c), (c, a), (a, b))], -1)
  weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=-1, keepdims=True))
  barycentrics = tf.math.unsorted_segment_sum(tf.cast(weights, dtype), pixel, tf.size(triangle))
  return tf.where(found, triangle // batch, 0)[:, tf.newaxis], barycentrics, tf.cast(found, dtype)[:, tf.newaxis]
