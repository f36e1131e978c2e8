"""From meshes, colours and lights to antialiased pictures."""
from typing import Optional, Union

import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import meshes
from dhpe_tf.rendering import rasterizer, shading


def render_rgb(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor], albedo: tf.Tensor, lights: shading.Lights,
               image_size: tuple[int, int], normals: Optional[tf.Tensor] = None, samples: int = 2,
               perspective: bool = False) -> tuple[tf.Tensor, tf.Tensor, rasterizer.Visible]:
  """Draws a batch of closed meshes that share their faces.

  Lighting is computed at the vertices, which is enough for a mesh as dense as a hand, and interpolated. A pixel has
  samples^2 points, of which n show the mesh:

    rgb = sum of the n points' colours / n,    alpha = n / samples^2.

  Args:
    vertices_px: [B, V, 3], (x, y) in pixels and depth; see `rasterizer.find_visible`.
    faces: int [F, 3], constant; closed, outward (`HandModel.closed_faces`): faces seen from behind are not drawn.
    albedo: [B, V, 3] or [V, 3], linear reflectance 0 .. 1 (`texture.sample_skin`).
    lights: of the batch.
    image_size: (height, width) in pixels.
    normals: [B, V, 3], unit, camera axes. By default those of the mesh `vertices_px`, which are right where its depth
      has the scale of its x and y (`crop_view.crop_to_pixels`) and wrong for depths in other units.
    samples: points per pixel in each direction.
    perspective: see `rasterizer.find_visible`.

  Returns:
    rgb [B, H, W, 3] for display, 0 .. 1, of the surface alone (black where there is none): over a background the
    picture is rgb * alpha + background * (1 - alpha);
    alpha [B, H, W, 1], covered part of the pixel;
    `Visible`, the surface seen at the points, of images [B, H * samples, W * samples]; `rasterizer.to_image` and
    `rasterizer.framebuffer` make images of it.
  """
  height, width = map(int, image_size)
  vertices_px = tf.convert_to_tensor(vertices_px)
  if normals is None:
    normals = meshes.vertex_normals(vertices_px, faces)
  colours = shading.to_display(shading.shade(tf.convert_to_tensor(albedo), normals, lights))
  scale = tf.constant([samples, samples, 1], vertices_px.dtype)
  fine = (height * samples, width * samples)
  visible = rasterizer.find_visible(vertices_px * scale, faces, fine, perspective, cull=True)
  pixel, pixels = coarse_pixels(visible, samples), tf.size(vertices_px[:, 0, 0]) * height * width
  points = tf.math.unsorted_segment_sum(tf.ones_like(visible.depth), pixel, pixels)
  colours = rasterizer.interpolate(visible, colours, faces) / tf.gather(points, pixel)[:, tf.newaxis]
  rgb = tf.reshape(tf.math.unsorted_segment_sum(colours, pixel, pixels), [-1, height, width, 3])
  return rgb, tf.reshape(points / samples**2, [-1, height, width, 1]), visible


def coarse_pixels(visible, samples):
  """Index int32 [N] of the pixel, (image * height + row) * width + column, in which each visible point lies.

  Args:
    visible: N points, of images [B, height * samples, width * samples].
    samples: points per pixel in each direction.
  """
  if samples == 1:
    return visible.pixel
  _, fine_height, fine_width = tf.unstack(visible.image_shape)
  row, column = visible.pixel // fine_width, visible.pixel % fine_width
  image_and_row = row // fine_height * (fine_height // samples) + row % fine_height // samples
  return image_and_row * (fine_width // samples) + column // samples
