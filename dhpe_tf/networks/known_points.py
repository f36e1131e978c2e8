"""Points of which only some are known, as numbers for a network."""
import tensorflow as tf


class KnownPoints(tf.keras.layers.Layer):
  """Points [B, K, D] and weights [B, K] to numbers [B, K (D + 1)]: known points, zeros for others, and which are known.

  A point is known where its weight is above 0; others may be anything, NaN too.
  """

  def call(self, inputs):
    """Numbers [B, K (D + 1)] of (points, weights)."""
    points, weights = inputs
    known = weights > 0
    numbers = tf.where(known[..., None], points, 0.)
    flat = tf.reshape(numbers, [-1, points.shape[1] * points.shape[2]])
    return tf.concat([flat, tf.cast(known, points.dtype)], axis=-1)
