"""The feature loss: the picture and its foreground should look the same to the feature net."""
import gin
import tensorflow as tf

from dhpe_tf.losses import reductions


@gin.configurable(module='losses')
def feature_loss(features: tf.Tensor, masked_features: tf.Tensor, reduction: str = 'mean',
                 stop_gradient_on: str = 'full') -> tf.Tensor:
  """L_Feat of Eq. 2, ||F(x) - F(x * m)||^2.

  A constant F makes it zero, so it is of use only beside losses that F must serve; watch `feature_spread`.

  Args:
    features: `[B, D]` of the whole picture.
    masked_features: `[B, D]` of the picture outside whose hand mask is black.
    reduction: over D.
    stop_gradient_on: 'none' trains both branches; 'masked' or 'full' holds the features of the masked or the whole
      picture fixed. The paper does not say. With 'none' the light model's features were a constant after 100 steps
      (`feature_spread` below 1e-7), with 'full' they were not.

  Returns:
    `[B]`.

  Raises:
    ValueError: no such choice of `stop_gradient_on`.
  """
  reductions.check_choice('stop_gradient_on', stop_gradient_on, ('none', 'masked', 'full'))
  if stop_gradient_on == 'masked':
    masked_features = tf.stop_gradient(masked_features)
  elif stop_gradient_on == 'full':
    features = tf.stop_gradient(features)
  return reductions.squared_error(features, masked_features, reduction=reduction)


def feature_spread(features: tf.Tensor) -> tf.Tensor:
  """How much features `[B, D]` differ within a batch: near 0 when they have collapsed to a constant.

  It is the root mean square deviation from the batch mean over the root mean square feature, a scalar in [0, 1].
  """
  deviation = tf.reduce_mean(tf.math.squared_difference(features, tf.reduce_mean(features, axis=0, keepdims=True)))
  return tf.sqrt(tf.math.divide_no_nan(deviation, tf.reduce_mean(tf.square(features))))
