"""Levenberg-Marquardt on many independent problems at once, in one graph, each with a damping of its own.

tensorflow_graphics.math.optimizer.levenberg_marquardt solves one problem: a batch would be one system with one damping,
which only ever grows.
"""
from collections.abc import Callable
from typing import NamedTuple

import gin
import tensorflow as tf


class Fit(NamedTuple):
  """What was found: places `[B, P]`, costs `[B]` (half the squared residuals) there and at the start."""

  best: tf.Tensor
  cost: tf.Tensor
  start_cost: tf.Tensor


def values_and_jacobian(residuals: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Residuals `[B, R]` and their derivatives `[B, R, P]` at `[B, P]`, all columns at once by B * P rows.

  A column is J v. Backwards there is J^T u, which is linear in u, and its derivative by u along v is J v; in
  tf.autodiff.ForwardAccumulator not every operation has a derivative inside a graph.
  """
  size = x.shape[1]
  rows = tf.repeat(x, size, axis=0)
  directions = tf.tile(tf.eye(size, dtype=x.dtype), [tf.shape(x)[0], 1])
  with tf.GradientTape(watch_accessed_variables=False) as outer:
    with tf.GradientTape(watch_accessed_variables=False) as inner:
      inner.watch(rows)
      values = residuals(rows)
    u = tf.zeros_like(values)
    outer.watch(u)
    back = inner.gradient(values, rows, u, tf.UnconnectedGradients.ZERO)
  columns = outer.gradient(back, u, directions, tf.UnconnectedGradients.ZERO)
  split = [-1, size, values.shape[1]]
  return tf.reshape(values, split)[:, 0], tf.transpose(tf.reshape(columns, split), [0, 2, 1])


@gin.configurable(module='optimization', denylist=['residuals', 'start'])
def minimise_squares(residuals: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor, iterations: int = 30,
                     damping: float = 1e-2, up: float = 5.0, down: float = 0.3, tolerance: float = 1e-6) -> Fit:
  """Minimises half the sum of squared residuals for each instance on its own.

  Each iteration solves (J^T J + damping diag(J^T J)) step = -J^T r; a step that does not lower the cost is taken back.

  Args:
    residuals: takes `[N, P]`, returns `[N, R]`; row n of it depends on row n alone.
    start: `[B, P]`, float32 or float64.
    iterations: at most so many.
    damping: at the start, Marquardt's, relative to the diagonal.
    up: factor of the damping after a step that failed.
    down: factor after one that did not.
    tolerance: all ends when no instance gains more than this share of its cost, and none has just failed.

  Returns:
    The result, never worse than the start.
  """
  def cost(x):
    values = 0.5 * tf.reduce_sum(tf.square(residuals(x)), axis=1)
    return tf.where(tf.math.is_finite(values), values, tf.constant(float('inf'), x.dtype))

  def step(number, x, x_cost, factor, active):
    values, jacobian = values_and_jacobian(residuals, x)
    # The solver refuses the whole batch for one matrix that is not finite.
    sound = tf.reduce_all(tf.math.is_finite(jacobian), axis=[1, 2], keepdims=True)
    jacobian = tf.where(sound, jacobian, 0.)
    normal = tf.matmul(jacobian, jacobian, transpose_a=True)
    diagonal = tf.linalg.diag_part(normal)
    # A variable without any influence keeps its place.
    damped = tf.linalg.set_diag(normal, diagonal * (1 + factor[:, None]) + 1e-9 * (1 + tf.reduce_max(
        diagonal, axis=1, keepdims=True)))
    change = tf.linalg.solve(damped, tf.linalg.matvec(jacobian, values, transpose_a=True)[..., None])[..., 0]
    tried = x - change
    tried_cost = cost(tried)
    better = tried_cost < x_cost
    # Going on pays where the last step still gained, or where it failed and a stronger damping may yet gain.
    active = tf.where(better, tried_cost < x_cost * (1 - tolerance), factor < 1e6)
    return (number + 1, tf.where(better[:, None], tried, x), tf.where(better, tried_cost, x_cost),
            tf.clip_by_value(tf.where(better, factor * down, factor * up), 1e-12, 1e12), active)

  start_cost = cost(start)
  _, best, found, _, _ = tf.while_loop(
      lambda number, x, x_cost, factor, active: (number < iterations) & tf.reduce_any(active), step,
      (tf.constant(0), start, start_cost, tf.fill(tf.shape(start_cost), tf.constant(damping, start.dtype)),
       tf.ones_like(start_cost, tf.bool)))
  return Fit(best, found, start_cost)
