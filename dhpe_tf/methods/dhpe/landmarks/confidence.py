"""How sure each joint is: the probability that it lies near its true place, from what can be seen without the truth."""
import gin
import tensorflow as tf

NEAR = 0.1  # crop units: about a tenth of the hand's length, 13 px of 256
LEAST = 0.003  # crop units; below it, differences are noise


def features(spread: tf.Tensor, residual: tf.Tensor) -> tf.Tensor:
  """What the probability depends on, `[B, 21, 2]`: the logarithms of two distances.

  Args:
    spread: `[B, 21]` crop units, `Evidence.spread`: how much two looks differ.
    residual: `[B, 21]` crop units, from the hand's joints to those of the evidence.
  """
  return tf.math.log(tf.stack([spread, residual], axis=-1) + LEAST)


@gin.configurable(module='landmarks', denylist=['spread', 'residual'])
def joint_confidence(spread: tf.Tensor, residual: tf.Tensor, bias: float = -4.732, spread_weight: float = -0.698,
                     residual_weight: float = -1.192) -> tf.Tensor:
  """The probability `[B, 21]` that a joint is seen within `NEAR` of its true place.

    1 / (1 + exp(-(bias + spread_weight log spread + residual_weight log residual)))

  The weights were fitted to 297 rendered hands for the shipped estimator by `tests.benchmarks.confidence`, which also
  prints how well they hold for others.

  Args:
    spread: see `features`.
    residual: see `features`.
    bias: see above.
    spread_weight: see above.
    residual_weight: see above.
  """
  seen = features(spread, residual)
  return tf.sigmoid(bias + spread_weight * seen[..., 0] + residual_weight * seen[..., 1])
