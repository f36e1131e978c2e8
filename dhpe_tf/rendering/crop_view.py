"""From crop space to the pixels of a rendered crop, and a guard against meshes that cannot be drawn."""
from typing import Union

import tensorflow as tf


def crop_to_pixels(points_crop: tf.Tensor, size: Union[int, tuple[int, int]]) -> tf.Tensor:
  """Points of crop space in the pixels of an image of the crop.

    x_px = (x + 1) width / 2,    y_px = (y + 1) height / 2,    z_px = z height / 2.

  Args:
    points_crop: [..., 2 or 3], crop space: the crop is [-1, 1] in x and y.
    size: the image's side in pixels, or its (height, width) (pixels that are not square).

  Returns:
    [..., 2 or 3], (x, y) in pixels, origin at the top-left corner, pixel centres at +0.5; z, if there, times half the
    height, so that a square image shows the mesh undistorted in all three axes.
  """
  height, width = (size, size) if isinstance(size, int) else size
  scale = tf.constant([width / 2, height / 2, height / 2][:points_crop.shape[-1]], points_crop.dtype)
  origin = tf.constant([1, 1, 0][:points_crop.shape[-1]], points_crop.dtype)
  return (points_crop + origin) * scale


def empty_unless_drawable(vertices_px: tf.Tensor) -> tf.Tensor:
  """Shrinks meshes that cannot be drawn to a point, so that they draw nothing and have no gradient.

  A mesh cannot be drawn if a vertex is not finite or has a coordinate beyond +-2^20 pixels, where the rounding of
  float32 would move its edges visibly.

  Args:
    vertices_px: [B, V, D].

  Returns:
    [B, V, D], finite.
  """
  drawable = tf.reduce_all(tf.abs(vertices_px) <= 2.**20, axis=[1, 2], keepdims=True)  # False for NaN
  return tf.where(drawable, vertices_px, tf.zeros([], vertices_px.dtype))
