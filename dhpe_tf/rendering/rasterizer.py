"""The hard pass: which face is seen at every pixel's centre, and where in that face.

The answer comes in two forms. `Visible` lists the covered pixels only, on which shading is cheap; `framebuffer` spreads
it over the image as tensorflow_graphics' `Framebuffer`, on which that library's own functions work.
"""
from typing import NamedTuple, Optional, Union

import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import crop_view, fragments


class Visible(NamedTuple):
  """What is seen, one entry for every covered pixel of the batch; N of them, by ascending pixel.

  Attributes:
    pixel: int32 [N], (image * height + row) * width + column.
    image: int32 [N], index in the batch.
    face: int32 [N].
    vertices: int32 [N, 3], of that face.
    barycentrics: [N, 3], of the pixel's centre; differentiable with respect to the vertices.
    depth: [N], of the pixel's centre; differentiable likewise.
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
    perspective: whether straight lines in depth are straight in 1 / depth (pinhole camera) and not in depth (weak
      perspective). Faces with a corner at depth 0 or less are then left out; `tfg_backend` clips them instead.
    cull: leave out faces seen from behind: whose corners, as the picture shows them, run clockwise when the mesh is
      oriented outward in our camera axes (x right, y down, z forward).

  Returns:
    `Visible`.
  """
  faces = np.asarray(faces, np.int32)
  height, width = map(int, image_size)
  vertices_px = tf.convert_to_tensor(vertices_px)
  vertices = tf.transpose(crop_view.empty_unless_drawable(vertices_px), [1, 0, 2])
  batch = tf.shape(vertices)[1]
  hard = tf.stop_gradient(vertices)
  drawn = None
  if cull or perspective:
    drawn = _drawn(hard, faces, perspective, cull)
  if perspective:
    hard = tf.concat([hard[..., :2], -1 / tf.where(hard[..., 2:] > 0, hard[..., 2:], 1)], axis=-1)
  listed = fragments.list_fragments(hard, faces, (height, width), drawn)
  index = fragments.nearest(listed, batch * height * width)
  pixel = tf.cast(tf.where(index < tf.int32.max)[:, 0], tf.int32)
  source = tf.gather(listed.source, tf.gather(index, pixel))
  face, image = source // batch, source % batch
  corner_ids = tf.gather(faces, face)
  corners = tf.gather(tf.reshape(vertices, [-1, 3]), corner_ids * batch + image[:, tf.newaxis])
  barycentrics, depth = _locate(corners, pixel, height, width, perspective)
  return Visible(pixel, image, face, corner_ids, barycentrics, depth, tf.stack([batch, height, width]))


def _drawn(vertices, faces, perspective, cull):
  """The faces to draw: bool [F, B] of vertices [V, B, 3]."""
  a, b, c = (tf.gather(vertices, faces[:, k]) for k in range(3))
  drawn = tf.ones(tf.shape(a)[:2], tf.bool)
  if perspective:
    drawn &= tf.minimum(tf.minimum(a[..., 2], b[..., 2]), c[..., 2]) > 0
  if cull:
    ab, ac = b - a, c - a
    drawn &= ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0] < 0
  return drawn


def _locate(corners, pixel, height, width, perspective):
  """Barycentric coordinates [N, 3] and depth [N] of pixels in faces with corners [N, 3, 3]."""
  x = tf.cast(pixel % width, corners.dtype) + .5
  y = tf.cast(pixel // width % height, corners.dtype) + .5
  to = corners[..., :2] - tf.stack([x, y], axis=-1)[:, tf.newaxis]
  (ax, ay), (bx, by), (cx, cy) = (tf.unstack(to[:, k], axis=-1) for k in range(3))
  weights = tf.stack([bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx], axis=-1)
  if perspective:
    weights /= corners[..., 2]
  barycentrics = weights / tf.reduce_sum(weights, axis=-1, keepdims=True)
  return barycentrics, tf.reduce_sum(barycentrics * corners[..., 2], axis=-1)


def interpolate(visible: Visible, attributes: tf.Tensor) -> tf.Tensor:
  """Interpolates vertex attributes at the visible pixels; differentiable in attributes and vertices.

  Args:
    visible: of the batch, N pixels.
    attributes: [B, V, C], or [V, C] for all images.

  Returns:
    [N, C].
  """
  attributes = tf.convert_to_tensor(attributes)
  ids = visible.vertices
  if attributes.shape.rank == 3:
    ids += (visible.image * tf.shape(attributes)[1])[:, tf.newaxis]
    attributes = tf.reshape(attributes, [-1, attributes.shape[-1]])
  a, b, c = tf.unstack(visible.barycentrics[..., tf.newaxis], axis=1)
  return (a * tf.gather(attributes, ids[:, 0]) + b * tf.gather(attributes, ids[:, 1]) +
          c * tf.gather(attributes, ids[:, 2]))


def to_image(visible: Visible, values: tf.Tensor) -> tf.Tensor:
  """Spreads values of the visible pixels over images that are 0 elsewhere.

  Args:
    visible: of the batch, N pixels.
    values: [N, C].

  Returns:
    [B, height, width, C].
  """
  channels = tf.shape(values)[-1:]
  flat = tf.scatter_nd(visible.pixel[:, tf.newaxis], values,
                       tf.concat([[tf.reduce_prod(visible.image_shape)], channels], axis=0))
  return tf.reshape(flat, tf.concat([visible.image_shape, channels], axis=0))


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
  values.update({name: interpolate(visible, value) for name, value in (attributes or {}).items()})
  return framebuffer(visible, faces, image_size, values)


def framebuffer(visible: Visible, faces: Union[np.ndarray, tf.Tensor], image_size: tuple[int, int],
                values: dict[str, tf.Tensor]):
  """Spreads `Visible` and values [N, C] of its pixels to a tensorflow_graphics `Framebuffer`; see `rasterize`."""
  from tensorflow_graphics.rendering import framebuffer as fb

  def image(value):
    full = to_image(visible, value)
    full.set_shape([None, *map(int, image_size), value.shape[-1]])
    return full

  dtype = visible.barycentrics.dtype
  triangle_id = image(visible.face[:, tf.newaxis])
  return fb.Framebuffer(
      foreground_mask=image(tf.ones_like(visible.face[:, tf.newaxis], dtype)),
      triangle_id=triangle_id,
      vertex_ids=tf.gather(np.asarray(faces, np.int32), triangle_id[..., 0]),
      barycentrics=fb.RasterizedAttribute(image(visible.barycentrics)),
      attributes={name: fb.RasterizedAttribute(image(value)) for name, value in values.items()})
