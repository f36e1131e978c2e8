"""Random changes of crops and their colours; every draw is a function of a seed, so a resumed run repeats it.

For this reason keras-cv's layers are not used here: they draw from generators whose state a resumed run does not have.
Applying all colour changes as one matrix is also faster (`tests/benchmarks/data.py` prints both).
"""
import math
from typing import NamedTuple

import gin
import tensorflow as tf

from dhpe_tf.geometry import crops

Seed = tf.Tensor  # `[2]` int, for TensorFlow's stateless random functions
_LUMA = (0.299, 0.587, 0.114)


def split_seed(seed: Seed, count: int) -> list[Seed]:
  """Derives `count` independent seeds, each `[2]`, from one."""
  return tf.unstack(tf.random.experimental.stateless_split(seed, count))


class View(NamedTuple):
  """A view of a crop.

  Attributes:
    crop: the square that is cut out.
    rotation: `[]` radians by which its content turns (see `crops.extract`).
  """

  crop: crops.Crop
  rotation: tf.Tensor


@gin.configurable(module='augmentation')
def random_view(crop: crops.Crop, seed: Seed, rotation_deg: float = 180., scale: float = 0.15,
                shift: float = 0.08) -> View:
  """Turns, scales and shifts a crop at random.

  With u1, u2, u3 uniform in [-1, 1]: rotation = u1 rotation_deg pi / 180, side' = side exp(u3 scale), and centre' =
  centre + u2 shift side, u2 a pair (x, y).

  Args:
    crop: one crop.
    seed: `[2]`.
    rotation_deg: largest turn either way, in degrees.
    scale: largest change of the side's logarithm either way.
    shift: largest move of the centre in x and in y, as a share of the side.

  Returns:
    The changed crop and its rotation in radians.
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
  """Changes colours and sharpness of a crop as cameras and lamps do, and sometimes hides a part of it.

  All changes of colour are affine, so one matrix M `[3, 3]` and one offset b `[3]` apply them together: x' = x M + b
  for each pixel x `[3]`. With contrast gain c, tints t `[3]`, saturation s and luma weights l `[3]`:

    M = c (s I + (1 - s) l 1^T) diag(t),    b = t ((1 - c) level + brightness),

  where 1^T is the row (1, 1, 1), and level is the mean over pixels and channels after the change of saturation.

  Args:
    image: `[S, S, 3]` in 0..1.
    seed: `[2]`.
    brightness: largest addition either way, in the image's range.
    contrast: contrast about the mean is multiplied by a factor in 1 +- contrast.
    saturation: the distance to grey is multiplied by a factor in 1 +- saturation.
    tint: each channel is multiplied by its own factor in 1 +- tint.
    grey: probability of a grey picture.
    noise: largest standard deviation of the pixel noise.
    blur: probability of reducing the detail to a half or a quarter of the resolution.
    occlusion: probability of a rectangle of one colour, over up to a third of the picture's width and height.

  Returns:
    `[S, S, 3]` in 0..1.
  """
  colour, grain, soft, hide = split_seed(seed, 4)
  image = _blur(image, soft, blur)
  draws = tf.random.stateless_uniform([7], colour, -1., 1.)
  mean = tf.reduce_mean(image, axis=[0, 1])
  saturated = tf.where(draws[6] < 2 * grey - 1, 0., 1. + saturation * draws[0])
  # M: first toward grey by the saturation, then contrast and tints.
  to_grey = tf.tile(tf.constant(_LUMA)[:, None], [1, 3])
  matrix = saturated * tf.eye(3) + (1 - saturated) * to_grey
  level = tf.reduce_mean(tf.linalg.matvec(matrix, mean, transpose_a=True))
  gain, tints = 1 + contrast * draws[1], 1 + tint * draws[3:6]
  image = tf.tensordot(image, gain * tints * matrix, 1) + tints * ((1 - gain) * level + brightness * draws[2])
  strength, pixels = split_seed(grain, 2)
  # Uniform noise on [-a, a] has standard deviation a / sqrt(3). It is drawn three times as fast as normal noise and
  # looks the same.
  strength = tf.random.stateless_uniform([], strength, 0., noise * math.sqrt(3))
  image += strength * tf.random.stateless_uniform(tf.shape(image), pixels, -1., 1.)
  return tf.clip_by_value(_occlude(image, hide, occlusion), 0., 1.)


def _blur(image: tf.Tensor, seed: Seed, probability: float) -> tf.Tensor:
  """Shrinks an image to a half or a quarter of its size and enlarges it again, with the given probability.

  Args:
    image: `[S, S, 3]`.
    seed: `[2]`.
    probability: of either size together; one third of it is for the quarter.

  Returns:
    `[S, S, 3]`.
  """
  draw = tf.random.stateless_uniform([], seed)
  size = image.shape[0]

  def through(small: int) -> tf.Tensor:
    return tf.image.resize(tf.image.resize(image, [small, small], antialias=True), [size, size])

  softer = [(draw < probability / 3, lambda: through(size // 4)), (draw < probability, lambda: through(size // 2))]
  return tf.case(softer, default=lambda: image)


def _occlude(image: tf.Tensor, seed: Seed, probability: float) -> tf.Tensor:
  """Covers a rectangle of the image `[S, S, 3]` with one random colour, with the given probability."""
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
