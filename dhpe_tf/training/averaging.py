"""Moving averages of the weights; the trained model is the average, which is less noisy than the last weights.

On Python up to 3.11, tensorflow-addons' MovingAverage keeps them; it wraps Keras's legacy optimizers, the only ones it
accepts. Later Pythons have no tensorflow-addons, and the legacy optimizers have no weight decay; in these two cases
`use_ema` of Keras's own optimizers keeps them. Both compute

  average <- decay average + (1 - decay) weight

after each step, starting from the first weights.
"""
import contextlib
import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import tensorflow as tf

from dhpe_tf.errors import UserError


def has_addons() -> bool:
  """Whether tensorflow-addons is installed."""
  return importlib.util.find_spec('tensorflow_addons') is not None


def addons_optimizer(name: str, decay: float, learning_rate: Any,
                     clip_norm: Optional[float]) -> tf.keras.optimizers.legacy.Optimizer:
  """Builds an optimizer whose averages are kept by tensorflow-addons.

  Args:
    name: 'adam', 'sgd' (momentum 0.9) or 'rmsprop'.
    decay: share of the average that each step keeps.
    learning_rate: a number or a schedule.
    clip_norm: largest global norm of the gradient, or None.

  Returns:
    The optimizer.
  """
  with warnings.catch_warnings():
    # The package warns on import that its development has ended and which TensorFlow it supports.
    warnings.simplefilter('ignore')
    import tensorflow_addons as addons
  legacy = tf.keras.optimizers.legacy
  inner = {'adam': legacy.Adam, 'sgd': lambda rate: legacy.SGD(rate, momentum=0.9), 'rmsprop': legacy.RMSprop}[name]
  # The wrapper gets the limit, because its apply_gradients is the one that is called.
  limit = {'global_clipnorm': clip_norm} if clip_norm else {}
  return addons.optimizers.MovingAverage(inner(learning_rate), average_decay=decay, **limit)


def create_state(optimizer: tf.keras.optimizers.Optimizer, variables: Sequence[tf.Variable]) -> None:
  """Creates an optimizer's variables before its first step, so that a checkpoint can restore them."""
  inner = inner_optimizer(optimizer)
  if hasattr(inner, 'build'):
    optimizer.build(variables)
  elif hasattr(inner, '_create_all_weights'):  # legacy optimizers have no public method for this
    inner._create_all_weights(variables)


def check_kind(checkpoint: str, optimizer: tf.keras.optimizers.Optimizer) -> None:
  """Compares an optimizer with the one of a checkpoint: tensorflow-addons' state does not fit Keras's, nor the reverse.

  Args:
    checkpoint: path of a checkpoint of a training.
    optimizer: that which shall go on.

  Raises:
    UserError: only one of them keeps averages by tensorflow-addons.
    tf.errors.OpError: the checkpoint cannot be read.
  """
  there = any('.OPTIMIZER_SLOT/' in name and '/average/' in name for name, _ in tf.train.list_variables(checkpoint))
  here = _has_slots(optimizer)
  if there != here:
    kinds = {True: "tensorflow-addons' MovingAverage", False: "Keras's own"}
    raise UserError(f'{checkpoint}: its optimizer is {kinds[there]}, and here it is {kinds[here]} (averaging_decay '
                    'takes the first up to Python 3.11, the other later); go on with the Python and settings that '
                    'began the training, or choose another --model_dir and name this one as train.initial_weights.')


def _has_slots(optimizer: tf.keras.optimizers.Optimizer) -> bool:
  """Whether tensorflow-addons keeps an optimizer's averages."""
  return 'average' in getattr(inner_optimizer(optimizer), 'get_slot_names', list)()


class Averages:
  """Pairs of weights and averages that can be exchanged; empty for an optimizer without averages.

  Attributes:
    pairs: (weight, average) for each averaged variable.
  """

  def __init__(self, optimizer: tf.keras.optimizers.Optimizer, variables: Sequence[tf.Variable]):
    """Finds the averages of an optimizer.

    Args:
      optimizer: its state has been created by `create_state`.
      variables: the weights that it updates.
    """
    inner = inner_optimizer(optimizer)
    if getattr(inner, 'use_ema', False):
      self.pairs = list(zip(variables, inner._model_variables_moving_average))
    elif _has_slots(inner):
      self.pairs = [(variable, inner.get_slot(variable, 'average')) for variable in variables]
    else:
      self.pairs = []

  def swap(self) -> None:
    """Exchanges weights and averages in place."""
    for variable, average in self.pairs:
      value = tf.identity(variable.read_value())
      variable.assign(average.read_value())
      average.assign(value)

  @contextlib.contextmanager
  def in_use(self) -> Iterator[None]:
    """Context in which the model holds its averaged weights."""
    self.swap()
    try:
      yield
    finally:
      self.swap()


def inner_optimizer(optimizer: tf.keras.optimizers.Optimizer) -> tf.keras.optimizers.Optimizer:
  """Returns the optimizer inside a LossScaleOptimizer, or the optimizer itself."""
  return getattr(optimizer, 'inner_optimizer', optimizer)
