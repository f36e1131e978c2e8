"""Random changes to crops and their colours; every draw is a function of a seed, so a run can be taken up again.

That rules out keras-cv's layers here: they draw from generators of their own, which a resumed run finds in another
state. One matrix for all changes of colour is faster besides (`tests/benchmarks/data.py` prints both).
"""
import math
from typing import NamedTuple

import gin
import tensorflow as tf

from dhpe_tf.geometry import crops

Seed = tf.Tensor  # [2] int, for TensorFlow's stateless random functions
_LUMA = (0.299, 0.587, 0.114)


def split_seed(seed: Seed, count: int) -> list[Seed]:
  """`count` independent seeds out of one."""
  return tf.unstack(tf.random.experimental.stateless_split(seed, count))


class View(NamedTuple):
  """How a crop is looked at: the square and the angle by which its content turns (see `crops.extract`)."""

  crop: crops.Crop
  rotation: tf.Tensor


@gin.configurable(module='augmentation')
def random_view(crop: crops.Crop, seed: Seed, rotation_deg: float = 180., scale: float = 0.15,
                shift: float = 0.08) -> View:
  """Turns, scales and shifts a crop.

  Args:
    crop: one crop.
    seed: `[2]`.
    rotation_deg: largest turn either way, uniform.
    scale: the side is multiplied by up to exp(+-scale), uniform in the exponent.
    shift: the centre moves by up to this share of the side in x and in y, uniform.
  """
  first, second, third = split_seed(seed, 3)
  turn = tf.random.stateless_uniform([], first, -1., 1.) * (rotation_deg * math.pi / 180)
  moved = crop.center_px + tf.random.stateless_uniform([2], second, -shift, shift) * crop.side_px
  side = crop.side_px * tf.exp(tf.random.stateless_uniform([], third, -scale, scale))
  return View(crops.Crop(moved, side), turn)


@gin.configurable(module='augmentation')
def random_appearance(image: tf.Tensor, seed: Seed, brightness: float = 0.2, contrast: float = 0.3,
                      saturation: float = 0.4, tint: float = 0.1, grey: float = 0.1, noise: float = 0.04,
                      blur: float = 0.2, occlusion: float = 0.15) -> tf.Tensor:
  """Changes colours and detail of a crop as cameras and lamps do, and hides a part of it now and then.

  Args:
    image: `[S, S, 3]` in 0..1.
    seed: `[2]`.
    brightness: largest addition, either way.
    contrast: contrast is multiplied by 1 +- contrast about the mean.
    saturation: the distance to grey is multiplied by 1 +- saturation.
    tint: each channel is multiplied by 1 +- tint.
    grey: probability of a grey picture.
    noise: largest standard deviation of the noise of pixels.
    blur: probability of a loss of detail to a half or a quarter of the resolution.
    occlusion: probability of a rectangle of one colour over up to a third of the picture's width and height.

  Returns:
    `[S, S, 3]` in 0..1.
  """
  colour, grain, soft, hide = split_seed(seed, 4)
  image = _blur(image, soft, blur)
  draws = tf.random.stateless_uniform([7], colour, -1., 1.)
  mean = tf.reduce_mean(image, axis=[0, 1])
  saturated = tf.where(draws[6] < 2 * grey - 1, 0., 1. + saturation * draws[0])
  # Every change of colour is affine, so one matrix does them all in one pass over the pixels.
  to_grey = tf.tile(tf.constant(_LUMA)[:, None], [1, 3])
  matrix = saturated * tf.eye(3) + (1 - saturated) * to_grey
  level = tf.reduce_mean(tf.linalg.matvec(matrix, mean, transpose_a=True))
  gain, tints = 1 + contrast * draws[1], 1 + tint * draws[3:6]
  image = tf.tensordot(image, gain * tints * matrix, 1) + tints * ((1 - gain) * level + brightness * draws[2])
  strength, pixels = split_seed(grain, 2)
  # Uniform noise of this deviation: drawn three times as fast as normal noise, and nobody sees the difference.
  strength = tf.random.stateless_uniform([], strength, 0., noise * math.sqrt(3))
  image += strength * tf.random.stateless_uniform(tf.shape(image), pixels, -1., 1.)
  return tf.clip_by_value(_occlude(image, hide, occlusion), 0., 1.)


def _blur(image: tf.Tensor, seed: Seed, probability: float) -> tf.Tensor:
  """Shrinks to a half or a quarter and grows again, with the given probability."""
  draw = tf.random.stateless_uniform([], seed)
  size = image.shape[0]

  def through(small: int) -> tf.Tensor:
    return tf.image.resize(tf.image.resize(image, [small, small], antialias=True), [size, size])

  softer = [(draw < probability / 3, lambda: through(size // 4)), (draw < probability, lambda: through(size // 2))]
  return tf.case(softer, default=lambda: image)


def _occlude(image: tf.Tensor, seed: Seed, probability: float) -> tf.Tensor:
  """Lays a rectangle of one colour over the picture, with the given probability."""
  place, paint = split_seed(seed, 2)
  draws = tf.random.stateless_uniform([5], place)

  def covered() -> tf.Tensor:
    size = draws[:2] / 3
    low = draws[2:4] * (1 - size)
    at = (tf.range(image.shape[0], dtype=tf.float32) + 0.5) / image.shape[0]
    inside = (at[None] >= low[:, None]) & (at[None] < (low + size)[:, None])
    rectangle = inside[1][:, None] & inside[0][None]
    return tf.where(rectangle[..., None], tf.random.stateless_uniform([3], paint), image)

  return tf.cond(draws[4] < probability, covered, lambda: image)
