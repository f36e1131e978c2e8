"""Descent on many independent problems at once, in one graph: each instance keeps its best step and stops by itself."""
from collections.abc import Callable
from typing import NamedTuple

import gin
import tensorflow as tf


@gin.configurable(module='optimization', denylist=['steps'])
def within_limits(steps: tf.Tensor, most_steps: int = 1000) -> tf.Tensor:
  """Returns a scalar number of steps from a stranger, such as an input of a served model.

  Args:
    steps: scalar int32.
    most_steps: largest number that is accepted; an export keeps it in its graph.

  Raises:
    tf.errors.InvalidArgumentError: it is below 0 or above `most_steps`; each step takes time, and some take memory.
  """
  message = f'steps must be from 0 to {most_steps}'
  checks = [tf.debugging.assert_non_negative(steps, message),
            tf.debugging.assert_less_equal(steps, most_steps, message)]
  with tf.control_dependencies(checks):
    return tf.identity(steps)


class Descent(NamedTuple):
  """The result of a descent.

  Attributes:
    best: `[B, P]` the variables with the lowest objective seen, the starting point included.
    best_objective: `[B]` their objective.
    objectives: `[B, steps + 1]` the objective before each step and after the last; an instance that stopped repeats its
      last value.
    steps_taken: `[B]` int32, steps until the instance stopped.
    best_by_step: `[B, steps + 1, P]` the value of `best` after 0, 1, .., steps steps.
  """

  best: tf.Tensor
  best_objective: tf.Tensor
  objectives: tf.Tensor
  steps_taken: tf.Tensor
  best_by_step: tf.Tensor


class _State(NamedTuple):
  """Loop variables of `descend`.

  Attributes:
    step: int32 [], number of the step.
    variables: `[B, P]` x.
    moments: Adam's m and v, each `[B, P]`.
    best, best_objective: `[B, P]` and `[B]`, as of `Descent`.
    last_objective: `[B]` the objective at the last step, infinite before the first.
    since_progress: int32 `[B]`, steps since the last progress.
    steps_taken: int32 `[B]`.
    active: bool `[B]`, whether an instance goes on.
    objectives, bests: the last objective and the best variables of each step, `[B]` and `[B, P]`.
  """

  step: tf.Tensor
  variables: tf.Tensor
  moments: tuple[tf.Tensor, tf.Tensor]
  best: tf.Tensor
  best_objective: tf.Tensor
  last_objective: tf.Tensor
  since_progress: tf.Tensor
  steps_taken: tf.Tensor
  active: tf.Tensor
  objectives: tf.TensorArray
  bests: tf.TensorArray


def _start(variables: tf.Tensor, steps: tf.Tensor) -> _State:
  """The state before the first step, at `variables` [B, P]; no objective is known yet."""
  zeros, batch = tf.zeros_like(variables), tf.shape(variables)[0]
  never = tf.fill([batch], tf.constant(float('inf'), variables.dtype))
  count = tf.zeros([batch], tf.int32)
  return _State(tf.constant(0), variables, (zeros, zeros), variables, never, never, count, count,
                tf.ones([batch], tf.bool),
                tf.TensorArray(variables.dtype, size=steps + 1, element_shape=variables.shape[:1]),
                tf.TensorArray(variables.dtype, size=steps + 1, element_shape=variables.shape))


def _judge(state: _State, value: tf.Tensor, patience: int, tolerance: float) -> _State:
  """Updates the best variables, the lists and `active` by the objective `value` [B] at the current variables.

  An instance goes on while its objective is finite and has fallen, within the last `patience` steps, by more than
  tolerance * |value| below the best before.
  """
  value = tf.where(state.active, value, state.last_objective)
  better = state.active & (value < state.best_objective)
  # Any finite value is progress over the infinity before the first step.
  progress = state.active & (value < state.best_objective - tolerance * tf.abs(value))
  since_progress = tf.where(progress, 0, state.since_progress + 1)
  best = tf.where(better[:, None], state.variables, state.best)
  return state._replace(
      best=best,
      best_objective=tf.where(better, value, state.best_objective),
      last_objective=value,
      since_progress=since_progress,
      active=state.active & tf.math.is_finite(value) & (since_progress < patience),
      objectives=state.objectives.write(state.step, value),
      bests=state.bests.write(state.step, best))


@gin.configurable(module='optimization')
def descend(objective: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor, steps: tf.Tensor, rates: tf.Tensor,
            method: str = 'adam', beta_1: float = 0.8, beta_2: float = 0.95, patience: int = 12,
            tolerance: float = 1e-3) -> Descent:
  """Minimises `objective` E from `start` for each instance on its own.

  With the gradient g = dE / dx and the step sizes gamma, step t = 1, 2, .. is

    'gradient':  x <- x - gamma g, the descent of the paper's Eq. 13 (whose step size is not known);
    'adam':      m <- beta_1 m + (1 - beta_1) g,    v <- beta_2 v + (1 - beta_2) g^2,
                 x <- x - gamma (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + 1e-8).

  Adam, the default, needs no tuning between angles, crop units and quaternions.

  Args:
    objective: takes `[B, P]`, returns `[B]`; instance b depends on row b alone.
    start: `[B, P]`.
    steps: scalar int32, the largest number of steps; 0 returns the start.
    rates: gamma, the step size of each variable, `[P]`.
    method: 'adam' or 'gradient'.
    beta_1: decay of Adam's first moment.
    beta_2: decay of Adam's second moment. Both are lower than in training because the runs are short.
    patience: number of steps without progress after which an instance stops.
    tolerance: decrease below the best, relative to the objective, that counts as progress.

  Returns:
    `Descent`, never worse than the start. An instance whose objective or gradient is not finite stops.

  Raises:
    ValueError: an unknown method.
  """
  if method not in ('adam', 'gradient'):
    raise ValueError(f"optimization.descend.method: {method!r} is neither 'adam' nor 'gradient'")
  steps = tf.convert_to_tensor(steps, tf.int32)
  rates = tf.convert_to_tensor(rates, start.dtype)

  def move(step: tf.Tensor, gradient: tf.Tensor, moments):
    if method == 'gradient':
      return rates * gradient, moments
    first = beta_1 * moments[0] + (1 - beta_1) * gradient
    second = beta_2 * moments[1] + (1 - beta_2) * tf.square(gradient)
    time = tf.cast(step + 1, start.dtype)
    return rates * first / (1 - beta_1 ** time) / (tf.sqrt(second / (1 - beta_2 ** time)) + 1e-8), (first, second)

  def body(*loop_variables):
    state = _State(*loop_variables)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
      tape.watch(state.variables)
      value = objective(state.variables)
    gradient = tape.gradient(value, state.variables)
    state = _judge(state, value, patience, tolerance)
    active = state.active & tf.reduce_all(tf.math.is_finite(gradient), axis=-1)
    change, moments = move(state.step, tf.where(active[:, None], gradient, 0.), state.moments)
    return state._replace(
        step=state.step + 1, moments=moments, active=active,
        variables=tf.where(active[:, None], state.variables - change, state.variables),
        steps_taken=state.steps_taken + tf.cast(active, tf.int32))

  def goes_on(*loop_variables):
    state = _State(*loop_variables)
    return (state.step < steps) & tf.reduce_any(state.active)

  state = _State(*tf.while_loop(goes_on, body, _start(start, steps)))
  reached = state.step
  state = _judge(state, objective(state.variables), patience, tolerance)
  ran = tf.range(steps + 1)[:, None] <= reached
  objectives = tf.where(ran, state.objectives.stack(), state.last_objective)
  bests = tf.where(ran[..., None], state.bests.stack(), state.best)
  return Descent(state.best, state.best_objective, tf.transpose(objectives), state.steps_taken,
                 tf.transpose(bests, [1, 0, 2]))
