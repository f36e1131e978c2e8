"""Learning-rate schedules and the optimizer built on them."""
from collections.abc import Callable

import gin
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.training import averaging


@gin.configurable
def constant(total_steps: int, learning_rate: float = 1e-4) -> tf.keras.optimizers.schedules.LearningRateSchedule:
  """One rate throughout; `total_steps` is taken so that all schedules are called alike."""
  del total_steps
  return Cosine(learning_rate, 0, 1, 1.)


@gin.configurable
def cosine(total_steps: int, learning_rate: float = 1e-3, warmup_fraction: float = 0.02,
           final_fraction: float = 0.01) -> tf.keras.optimizers.schedules.LearningRateSchedule:
  """A linear rise from 0 to `learning_rate`, then half a cosine down to `final_fraction` of it at the last step.

  Args:
    total_steps: length of the training.
    learning_rate: the peak.
    warmup_fraction: share of the training spent rising.
    final_fraction: last rate over the peak.
  """
  return Cosine(learning_rate, round(warmup_fraction * total_steps), total_steps, final_fraction)


class Cosine(tf.keras.optimizers.schedules.LearningRateSchedule):
  """Warm-up and cosine decay; steps beyond the last keep the final rate."""

  def __init__(self, learning_rate: float, warmup_steps: int, total_steps: int, final_fraction: float):
    self.learning_rate = learning_rate
    self.warmup_steps = warmup_steps
    self.total_steps = total_steps
    self.final_fraction = final_fraction

  def __call__(self, step: tf.Tensor) -> tf.Tensor:
    """Rate at `step` (scalar, counted from 0)."""
    step = tf.cast(step, tf.float32)
    # The first step is 1/warmup of the peak, not 0: a step that changes nothing would be wasted.
    rise = tf.minimum((step + 1.) / max(self.warmup_steps, 1), 1.)
    passed = (step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1)
    decay = 0.5 * (1. + tf.cos(3.14159265 * tf.clip_by_value(passed, 0., 1.)))
    return self.learning_rate * rise * (self.final_fraction + (1. - self.final_fraction) * decay)

  def get_config(self) -> dict:
    """Arguments of the constructor."""
    return {'learning_rate': self.learning_rate, 'warmup_steps': self.warmup_steps,
            'total_steps': self.total_steps, 'final_fraction': self.final_fraction}


@gin.configurable
def build_optimizer(total_steps: int, schedule: Callable = cosine, name: str = 'adam', weight_decay: float = 0.,
                    clip_norm: float = 0., averaging_decay: float = 0.) -> tf.keras.optimizers.Optimizer:
  """Builds the optimizer.

  Args:
    total_steps: length of the training, for the schedule.
    schedule: total_steps -> learning-rate schedule.
    name: 'adam', 'sgd' (momentum 0.9) or 'rmsprop'.
    weight_decay: decoupled decay of all weights per step, times the learning rate; 0 for none.
    clip_norm: largest global norm of the gradient (after the sum over replicas); 0 for no limit.
    averaging_decay: share of the weights' moving average that each step keeps, 0.99 or 0.999 say; 0 for no average.
      Evaluations, checkpoints and exports then hold the averaged weights (see training/averaging.py).

  Raises:
    UserError: unknown name, or a decay outside [0, 1).
  """
  if name not in ('adam', 'sgd', 'rmsprop'):
    raise UserError(f'build_optimizer.name is {name!r}; it must be adam, sgd or rmsprop.')
  if not 0. <= averaging_decay < 1.:
    raise UserError(f'build_optimizer.averaging_decay is {averaging_decay}; it must be at least 0 and below 1.')
  if averaging_decay and not weight_decay and averaging.has_addons():
    return averaging.addons_optimizer(name, averaging_decay, schedule(total_steps), clip_norm or None)
  options = {'learning_rate': schedule(total_steps), 'weight_decay': weight_decay or None,
             'global_clipnorm': clip_norm or None, 'use_ema': averaging_decay > 0, 'ema_momentum': averaging_decay}
  # Compiling the update adds seconds to each start on a CPU, and is the step function's own choice elsewhere.
  options['jit_compile'] = False
  if name == 'adam':
    return tf.keras.optimizers.Adam(**options)
  if name == 'sgd':
    return tf.keras.optimizers.SGD(momentum=0.9, **options)
  return tf.keras.optimizers.RMSprop(**options)
