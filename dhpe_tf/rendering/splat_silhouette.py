"""The silhouette of rasterize-then-splat (Cole et al., 2021), with tensorflow_graphics' splatting on our hard pass.

The hard pass gives each pixel the point of the surface that it shows. That point is splatted, with a small Gaussian, to
the 3x3 pixels around its place in the image, which depends on the vertices: so the result has a gradient.
"""
from typing import Union

import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import framebuffer, rasterizer


def splat_silhouette(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor],
                     image_size: tuple[int, int]) -> tf.Tensor:
  """Splatted silhouettes of a batch of meshes that share their faces.

  Args:
    vertices_px: [B, V, 2 or 3], (x, y) in pixels and depth. tensorflow_graphics computes in float32.
    faces: int [F, 3], constant.
    image_size: (height, width) in pixels.

  Returns:
    float32 [B, height, width] in 0 .. 1.

  Raises:
    UserError: tensorflow_graphics is not installed.
  """
  splat = framebuffer.require_splat()
  height, width = map(int, image_size)
  vertices_px = tf.cast(vertices_px, tf.float32)
  if vertices_px.shape[-1] == 2:
    vertices_px = tf.concat([vertices_px, tf.zeros_like(vertices_px[..., :1])], axis=-1)
  # Depth only tells surfaces apart: it is scaled to 0 .. 1 / 2, with the background at 1.
  depth = vertices_px[..., 2:]
  nearest, farthest = tf.reduce_min(depth, 1, keepdims=True), tf.reduce_max(depth, 1, keepdims=True)
  depth = tf.math.divide_no_nan(depth - nearest, 2 * (farthest - nearest))
  vertices = tf.concat([vertices_px[..., :2], depth], axis=-1)
  visible = rasterizer.find_visible(vertices, faces, (height, width))
  # Points fixed in their faces: with a gradient in the barycentrics they would be fixed in their pixels.
  visible = visible._replace(barycentrics=tf.stop_gradient(visible.barycentrics))
  values = tf.concat([rasterizer.interpolate(visible, vertices, faces), tf.ones_like(visible.barycentrics[:, :1])], 1)
  image = tf.ensure_shape(rasterizer.to_image(visible, values)[:, tf.newaxis], [None, 1, height, width, 4])
  mask = image[..., 3:]
  # Background points stand in the corner, where they weigh nothing.
  xyz = image[..., :3] + (1 - mask) * [0., 0., 1.]
  rgba, _, _ = tf.vectorized_map(splat.splat_at_pixel_centers, (xyz, tf.tile(mask, [1, 1, 1, 1, 4])))
  return tf.ensure_shape(rgba[..., 3], [vertices_px.shape[0], height, width])
