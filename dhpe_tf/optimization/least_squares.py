"""Levenberg-Marquardt on many independent problems at once, in one graph, each with a damping of its own.

tensorflow_graphics.math.optimizer.levenberg_marquardt solves one problem: a batch would be one system with one damping,
which only ever grows.
"""
from collections.abc import Callable
from typing import NamedTuple

import gin
import tensorflow as tf


class Fit(NamedTuple):
  """The result of a least-squares fit.

  Attributes:
    best: `[B, P]`.
    cost: `[B]` half the sum of the squared residuals at `best`.
    start_cost: `[B]` the same at the start.
  """

  best: tf.Tensor
  cost: tf.Tensor
  start_cost: tf.Tensor


def values_and_jacobian(residuals: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Residuals r `[B, R]` and their Jacobian J = dr / dx `[B, R, P]` at x `[B, P]`, all columns at once in B * P rows.

  Column p is J v with v the p-th unit vector. Reverse mode gives J^T u, which is linear in u, and its derivative with
  respect to u along v is J v. (In tf.autodiff.ForwardAccumulator not every operation has a derivative inside a graph.)
  """
  size = x.shape[1]
  rows = tf.repeat(x, size, axis=0)
  directions = tf.tile(tf.eye(size, dtype=x.dtype), [tf.shape(x)[0], 1])  # v, [B * P, P]
  with tf.GradientTape(watch_accessed_variables=False) as outer:
    with tf.GradientTape(watch_accessed_variables=False) as inner:
      inner.watch(rows)
      values = residuals(rows)
    u = tf.zeros_like(values)
    outer.watch(u)
    back = inner.gradient(values, rows, u, tf.UnconnectedGradients.ZERO)  # J^T u, [B * P, P]
  columns = outer.gradient(back, u, directions, tf.UnconnectedGradients.ZERO)  # J v, [B * P, R]
  split = [-1, size, values.shape[1]]
  return tf.reshape(values, split)[:, 0], tf.transpose(tf.reshape(columns, split), [0, 2, 1])


@gin.configurable(module='optimization', denylist=['residuals', 'start'])
def minimise_squares(residuals: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor, iterations: int = 30,
                     damping: float = 1e-2, up: float = 5.0, down: float = 0.3, tolerance: float = 1e-6) -> Fit:
  """Minimises half the sum of squared residuals for each instance on its own.

  Each iteration solves Marquardt's form of the normal equations,

    (J^T J + damping diag(J^T J)) step = -J^T r,    cost = |r|^2 / 2.

  A step that lowers the cost is kept, and the damping multiplied by `down`; a step that does not is undone, and the
  damping multiplied by `up`.

  Args:
    residuals: takes `[N, P]`, returns `[N, R]`; row n of it depends on row n alone.
    start: `[B, P]`, float32 or float64.
    iterations: largest number of iterations.
    damping: of the first iteration, relative to the diagonal of J^T J.
    up: factor of the damping after a step that failed.
    down: factor of the damping after a step that lowered the cost.
    tolerance: the search ends when no instance gains more than this share of its cost, and none has just failed.

  Returns:
    `Fit`, never worse than the start.
  """
  def cost(x):
    values = 0.5 * tf.reduce_sum(tf.square(residuals(x)), axis=1)
    return tf.where(tf.math.is_finite(values), values, tf.constant(float('inf'), x.dtype))

  def step(number, x, x_cost, factor, active):
    values, jacobian = values_and_jacobian(residuals, x)
    # The solver refuses the whole batch for one matrix that is not finite.
    sound = tf.reduce_all(tf.math.is_finite(jacobian), axis=[1, 2], keepdims=True)
    jacobian = tf.where(sound, jacobian, 0.)
    normal = tf.matmul(jacobian, jacobian, transpose_a=True)  # J^T J, [B, P, P]
    diagonal = tf.linalg.diag_part(normal)
    # The last term keeps a variable without any influence where it is.
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
