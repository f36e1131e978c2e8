"""The feature loss: the picture and its foreground alone should have the same features."""
import gin
import tensorflow as tf

from dhpe_tf.losses import reductions


@gin.configurable(module='losses')
def feature_loss(features: tf.Tensor, masked_features: tf.Tensor, reduction: str = 'mean',
                 stop_gradient_on: str = 'masked') -> tf.Tensor:
  """The feature loss of Eq. 2, for pictures x, masks m and the feature net F.

    L_Feat = ||F(x) - F(x * m)||^2.

  A constant F makes it zero, so it is useful only beside losses that need the features; watch `feature_spread`.

  Args:
    features: F(x) `[B, D]`.
    masked_features: F(x * m) `[B, D]`; x * m is black outside the hand.
    reduction: over D.
    stop_gradient_on: 'masked', the paper's direction, holds F(x * m) fixed and pulls F(x) to it, so that features
      ignore the background; 'full' holds F(x) fixed; 'none' trains both branches. The paper says in words what is to
      be learnt and not how. With 'none' the features of a light model without normalisation were a constant after 100
      steps (`feature_spread` below 1e-7).

  Returns:
    `[B]`.

  Raises:
    ValueError: an unknown `stop_gradient_on`.
  """
  reductions.check_choice('stop_gradient_on', stop_gradient_on, ('none', 'masked', 'full'))
  if stop_gradient_on == 'masked':
    masked_features = tf.stop_gradient(masked_features)
  elif stop_gradient_on == 'full':
    features = tf.stop_gradient(features)
  return reductions.squared_error(features, masked_features, reduction=reduction)


def feature_spread(features: tf.Tensor) -> tf.Tensor:
  """How much features `[B, D]` differ within a batch: a scalar in [0, 1], near 0 if they have collapsed to a constant.

  sqrt(mean_bd (f_bd - mean_b f_bd)^2 / mean_bd f_bd^2).
  """
  deviation = tf.reduce_mean(tf.math.squared_difference(features, tf.reduce_mean(features, axis=0, keepdims=True)))
  return tf.sqrt(tf.math.divide_no_nan(deviation, tf.reduce_mean(tf.square(features))))


def feature_rms(features: tf.Tensor) -> tf.Tensor:
  """Root of the mean square of features `[B, D]`: `[B]`."""
  return tf.sqrt(tf.reduce_mean(tf.square(features), axis=-1))


def active_share(features: tf.Tensor) -> tf.Tensor:
  """Share of the units of features `[B, D]` that are above zero for any instance: a scalar in [0, 1].

  Units behind a ReLU that no picture activates any more learn nothing and tell nothing.
  """
  return tf.reduce_mean(tf.cast(tf.reduce_any(features > 0, axis=0), tf.float32))
