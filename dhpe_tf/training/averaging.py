"""Moving averages of the weights: the trained model is the average over the last steps, which is less noisy than any.

On Python up to 3.11 tensorflow-addons' MovingAverage keeps them, around Keras's legacy optimizers, the only ones it
takes. Later Pythons have no tensorflow-addons; there, and with weight decay, which the legacy optimizers lack, it is
`use_ema` of Keras's own optimizers. Both compute average <- decay average + (1 - decay) weight after each step, from
the first weights on.
"""
import contextlib
import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import tensorflow as tf


def has_addons() -> bool:
  """Whether tensorflow-addons is installed."""
  return importlib.util.find_spec('tensorflow_addons') is not None


def addons_optimizer(name: str, decay: float, learning_rate: Any,
                     clip_norm: Optional[float]) -> tf.keras.optimizers.legacy.Optimizer:
  """An optimizer with averages by tensorflow-addons.

  Args:
    name: 'adam', 'sgd' (momentum 0.9) or 'rmsprop'.
    decay: share of the average kept in each step.
    learning_rate: number or schedule.
    clip_norm: largest global norm of the gradient, or None.
  """
  with warnings.catch_warnings():
    # It announces that its development has ended and which TensorFlow it was made for.
    warnings.simplefilter('ignore')
    import tensorflow_addons as addons
  legacy = tf.keras.optimizers.legacy
  inner = {'adam': legacy.Adam, 'sgd': lambda rate: legacy.SGD(rate, momentum=0.9), 'rmsprop': legacy.RMSprop}[name]
  # The limit goes to the wrapper: it is the one whose apply_gradients is called.
  limit = {'global_clipnorm': clip_norm} if clip_norm else {}
  return addons.optimizers.MovingAverage(inner(learning_rate), average_decay=decay, **limit)


def create_state(optimizer: tf.keras.optimizers.Optimizer, variables: Sequence[tf.Variable]) -> None:
  """Makes an optimizer's variables now and not in the first step, so that a checkpoint can fill them."""
  inner = _inner(optimizer)
  if hasattr(inner, 'build'):
    optimizer.build(variables)
  elif hasattr(inner, '_create_all_weights'):  # the legacy optimizers offer no public way
    inner._create_all_weights(variables)


class Averages:
  """A model's weights and their averages, which can change places; nothing where an optimizer keeps no averages.

  Attributes:
    pairs: (weight, average) of each averaged variable.
  """

  def __init__(self, optimizer: tf.keras.optimizers.Optimizer, variables: Sequence[tf.Variable]):
    """Finds the averages of an optimizer whose state has been made for `variables`."""
    inner = _inner(optimizer)
    if getattr(inner, 'use_ema', False):
      self.pairs = list(zip(variables, inner._model_variables_moving_average))
    elif 'average' in getattr(inner, 'get_slot_names', list)():
      self.pairs = [(variable, inner.get_slot(variable, 'average')) for variable in variables]
    else:
      self.pairs = []

  def swap(self) -> None:
    """Exchanges weights and averages."""
    for variable, average in self.pairs:
      value = tf.identity(variable.read_value())
      variable.assign(average.read_value())
      average.assign(value)

  @contextlib.contextmanager
  def in_use(self) -> Iterator[None]:
    """The model has its averaged weights within."""
    self.swap()
    try:
      yield
    finally:
      self.swap()


def _inner(optimizer: tf.keras.optimizers.Optimizer) -> tf.keras.optimizers.Optimizer:
  """What a LossScaleOptimizer wraps; any other optimizer itself."""
  return getattr(optimizer, 'inner_optimizer', optimizer)
