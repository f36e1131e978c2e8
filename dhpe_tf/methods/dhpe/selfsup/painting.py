"""Renders hands in skins that were read from other pictures (`skins.SkinReader`)."""
import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.data import augmentation
from dhpe_tf.methods.dhpe.selfsup.skins import Skins
from dhpe_tf.rendering import crop_view, rasterizer, render, shading

_SAMPLES = 2  # points per pixel in each direction


@gin.configurable(module='selfsup', denylist=['vertices_crop', 'faces', 'skins', 'size', 'seed'])
def paint(vertices_crop: tf.Tensor, faces: np.ndarray, skins: Skins, size: int, seed: tf.Tensor,
          new_light: float = 0.5, detail: float = 1.) -> tuple[tf.Tensor, tf.Tensor]:
  """Draws hands with a skin's albedo, a light and the skin's detail.

    rgb = rendered(albedo, light) (1 + detail (d - 1)),

  where d is the old picture's detail at the same place of the skin.

  Args:
    vertices_crop: [B, V, 3] crop space.
    faces: [F, 3], closed.
    skins: of the hands, with their places in the pictures from which they were read.
    size: side S of the new pictures, px.
    seed: int [2], of the lights.
    new_light: probability of a new light (`shading.sample_lights`) instead of the estimated one. The estimated light
      stays fixed to the camera while the hand turns.
    detail: share of the pictures' detail that is carried over, 0..1.

  Returns:
    rgb [B, S, S, 3] in 0..1, of the hands alone; alpha [B, S, S, 1], the covered part of each pixel.
  """
  pixels = crop_view.crop_to_pixels(vertices_crop, size)
  rgb, alpha, visible = render.render_rgb(pixels, faces, skins.albedo, choose_lights(skins, seed, new_light),
                                          (size, size), samples=_SAMPLES)
  if detail:
    rgb *= 1 + detail * (_carried_detail(skins, visible, faces, alpha) - 1)
  return tf.clip_by_value(rgb, 0., 1.), alpha


def choose_lights(skins: Skins, seed: tf.Tensor, new_light: float) -> shading.Lights:
  """The light of each hand: the estimated environment without lamps, or with probability `new_light` a random one.

  Args:
    skins: of B hands.
    seed: int [2].
    new_light: probability of a random light.

  Returns:
    `Lights` of the batch.
  """
  choice, other = augmentation.split_seed(seed, 2)
  count = tf.shape(skins.albedo)[0]
  drawn = shading.sample_lights(count, other)
  kept = shading.Lights(skins.environment, drawn.directions, tf.zeros_like(drawn.colours), tf.zeros_like(drawn.gloss),
                        drawn.shininess)
  is_new = tf.random.stateless_uniform([count], choice) < new_light
  return shading.Lights(*(tf.where(tf.reshape(is_new, [-1] + [1] * (new.shape.rank - 1)), new, old)
                          for new, old in zip(drawn, kept)))


def _carried_detail(skins: Skins, visible: rasterizer.Visible, faces: np.ndarray, alpha: tf.Tensor) -> tf.Tensor:
  """The skin's detail d at each new pixel, [B, S, S, 1]: a factor of displayed colours, 1 where it was not seen.

  Args:
    skins: of the hands.
    visible: points of the new pictures, _SAMPLES x _SAMPLES per pixel.
    faces: [F, 3].
    alpha: [B, S, S, 1] of the new pictures.
  """
  visible = _one_a_pixel(visible)
  attributes = tf.concat([crop_view.crop_to_pixels(skins.place, skins.detail.shape[1]), skins.seen[..., None]], -1)
  values = rasterizer.interpolate(visible, attributes, faces)
  points = _bilinear(skins.detail[..., 0], visible.image, values[:, :2])
  # Only well-seen skin counts: half-seen skin lies at the rim, where the old picture is half background.
  excess = tf.clip_by_value(2 * values[:, 2] - 1, 0., 1.) * (points - 1)
  pixel = render.coarse_pixels(visible, _SAMPLES)
  return 1 + tf.reshape(tf.math.unsorted_segment_sum(excess, pixel, tf.size(alpha)), tf.shape(alpha))


def _one_a_pixel(visible: rasterizer.Visible) -> rasterizer.Visible:
  """The top-left point of each pixel, where it shows the mesh; the other points differ little."""
  width = visible.image_shape[2]
  row, column = visible.pixel // width, visible.pixel % width
  chosen = tf.where((row % _SAMPLES == 0) & (column % _SAMPLES == 0))[:, 0]
  points = {name: tf.gather(value, chosen) for name, value in visible._asdict().items() if name != 'image_shape'}
  return visible._replace(**points)


def _bilinear(images: tf.Tensor, index: tf.Tensor, at_px: tf.Tensor) -> tf.Tensor:
  """Bilinear samples [N] of images [B, S, S]: n of image index[n] at (x, y) = at_px[n], pixel centres at +0.5."""
  size = images.shape[1]
  at = tf.clip_by_value(at_px - 0.5, 0., size - 1.001)
  low = tf.floor(at)
  x, y = tf.unstack(at - low, axis=-1)
  column, row = tf.unstack(tf.cast(low, tf.int32), axis=-1)
  start = (index * size + row) * size + column
  flat = tf.reshape(images, [-1])
  upper = tf.gather(flat, start) * (1 - x) + tf.gather(flat, start + 1) * x
  lower = tf.gather(flat, start + size) * (1 - x) + tf.gather(flat, start + size + 1) * x
  return upper * (1 - y) + lower * y
