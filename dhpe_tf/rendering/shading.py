"""Light on surfaces: a smooth environment (spherical harmonics), lamps far away, and a gloss.

A point of albedo a and unit normal n sends to the camera

  a (max(sum_k Y_k(n) c_k, 0) + sum_l max((n . d_l + w) / (1 + w), 0) C_l)
  + sum_l g (p + 8) / 8 max(n . h_l, 0)^p C_l [n . d_l > 0],

with the environment's coefficients c_k of the nine polynomials Y_k (`harmonics`), the lamps' directions d_l and colours
C_l, wrap w, gloss g, shininess p, and h_l half-way between d_l and the eye (0, 0, -1) (Blinn).

All quantities are linear in light; `to_display` encodes them for the eye, and for comparison with photographs.
"""
from collections.abc import Sequence
from typing import NamedTuple, Union

import gin
import numpy as np
import tensorflow as tf

_DISPLAY_GAMMA = 2.2
# The environment's coefficients, in the order of `harmonics`.
_NUM_HARMONICS = 9


class Lights(NamedTuple):
  """Lights of a batch of images, in camera axes (x right, y down, z forward).

  Attributes:
    environment: [B, 9, 3], c: the light that a white surface reflects as a function of its normal (x, y, z), as
      coefficients of 1, x, y, z, xy, yz, 3zz - 1, xz, xx - yy, for red, green and blue. The first is ambient light.
    directions: [B, L, 3], d: unit, from the surface to each lamp.
    colours: [B, L, 3], C: the light that a white surface facing the lamp reflects.
    gloss: [B], g: part of a lamp's light that the surface mirrors.
    shininess: [B], p: exponent of the highlight (Blinn).
  """

  environment: tf.Tensor
  directions: tf.Tensor
  colours: tf.Tensor
  gloss: tf.Tensor
  shininess: tf.Tensor


def ambient_and_lamp(batch: int, ambient: float = .45, lamp: float = .6, direction: Sequence[float] = (-.3, -.6, -1),
                     gloss: float = .05) -> Lights:
  """Plain white lights for illustrations: ambient light and one lamp over the camera's shoulder.

  Args:
    batch: B.
    ambient: light from all around that a white surface reflects.
    lamp: light of the lamp that a white surface facing it reflects.
    direction: to the lamp, camera axes, any length.
    gloss: see `Lights`.

  Returns:
    `Lights` with one lamp.
  """
  environment = np.zeros((_NUM_HARMONICS, 3), np.float32)
  environment[0] = ambient
  direction = np.asarray(direction, np.float32) / np.linalg.norm(direction)
  return Lights(*(tf.tile(tf.constant(x, tf.float32)[tf.newaxis], [batch] + [1] * np.ndim(x)) for x in (
      environment, direction[np.newaxis], np.full((1, 3), lamp, np.float32), np.float32(gloss), np.float32(30))))


@gin.configurable(module='rendering')
def sample_lights(batch: tf.Tensor, seed: tf.Tensor, lamps: int = 3, tint: float = .12, contrast: float = .8,
                  brightness: Sequence[float] = (.55, 1.25), gloss: float = .12) -> Lights:
  """Random lights, one set an image: dim or bright, flat or harsh, warm or cold.

  Args:
    batch: int [], B.
    seed: int [2], of the stateless random numbers; the same seed gives the same lights.
    lamps: L; some are nearly dark.
    tint: standard deviation of the logarithm of red from warm to cold light.
    contrast: how far the environment may differ from plain ambient light, 0 .. 1.
    brightness: least and greatest light that a white surface facing the camera reflects in all.
    gloss: greatest gloss.

  Returns:
    `Lights`, float32.
  """
  seeds = tf.random.split(seed, 8) if hasattr(tf.random, 'split') else tf.random.experimental.stateless_split(seed, 8)
  normal, uniform = tf.random.stateless_normal, tf.random.stateless_uniform
  ambient = uniform([batch, 1, 1], seeds[0], .25, .9)
  # From warm to cold along the daylight locus, and a little off it.
  warm_and_green = normal([batch, lamps + 1, 2], seeds[1]) * [tint, tint / 4]
  tints = tf.exp(tf.matmul(warm_and_green, tf.tile(tf.constant([[[1., 0, -1.2], [-.5, 1, -.5]]]), [batch, 1, 1])))
  shape = normal([batch, _NUM_HARMONICS - 1, 1], seeds[2]) * np.array([.35] * 3 + [.12] * 5, np.float32)[:, np.newaxis]
  environment = tf.concat([tf.ones_like(ambient), contrast * shape], axis=1) * ambient * tints[:, :1]
  # Lamps stand mostly above (y down) and before the hand, though any side is possible.
  directions = tf.math.l2_normalize(normal([batch, lamps, 3], seeds[3]) + [0, -.5, -.7], axis=-1)
  power = uniform([batch, lamps, 1], seeds[4])**3
  power *= (1 - ambient) / tf.reduce_sum(power, axis=1, keepdims=True)
  scale = uniform([batch], seeds[5], *brightness)
  lights = Lights(environment, directions, power * tints[:, 1:], gloss * uniform([batch], seeds[6]),
                  tf.exp(uniform([batch], seeds[7], np.log(8.), np.log(60.))))
  facing = tf.tile(tf.constant([[[0., 0, -1]]]), [batch, 1, 1])
  white = tf.reduce_mean(shade(tf.ones_like(facing), facing, lights._replace(gloss=tf.zeros([batch]))), axis=[1, 2])
  scale = (scale / tf.maximum(white, .2))[:, tf.newaxis, tf.newaxis]
  return lights._replace(environment=lights.environment * scale, colours=lights.colours * scale)


def shade(albedo: tf.Tensor, normals: tf.Tensor, lights: Lights, wrap: float = .25) -> tf.Tensor:
  """Light that surface points send to a camera looking along +z: the formula at the head of this file.

  Args:
    albedo: [B, N, 3], linear reflectance.
    normals: [B, N, 3], unit, camera axes; smooth ones give a smooth surface.
    lights: of the batch.
    wrap: w, how far lamps light the surface beyond n . d = 0, as in skin, which light enters and leaves elsewhere.

  Returns:
    [B, N, 3], linear, not bounded above.
  """
  environment = tf.maximum(tf.matmul(harmonics(normals), lights.environment), 0)  # [B, N, 3]
  facing = tf.matmul(normals, lights.directions, transpose_b=True)  # n . d_l, [B, N, L]
  diffuse = tf.maximum((facing + wrap) / (1 + wrap), 0)
  # Blinn's highlight: the normal against the direction half-way between lamp and eye.
  half = tf.math.l2_normalize(lights.directions - [0., 0., 1.], axis=-1)
  highlight = tf.maximum(tf.matmul(normals, half, transpose_b=True), 1e-6)**lights.shininess[:, tf.newaxis, tf.newaxis]
  highlight *= tf.cast(facing > 0, highlight.dtype) * lights.gloss[:, tf.newaxis, tf.newaxis]
  mirrored = highlight * (lights.shininess[:, tf.newaxis, tf.newaxis] + 8) / 8
  return albedo * (environment + tf.matmul(diffuse, lights.colours)) + tf.matmul(mirrored, lights.colours)


def harmonics(normals):
  """The polynomials Y_k [B, N, 9] of normals [B, N, 3]: real spherical harmonics up to degree 2 without their factors.

  1, x, y, z, xy, yz, 3zz - 1, xz, xx - yy: the order of `Lights.environment`.
  """
  x, y, z = tf.unstack(normals, axis=-1)
  return tf.stack([tf.ones_like(x), x, y, z, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], axis=-1)


def to_display(linear: tf.Tensor) -> tf.Tensor:
  """Encodes linear light [...] for display, clip(linear, 1e-6, 1)^(1 / 2.2); gradient zero where clipped."""
  # The power has no finite slope at 0.
  return tf.clip_by_value(linear, 1e-6, 1)**(1 / _DISPLAY_GAMMA)


def to_linear(display: Union[np.ndarray, tf.Tensor]) -> Union[np.ndarray, tf.Tensor]:
  """Decodes display colours [...] in 0 .. 1 to linear light, display^2.2."""
  return (display if tf.is_tensor(display) else np.asarray(display))**_DISPLAY_GAMMA
