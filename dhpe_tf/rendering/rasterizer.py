"""The hard pass: which face is seen at every pixel's centre, and where in that face.

The result comes in two forms. `Visible` lists the covered pixels only, on which shading is cheap; `framebuffer` spreads
it over the image as tensorflow_graphics' `Framebuffer`, on which that library's own functions work.

A point p of the image in a face with corners p_0, p_1, p_2 has barycentric coordinates b_k with p = sum_k b_k p_k and
sum_k b_k = 1. In perspective, with depths z_k of the corners, depth and attributes interpolate by the weights

  w_k = (b_k / z_k) / sum_j (b_j / z_j),    so that 1 / z = sum_k b_k / z_k is linear in the image.
"""
from typing import NamedTuple, Optional, Union

import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import crop_view, fragments, ranges
from dhpe_tf.rendering import framebuffer as framebuffers


class Visible(NamedTuple):
  """The visible surface, one entry for every covered pixel of the batch; N of them, by ascending pixel.

  Attributes:
    pixel: int32 [N], (image * height + row) * width + column.
    image: int32 [N], index in the batch.
    face: int32 [N], index of the nearest face.
    vertices: int32 [N, 3], of that face.
    barycentrics: [N, 3], of the pixel's centre (in perspective the w_k above); differentiable with respect to the
      vertices.
    depth: [N], of the surface at the pixel's centre; differentiable with respect to the vertices.
    image_shape: int32 [3], (B, height, width).
  """

  pixel: tf.Tensor
  image: tf.Tensor
  face: tf.Tensor
  vertices: tf.Tensor
  barycentrics: tf.Tensor
  depth: tf.Tensor
  image_shape: tf.Tensor


def find_visible(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor], image_size: tuple[int, int],
                 perspective: bool = False, cull: bool = False) -> Visible:
  """Finds the nearest face at every pixel's centre.

  A pixel is covered if its centre lies in a face or on its edge; of faces at equal depth the lowest index is seen.

  Args:
    vertices_px: [B, V, 3], (x, y) in pixels and depth, growing away from the camera. A mesh with a vertex that is not
      finite or farther than 2^20 pixels draws nothing.
    faces: int [F, 3], constant.
    image_size: (height, width) in pixels.
    perspective: whether 1 / depth is linear in the image (pinhole camera) and not depth itself (weak perspective).
      Faces with a corner at depth 0 or less are then left out; `tfg_backend` clips them instead.
    cull: leave out faces seen from behind: of a mesh oriented outward in our camera axes (x right, y down, z forward),
      those whose corners run clockwise in the picture.

  Returns:
    `Visible`.
  """
  faces = np.asarray(faces, np.int32)
  height, width = map(int, image_size)
  vertices = tf.transpose(crop_view.empty_unless_drawable(tf.convert_to_tensor(vertices_px)), [1, 0, 2])
  batch = tf.shape(vertices)[1]
  listed = _list_fragments(vertices, faces, (height, width), perspective, cull)
  index = fragments.nearest(listed, batch * height * width)
  pixel = tf.cast(tf.where(index < tf.int32.max)[:, 0], tf.int32)
  source = tf.gather(listed.source, tf.gather(index, pixel))
  face, image = source // batch, source % batch
  x, y = tf.cast(pixel % width, vertices.dtype) + .5, tf.cast(pixel // width % height, vertices.dtype) + .5
  barycentrics, depth = _locate(vertices, faces, source, x, y, perspective)
  return Visible(pixel, image, face, tf.gather(faces, face), barycentrics, depth, tf.stack([batch, height, width]))


def _list_fragments(vertices, faces, image_size, perspective, cull, budget=None):
  """`Fragments` of vertices [V, B, 3] and faces [F, 3]; the other arguments are those of `find_visible`.

  Their depth is linear in the image: -1 / z in perspective, which grows with z as z itself does. No gradient passes.
  """
  hard = tf.stop_gradient(vertices)
  drawn = _drawn(hard, faces, perspective, cull) if cull or perspective else None
  if perspective:
    hard = tf.concat([hard[..., :2], -1 / tf.where(hard[..., 2:] > 0, hard[..., 2:], 1)], axis=-1)
  return fragments.list_fragments(hard, faces, image_size, drawn, budget)


def _drawn(vertices, faces, perspective, cull):
  """The faces to draw: bool [F, B] of vertices [V, B, 3]."""
  a, b, c = (tf.gather(vertices, faces[:, k]) for k in range(3))
  drawn = tf.ones(tf.shape(a)[:2], tf.bool)
  if perspective:
    drawn &= tf.minimum(tf.minimum(a[..., 2], b[..., 2]), c[..., 2]) > 0
  if cull:
    ab, ac = b - a, c - a
    drawn &= ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0] < 0  # y is down: counter-clockwise in the picture
  return drawn


def _locate(vertices, faces, source, x, y, perspective):
  """Barycentric coordinates [N, 3] and depth [N] of points x, y [N] in faces source [N] of vertices [V, B, 3].

    b_1 = (p - p_0) cross (p_2 - p_0) / area,    b_2 = (p_1 - p_0) cross (p - p_0) / area,    b_0 = 1 - b_1 - b_2,

  area = (p_1 - p_0) cross (p_2 - p_0); in perspective the w_k at the head of this file. Values that are constant in a
  face are computed once per face, not once per pixel.
  """
  corners = [tf.reshape(tf.gather(vertices, faces[:, k]), [-1, 3]) for k in range(3)]
  sides = tf.stack([corners[1] - corners[0], corners[2] - corners[0]])  # [2, F * B, 3]
  (ax, bx), (ay, by) = tf.unstack(sides[..., 0]), tf.unstack(sides[..., 1])
  per_area = tf.math.reciprocal_no_nan(ax * by - ay * bx)
  planes = ranges.table_of([corners[0][:, 0], corners[0][:, 1], by * per_area, -bx * per_area, -ay * per_area,
                            ax * per_area, *(corner[:, 2] for corner in corners)])
  x0, y0, bx, by, cx, cy, z0, z1, z2 = ranges.columns_of(tf.gather(planes, source))
  x, y = x - x0, y - y0
  b, c = _within(x * bx + y * by), _within(x * cx + y * cy)
  weights = (1 - b - c, b, c)
  if perspective:
    weights = [weight / z for weight, z in zip(weights, (z0, z1, z2))]
    total = tf.add_n(weights)
    weights = [weight / total for weight in weights]
  return ranges.table_of(weights), weights[0] * z0 + weights[1] * z1 + weights[2] * z2


def _within(weight):
  """Weights [N] clipped to 0 .. 1 with the gradient of no clipping: rounding is large in faces nearly without area."""
  return weight + tf.stop_gradient(tf.clip_by_value(weight, 0, 1) - weight)


def interpolate(visible: Visible, attributes: tf.Tensor, faces: Union[np.ndarray, tf.Tensor]) -> tf.Tensor:
  """Interpolates vertex attributes at the visible pixels; differentiable in attributes and vertices.

    value = sum_k b_k attribute_k over the corners k of the visible face.

  Args:
    visible: of the batch, N pixels.
    attributes: [B, V, C], or [V, C] for all images.
    faces: int [F, 3], constant, those rendered.

  Returns:
    [N, C].
  """
  attributes = tf.convert_to_tensor(attributes)
  faces, batch = np.asarray(faces, np.int32), visible.image_shape[0]
  if attributes.shape.rank == 2:
    attributes = tf.tile(attributes[tf.newaxis], [batch, 1, 1])
  channels = attributes.shape[-1]
  attributes = tf.transpose(attributes, [1, 0, 2])
  corners = [tf.reshape(tf.gather(attributes, faces[:, k]), [-1, channels]) for k in range(3)]
  # One gather per pixel, from a table of the faces, is several times faster than one per corner.
  table = tf.concat([corners[0], corners[1] - corners[0], corners[2] - corners[0]], axis=1)
  values = ranges.columns_of(tf.gather(table, visible.face * batch + visible.image))
  first, to_second, to_third = (values[k * channels:(k + 1) * channels] for k in range(3))
  _, b, c = ranges.columns_of(visible.barycentrics)
  return ranges.table_of([x + b * y + c * z for x, y, z in zip(first, to_second, to_third)])


def to_image(visible: Visible, values: tf.Tensor) -> tf.Tensor:
  """Spreads values of the visible pixels over images that are 0 elsewhere.

  Args:
    visible: of the batch, N pixels.
    values: [N, C].

  Returns:
    [B, height, width, C].
  """
  # A segment sum, each segment of one pixel, is a quicker scatter than tf.scatter_nd.
  flat = tf.math.unsorted_segment_sum(values, visible.pixel, tf.reduce_prod(visible.image_shape))
  return tf.reshape(flat, tf.concat([visible.image_shape, tf.shape(values)[-1:]], axis=0))


def rasterize(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor], image_size: tuple[int, int],
              perspective: bool = False, cull: bool = False, attributes: Optional[dict[str, tf.Tensor]] = None):
  """Renders a batch of meshes that share their faces to a tensorflow_graphics `Framebuffer`.

  Args:
    vertices_px: [B, V, 3], (x, y) in pixels and depth; see `find_visible`.
    faces: int [F, 3], constant.
    image_size: (height, width) in pixels.
    perspective: see `find_visible`.
    cull: see `find_visible`.
    attributes: vertex attributes by name, each [B, V, C] or [V, C], to interpolate.

  Returns:
    `tensorflow_graphics.rendering.framebuffer.Framebuffer`: foreground_mask [B, H, W, 1], triangle_id [B, H, W, 1],
    vertex_ids [B, H, W, 3], barycentrics [B, H, W, 3] (differentiable with respect to the vertices), and in its
    attributes 'depth' [B, H, W, 1] and those asked for. All are 0 in the background (vertex_ids those of face 0, as
    that library has it).
  """
  visible = find_visible(vertices_px, faces, image_size, perspective, cull)
  values = {'depth': visible.depth[:, tf.newaxis]}
  values.update({name: interpolate(visible, value, faces) for name, value in (attributes or {}).items()})
  return framebuffer(visible, faces, image_size, values)


def framebuffer(visible: Visible, faces: Union[np.ndarray, tf.Tensor], image_size: tuple[int, int],
                values: dict[str, tf.Tensor]):
  """Spreads `Visible` and values [N, C] of its pixels to a tensorflow_graphics `Framebuffer`; see `rasterize`."""
  dtype = visible.barycentrics.dtype

  def image(value):
    full = to_image(visible, value)
    full.set_shape([None, *map(int, image_size), value.shape[-1]])
    return full

  return _framebuffer(image(visible.face[:, tf.newaxis]), image(tf.ones_like(visible.depth[:, tf.newaxis], dtype)),
                      image(visible.barycentrics), faces, {name: image(value) for name, value in values.items()})


def _framebuffer(triangle_id, mask, barycentrics, faces, attributes):
  """A `Framebuffer` of images [B, H, W, C]; the vertex ids are those of the triangle in each pixel."""
  vertex_ids = tf.gather(np.asarray(faces, np.int32), triangle_id[..., 0])
  return framebuffers.make(triangle_id, vertex_ids, mask, barycentrics, attributes)


def rasterize_within_budget(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor], image_size: tuple[int, int],
                            perspective: bool = False, cull: bool = False, rows_per_image: int = 16_384,
                            fragments_per_image: int = 65_536):
  """`rasterize` in lists of fixed length, for XLA (jit_compile=True).

  Args:
    vertices_px: [B, V, 3], B static; see `find_visible`.
    faces: int [F, 3], constant.
    image_size: (height, width) in pixels.
    perspective: see `find_visible`.
    cull: see `find_visible`.
    rows_per_image: (face, row of pixels) pairs an image, on average over the batch.
    fragments_per_image: (face, pixel) pairs an image, on average over the batch.

  Returns:
    (The `Framebuffer` of `rasterize`, with 'depth'; bool [] overflow). If there are more rows or fragments than
    allowed, overflow is true and mask, barycentrics and depth are NaN everywhere: the result cannot be used by mistake.
  """
  faces = np.asarray(faces, np.int32)
  height, width = map(int, image_size)
  vertices = tf.transpose(crop_view.empty_unless_drawable(tf.convert_to_tensor(vertices_px)), [1, 0, 2])
  batch = vertices.shape[1]
  budget = ranges.Budget(batch * rows_per_image, batch * fragments_per_image)
  listed = _list_fragments(vertices, faces, (height, width), perspective, cull, budget)
  index = fragments.nearest(listed, batch * height * width)
  found = index < tf.int32.max
  source = tf.where(found, tf.gather(listed.source, tf.where(found, index, 0)), 0)
  pixel = tf.range(batch * height * width)
  x, y = tf.cast(pixel % width, vertices.dtype) + .5, tf.cast(pixel // width % height, vertices.dtype) + .5
  barycentrics, depth = _locate(vertices, faces, source, x, y, perspective)

  def image(value, spoilt=True):
    value = tf.where(found[:, tf.newaxis], value, tf.zeros([], value.dtype))
    if spoilt:
      value = tf.where(~budget.overflow, value, np.nan)
    return tf.reshape(value, [batch, height, width, -1])

  buffer = _framebuffer(image((source // batch)[:, tf.newaxis], False), image(tf.ones_like(depth)[:, tf.newaxis]),
                        image(barycentrics), faces, {'depth': image(depth[:, tf.newaxis])})
  return buffer, budget.overflow
