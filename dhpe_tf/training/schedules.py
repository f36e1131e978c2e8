"""Learning-rate schedules, and the optimizer that uses them."""
from collections.abc import Callable

import gin
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.training import averaging, lars


@gin.configurable
def constant_rate(total_steps: int, learning_rate: float = 1e-4) -> tf.keras.optimizers.schedules.LearningRateSchedule:
  """A constant learning rate; `total_steps` is unused, so that all schedules share one signature."""
  del total_steps
  return Cosine(learning_rate, 0, 1, 1.)


@gin.configurable
def cosine(total_steps: int, learning_rate: float = 1e-3, warmup_fraction: float = 0.02,
           final_fraction: float = 0.01) -> tf.keras.optimizers.schedules.LearningRateSchedule:
  """A linear rise from 0 to `learning_rate`, then half a cosine down to `final_fraction` of it at the last step.

  Args:
    total_steps: steps of the training.
    learning_rate: the peak.
    warmup_fraction: share of the training in which the rate rises.
    final_fraction: last rate divided by the peak.

  Returns:
    The schedule.
  """
  return Cosine(learning_rate, round(warmup_fraction * total_steps), total_steps, final_fraction)


class Cosine(tf.keras.optimizers.schedules.LearningRateSchedule):
  """Warm-up and cosine decay; steps after the last keep the final rate.

  With W warm-up steps, T total steps and final fraction r, the rate at step n (from 0) is

    rate(n) = peak min((n + 1) / W, 1) (r + (1 - r) (1 + cos(pi p)) / 2),    p = clip((n - W) / (T - W), 0, 1).
  """

  def __init__(self, learning_rate: float, warmup_steps: int, total_steps: int, final_fraction: float):
    self.learning_rate = learning_rate
    self.warmup_steps = warmup_steps
    self.total_steps = total_steps
    self.final_fraction = final_fraction

  def __call__(self, step: tf.Tensor) -> tf.Tensor:
    """Returns the rate at `step`, a scalar counted from 0."""
    step = tf.cast(step, tf.float32)
    # The first step gets 1 / W of the peak and not 0, which would change nothing.
    rise = tf.minimum((step + 1.) / max(self.warmup_steps, 1), 1.)
    passed = (step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1)
    decay = 0.5 * (1. + tf.cos(3.14159265 * tf.clip_by_value(passed, 0., 1.)))
    return self.learning_rate * rise * (self.final_fraction + (1. - self.final_fraction) * decay)

  def get_config(self) -> dict:
    """Returns the arguments of the constructor."""
    return {'learning_rate': self.learning_rate, 'warmup_steps': self.warmup_steps,
            'total_steps': self.total_steps, 'final_fraction': self.final_fraction}


@gin.configurable
def build_optimizer(total_steps: int, schedule: Callable = cosine, name: str = 'adam', weight_decay: float = 0.,
                    clip_norm: float = 0., averaging_decay: float = 0.) -> tf.keras.optimizers.Optimizer:
  """Builds the optimizer.

  Args:
    total_steps: steps of the training, for the schedule.
    schedule: total_steps -> learning-rate schedule.
    name: 'adam', 'sgd' (momentum 0.9), 'rmsprop' or 'lars' (momentum 0.9, see `lars.Lars`).
    weight_decay: decoupled decay of all weights in each step, multiplied by the learning rate; 0 for none. That of
      'lars' is part of its layers' steps.
    clip_norm: largest global norm of the gradient, after the sum over replicas; 0 for no limit.
    averaging_decay: share of the weights' moving average that each step keeps, for example 0.99 or 0.999; 0 for no
      average. Evaluations, checkpoints and exports then use the averaged weights (see training/averaging.py).

  Returns:
    The optimizer.

  Raises:
    UserError: unknown name, or an averaging decay outside [0, 1).
  """
  if name not in ('adam', 'sgd', 'rmsprop', 'lars'):
    raise UserError(f'build_optimizer.name is {name!r}; it must be adam, sgd, rmsprop or lars.')
  if not 0. <= averaging_decay < 1.:
    raise UserError(f'build_optimizer.averaging_decay is {averaging_decay}; it must be at least 0 and below 1.')
  if averaging_decay and not weight_decay and name != 'lars' and averaging.has_addons():
    return averaging.addons_optimizer(name, averaging_decay, schedule(total_steps), clip_norm or None)
  options = {'learning_rate': schedule(total_steps), 'global_clipnorm': clip_norm or None,
             'use_ema': averaging_decay > 0, 'ema_momentum': averaging_decay}
  # XLA for the update alone would add seconds to each start on a CPU; `train.jit_compile` compiles the whole step.
  options['jit_compile'] = False
  if name == 'lars':
    return lars.Lars(layer_decay=weight_decay, **options)
  options['weight_decay'] = weight_decay or None
  if name == 'adam':
    return tf.keras.optimizers.Adam(**options)
  if name == 'sgd':
    return tf.keras.optimizers.SGD(momentum=0.9, **options)
  return tf.keras.optimizers.RMSprop(**options)
