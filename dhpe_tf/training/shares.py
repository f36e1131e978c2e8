"""Weights that take only a share of the optimizer's steps, such as a pretrained trunk behind new heads."""
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dhpe_tf.training import averaging


def slow_down(optimizer: tf.keras.optimizers.Optimizer, variables: Sequence[tf.Variable], share: float) -> None:
  """Makes an optimizer move some variables by a share of its steps: w <- w + share (w' - w), w' its own answer.

  A smaller gradient would not do, because Adam's and RMSprop's steps do not depend on its size. Moving averages of
  weights see the weights that result; weight decay is not slowed.

  Args:
    optimizer: one of `schedules.build_optimizer`, in a LossScaleOptimizer or not; changed in place.
    variables: those to slow down.
    share: of each step, from 0 on; 1 changes nothing.
  """
  if share == 1:
    return
  inner = averaging.inner_optimizer(optimizer)
  inner = getattr(inner, '_optimizer', inner)  # that of tensorflow-addons' MovingAverage
  # Keras's legacy optimizers, which tensorflow-addons wraps, have another method for the step of one variable.
  method = 'update_step' if hasattr(inner, 'update_step') else '_resource_apply_dense'
  step = getattr(inner, method)
  # A distributed variable is updated replica by replica, each by its own copy.
  slow = {id(copy) for variable in variables for copy in getattr(variable, 'values', [variable])}

  def shared_step(gradient: tf.Tensor, variable: tf.Variable, *arguments: Any, **named: Any) -> Any:
    if id(variable) not in slow:
      return step(gradient, variable, *arguments, **named)
    before = tf.identity(variable.read_value())
    step(gradient, variable, *arguments, **named)
    return variable.assign(before + share * (variable.read_value() - before))

  setattr(inner, method, shared_step)
