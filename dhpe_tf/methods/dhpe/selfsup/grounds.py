"""Backgrounds for rendered hands, inside a graph: random pictures and a forearm behind the wrist."""
from typing import Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.data import augmentation
from dhpe_tf.synthesis.backgrounds import Backgrounds

_KNUCKLES = [5, 9, 13, 17]


@gin.configurable(module='selfsup', denylist=['image_size'])
class Grounds:
  """Lays hands over backgrounds of `synthesis.backgrounds`, each flipped and recoloured at random."""

  def __init__(self, image_size: int, pool_size: int = 256, seed: int = 0, forearm: float = 0.75,
               appearance: bool = True):
    """Stores the settings; `prepare` makes the backgrounds.

    Args:
      image_size: S, px.
      pool_size: number of backgrounds in the pool.
      seed: of the pool; the same seed gives the same backgrounds.
      forearm: probability of a forearm (the hand model ends at the wrist; people do not).
      appearance: whether colours and detail change at random (`augmentation.random_appearance`), as in the other
        training pictures.
    """
    self._size, self._pool_size, self._seed = image_size, pool_size, seed
    self._forearm, self._appearance = forearm, appearance
    self._pool: Optional[tf.Tensor] = None

  def prepare(self) -> None:
    """Makes the pool of backgrounds [pool_size, S, S, 3] if there is none yet; takes seconds."""
    if self._pool is None:
      backgrounds, random = Backgrounds(self._seed), np.random.default_rng(self._seed)
      pictures = np.stack([backgrounds.draw(random, self._size) for _ in range(self._pool_size)])
      with tf.init_scope():
        self._pool = tf.constant(pictures)

  def compose(self, rgb: tf.Tensor, alpha: tf.Tensor, joints_crop: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Lays hands over backgrounds: picture = ground + alpha (rgb - ground).

    Args:
      rgb: [B, S, S, 3] in 0..1, of the hands alone, black elsewhere.
      alpha: [B, S, S, 1], covered part of each pixel.
      joints_crop: [B, 21, 2] crop space; the forearm starts at the wrist.
      seed: int [2].

    Returns:
      [B, S, S, 3] in 0..1.
    """
    ground_seed, arm_seed, change_seed = augmentation.split_seed(seed, 3)
    picture = self._draw(tf.shape(rgb)[0], ground_seed)
    picture = self._with_forearms(picture, rgb, alpha, joints_crop, arm_seed)
    picture += alpha * (rgb - picture)
    if not self._appearance:
      return tf.clip_by_value(picture, 0., 1.)
    seeds = tf.random.experimental.stateless_split(change_seed, tf.shape(rgb)[0])
    # There is no Python control flow on tensors for AutoGraph to convert.
    change = tf.autograph.experimental.do_not_convert(lambda pair: augmentation.random_appearance(*pair))
    shape = tf.TensorSpec([self._size, self._size, 3], tf.float32)
    return tf.map_fn(change, (picture, seeds), fn_output_signature=shape)

  def _draw(self, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Random backgrounds [count, S, S, 3] in 0..1: flipped, transposed and with changed gains of the colours."""
    choice, flips, gains = augmentation.split_seed(seed, 3)
    index = tf.random.stateless_uniform([count], choice, 0, self._pool_size, tf.int32)
    picture = tf.cast(tf.gather(self._pool, index), tf.float32) / 255.
    flip = tf.random.stateless_uniform([count, 2, 1, 1, 1], flips) < 0.5
    picture = tf.where(flip[:, 0], tf.reverse(picture, [2]), picture)
    picture = tf.where(flip[:, 1], tf.transpose(picture, [0, 2, 1, 3]), picture)
    return tf.clip_by_value(picture * tf.random.stateless_uniform([count, 1, 1, 3], gains, 0.8, 1.2), 0., 1.)

  def _with_forearms(self, picture: tf.Tensor, rgb: tf.Tensor, alpha: tf.Tensor, joints: tf.Tensor,
                     seed: tf.Tensor) -> tf.Tensor:
    """Draws forearms or sleeves from the wrist away from the knuckles.

    In the forearm's axes a point of crop space lies `far` from the wrist along it and `across` beside it; the arm
    covers |across| < half_width(far). Its colour is the hand's mean colour near the wrist, darker toward its edges.

    Args:
      picture: [B, S, S, 3] in 0..1, the backgrounds.
      rgb: [B, S, S, 3] in 0..1, the hands.
      alpha: [B, S, S, 1], covered part of each pixel.
      joints: [B, 21, 2] crop space.
      seed: int [2].

    Returns:
      [B, S, S, 3] in 0..1.
    """
    uniform = tf.random.stateless_uniform([8, tf.shape(joints)[0], 1, 1], seed)
    wrist = joints[:, 0]
    away = wrist - tf.reduce_mean(tf.gather(joints, _KNUCKLES, axis=1), axis=1)
    length = tf.norm(away, axis=-1)[:, None, None]
    angle = tf.atan2(away[:, 1], away[:, 0])[:, None, None] + 0.8 * (uniform[0] - 0.5)
    at = (tf.range(self._size, dtype=tf.float32) + 0.5) * (2 / self._size) - 1  # pixel centres in crop space, [S]
    x, y = at - wrist[:, :1, None], at[:, None] - wrist[:, 1:, None]
    far, across = x * tf.cos(angle) + y * tf.sin(angle), y * tf.cos(angle) - x * tf.sin(angle)
    half_width = length * (0.28 + 0.08 * uniform[1]) + tf.maximum(far, 0) * 0.2 * uniform[2]
    cover = tf.clip_by_value((half_width - tf.abs(across)) * (self._size / 2) + 0.5, 0., 1.)
    cover *= tf.clip_by_value((far + 0.1 * length) * (self._size / 2), 0., 1.)
    # An arm that points at the camera or away from it is too short to draw.
    cover *= tf.cast((uniform[3] < self._forearm) & (length > 0.1), tf.float32)
    near = alpha[..., 0] * tf.exp(-2 * tf.square(tf.maximum(-far, 0) / tf.maximum(length, 0.1)))
    skin = tf.reduce_sum(near[..., None] * rgb, [1, 2]) / tf.maximum(tf.reduce_sum(near, [1, 2]), 1e-3)[:, None]
    cloth = tf.random.stateless_uniform(tf.shape(skin), seed + 1)
    sleeved = (uniform[4] < 0.4) & (far > 0.8 * length * uniform[5])
    bend = across / tf.maximum(half_width, 1e-3)
    shade = 1 + 0.4 * (uniform[6] - 0.5) * bend - (0.1 + 0.4 * uniform[7]) * bend**2
    colour = tf.where(sleeved[..., None], cloth[:, None, None], skin[:, None, None]) * shade[..., None]
    return picture + cover[..., None] * (colour - picture)
