"""Levenberg-Marquardt on many independent problems at once, in one graph, each with a damping of its own.

tensorflow_graphics.math.optimizer.levenberg_marquardt solves one problem: a batch would be one system with one damping,
which only ever grows.
"""
import functools
from collections.abc import Callable
from typing import NamedTuple

import gin
import tensorflow as tf

Linearised = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


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


def by_tape(residuals: Callable[[tf.Tensor], tf.Tensor]) -> Linearised:
  """`values_and_jacobian` of residuals whose derivatives nobody wrote down.

  Args:
    residuals: takes `[N, P]`, returns `[N, R]`; row n of it depends on row n alone.
  """
  return functools.partial(values_and_jacobian, residuals)


@gin.configurable(module='optimization', denylist=['linearised', 'start'])
def minimise_squares(linearised: Linearised, start: tf.Tensor, iterations: int = 30, damping: float = 1e-2,
                     up: float = 5.0, down: float = 0.3, tolerance: float = 1e-6) -> Fit:
  """Minimises half the sum of squared residuals for each instance on its own.

  Each iteration solves Marquardt's form of the normal equations,

    (J^T J + damping diag(J^T J)) step = -J^T r,    cost = |r|^2 / 2.

  A step that lowers the cost is kept, and the damping multiplied by `down`; a step that does not is undone, and the
  damping multiplied by `up`.

  Args:
    linearised: takes `[B, P]`, returns residuals `[B, R]` and their Jacobian `[B, R, P]`; `by_tape` makes one.
    start: `[B, P]`, float32 or float64.
    iterations: largest number of iterations.
    damping: of the first iteration, relative to the diagonal of J^T J.
    up: factor of the damping after a step that failed.
    down: factor of the damping after a step that lowered the cost.
    tolerance: the search ends when no instance gains more than this share of its cost, and none has just failed.

  Returns:
    `Fit`, never worse than the start.
  """
  def step(number: tf.Tensor, at: _Place, factor: tf.Tensor, active: tf.Tensor) -> tuple:
    tried = _Place.at(at.x - _damped_step(at, factor), linearised)
    better = tried.cost < at.cost
    # Going on pays where the last step still gained, or where it failed and a stronger damping may yet gain.
    active = tf.where(better, tried.cost < at.cost * (1 - tolerance), factor < 1e6)
    factor = tf.clip_by_value(tf.where(better, factor * down, factor * up), 1e-12, 1e12)
    return number + 1, at.replaced(tried, better), factor, active

  first = _Place.at(start, linearised)
  _, best, _, _ = tf.while_loop(
      lambda number, at, factor, active: (number < iterations) & tf.reduce_any(active), step,
      (tf.constant(0), first, tf.fill(tf.shape(first.cost), tf.constant(damping, start.dtype)),
       tf.ones_like(first.cost, tf.bool)))
  return Fit(best.x, best.cost, first.cost)


class _Place(NamedTuple):
  """Where the search stands: x `[B, P]`, the cost `[B]`, J^T J `[B, P, P]` and J^T r `[B, P]`."""

  x: tf.Tensor
  cost: tf.Tensor
  normal: tf.Tensor
  gradient: tf.Tensor

  @classmethod
  def at(cls, x: tf.Tensor, linearised: Linearised) -> '_Place':
    """The place x; the cost is infinite where it is no number."""
    values, jacobian = linearised(x)
    cost = 0.5 * tf.reduce_sum(tf.square(values), axis=1)
    # The solver refuses the whole batch for one matrix that is not finite.
    sound = tf.math.is_finite(cost) & tf.reduce_all(tf.math.is_finite(jacobian), axis=[1, 2])
    values, jacobian = tf.where(sound[:, None], values, 0.), tf.where(sound[:, None, None], jacobian, 0.)
    return cls(x, tf.where(sound, cost, float('inf')), tf.matmul(jacobian, jacobian, transpose_a=True),
               tf.linalg.matvec(jacobian, values, transpose_a=True))

  def replaced(self, other: '_Place', where: tf.Tensor) -> '_Place':
    """The other place for the instances of `where` `[B]`."""
    return _Place(*(tf.where(tf.reshape(where, [-1] + [1] * (own.shape.rank - 1)), new, own)
                    for own, new in zip(self, other)))


def _damped_step(at: _Place, factor: tf.Tensor) -> tf.Tensor:
  """The step `[B, P]` against the gradient, for factors of the damping `[B]`."""
  diagonal = tf.linalg.diag_part(at.normal)
  # The last term keeps a variable without any influence where it is.
  least = 1e-9 * (1 + tf.reduce_max(diagonal, axis=1, keepdims=True))
  damped = tf.linalg.set_diag(at.normal, diagonal * (1 + factor[:, None]) + least)
  return tf.linalg.solve(damped, at.gradient[..., None])[..., 0]
