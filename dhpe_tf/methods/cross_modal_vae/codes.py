"""Codes of the auto-encoder: normal distributions with diagonal covariance, one for each instance."""
import tensorflow as tf


def kl_to_normal(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
  """The Kullback-Leibler divergence of N(mean, exp(log_variance)) from N(0, 1), by dimension, in nats.

    KL = (s^2 + m^2 - 1 - log s^2) / 2

  Args:
    mean: m `[...]`, float.
    log_variance: log s^2, likewise.

  Returns:
    `[...]`, never below 0 but for rounding.
  """
  return 0.5 * (tf.exp(log_variance) + tf.square(mean) - 1. - log_variance)


class Bounded(tf.keras.layers.Layer):
  """Numbers of any size to numbers within (-limit, limit): limit tanh(x / limit), so that their exp stays finite."""

  def __init__(self, limit: float, **kwargs):
    super().__init__(**kwargs)
    self._limit = limit

  def call(self, x: tf.Tensor) -> tf.Tensor:
    """The bounded numbers, of the shape of `x`."""
    return self._limit * tf.tanh(x / self._limit)


class Sample(tf.keras.layers.Layer):
  """Draws z = m + s e, e ~ N(0, 1), in training, so that gradients reach m and s; otherwise gives m."""

  def __init__(self, **kwargs):
    super().__init__(**kwargs)
    self._noise = tf.keras.layers.GaussianNoise(1.)  # its state is kept in checkpoints

  def call(self, inputs, training=None):
    """Codes `[B, D]` of (m, log s^2), each `[B, D]`."""
    mean, log_variance = inputs
    return mean + tf.exp(0.5 * log_variance) * self._noise(tf.zeros_like(mean), training=training)


def between(first: tf.Tensor, last: tf.Tensor, count: int) -> tf.Tensor:
  """Codes on straight lines: `[N, count, D]` from `first` to `last`, each `[N, D]`, both ends included."""
  share = tf.linspace(0., 1., count)[None, :, None]
  return first[:, None] * (1. - share) + last[:, None] * share
