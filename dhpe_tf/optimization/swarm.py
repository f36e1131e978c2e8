"""Particle swarm optimisation of many independent problems at once, in one graph."""
from collections.abc import Callable
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf


class Swarm(NamedTuple):
  """The result of a swarm.

  Attributes:
    best: `[B, P]` the place with the lowest objective that any particle of each problem has seen.
    best_objective: `[B]` its objective.
    objectives: `[B, generations + 1]` the best objective after each generation, the start first; it never rises.
  """

  best: tf.Tensor
  best_objective: tf.Tensor
  objectives: tf.Tensor


def constriction(cognitive: float, social: float) -> float:
  """Clerc and Kennedy's factor chi = 2 / |2 - phi - sqrt(phi^2 - 4 phi)|, phi = cognitive + social.

  Raises:
    ValueError: phi is not above 4, where the swarm would not contract.
  """
  phi = cognitive + social
  if phi <= 4:
    raise ValueError(f'minimise_by_swarm: cognitive + social is {phi}; the constriction form wants more than 4')
  return 2 / abs(2 - phi - np.sqrt(phi * phi - 4 * phi))


@gin.configurable(module='optimization', denylist=['objective', 'start', 'low', 'high'])
def minimise_by_swarm(objective: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor, low: np.ndarray, high: np.ndarray,
                      generations: int = 40, cognitive: float = 2.8, social: float = 1.3, perturb_every: int = 3,
                      perturb_share: float = 0.5, perturbed: int = 26, seed: int = 0) -> Swarm:
  """Minimises `objective` inside a box, for each problem with a swarm of its own.

  A particle at x with velocity v moves by

    v <- chi (v + cognitive r1 (own best - x) + social r2 (swarm's best - x)),    x <- clip(x + v, low, high),

  r1 and r2 uniform in 0..1 in each coordinate, chi from `constriction`. The defaults are those of Oikonomidis, Kyriazis
  and Argyros (BMVC 2011), who also set one finger angle of a share of the particles to a random value every few
  generations, which keeps the swarm from contracting too early.

  Args:
    objective: takes `[N, P]`, returns `[N]`. It is called with all particles of all problems, N = B * particles, those
      of the first problem first.
    start: `[B, particles, P]` where the particles begin.
    low: `[P]` lower bounds of the box.
    high: `[P]` upper bounds.
    generations: number of steps of the swarm.
    cognitive: pull toward a particle's own best; with `social` above 4.
    social: pull toward the swarm's best.
    perturb_every: generations between two perturbations; 0 for none.
    perturb_share: probability with which a particle is perturbed: one coordinate becomes uniform in the box.
    perturbed: the coordinate is one of the first `perturbed`.
    seed: of the random numbers; the same seed gives the same result.

  Returns:
    `Swarm`, never worse than the best particle of the start.
  """
  batch, particles, size = (d if known is None else known for d, known in zip(tf.unstack(tf.shape(start)), start.shape))
  low, high = tf.constant(low, start.dtype), tf.constant(high, start.dtype)
  chi = constriction(cognitive, social)

  def evaluate(places):
    values = tf.reshape(objective(tf.reshape(places, [batch * particles, size])), [batch, particles])
    return tf.where(tf.math.is_finite(values), values, tf.constant(np.inf, start.dtype))

  def chance(step, number, shape):
    return tf.random.stateless_uniform(shape, tf.stack([seed * 1000 + number, step]), dtype=start.dtype)

  def thrown(step, places):
    if not perturb_every:
      return places
    which = chance(step, 2, [batch, particles, 1]) < perturb_share
    coordinate = tf.cast(chance(step, 3, [batch, particles, 1]) * min(perturbed, size), tf.int32)
    elsewhere = low + (high - low) * chance(step, 4, [batch, particles, 1])
    there = which & (tf.range(size) == coordinate) & ((step + 1) % perturb_every == 0)
    return tf.where(there, elsewhere, places)

  def step_swarm(step, places, speeds, own, own_values, found):
    best = tf.gather(own, tf.argmin(own_values, axis=1), batch_dims=1)[:, None]
    shape = [batch, particles, size]
    speeds = chi * (speeds + cognitive * chance(step, 0, shape) * (own - places)
                    + social * chance(step, 1, shape) * (best - places))
    moved = places + speeds
    places = thrown(step, tf.clip_by_value(moved, low, high))
    # A particle at the wall stops there instead of pushing on.
    speeds = tf.where((moved < low) | (moved > high), tf.zeros_like(speeds), speeds)
    values = evaluate(places)
    better = values < own_values
    own, own_values = tf.where(better[..., None], places, own), tf.where(better, values, own_values)
    return step + 1, places, speeds, own, own_values, found.write(step + 1, tf.reduce_min(own_values, axis=1))

  start = tf.clip_by_value(start, low, high)
  values = evaluate(start)
  found = tf.TensorArray(start.dtype, generations + 1, element_shape=start.shape[:1], clear_after_read=False)
  found = found.write(0, tf.reduce_min(values, axis=1))
  _, _, _, own, own_values, found = tf.while_loop(
      lambda step, *_: step < generations, step_swarm,
      (tf.constant(0), start, tf.zeros_like(start), start, values, found))
  best = tf.argmin(own_values, axis=1)
  return Swarm(tf.gather(own, best, batch_dims=1), tf.reduce_min(own_values, axis=1), tf.transpose(found.stack()))
