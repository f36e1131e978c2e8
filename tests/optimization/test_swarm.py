import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.optimization import swarm

LOW, HIGH = np.full(4, -3.0), np.full(4, 3.0)


def scattered(batch=2, particles=40, size=4):
  return tf.random.stateless_uniform([batch, particles, size], [1, 2], -3.0, 3.0)


def sphere(x):
  return tf.reduce_sum(tf.square(x - [1.0, -2.0, 0.5, 3.0]), axis=1)


def rosenbrock(x):
  return tf.reduce_sum(100 * tf.square(x[:, 1:] - x[:, :-1] ** 2) + tf.square(1 - x[:, :-1]), axis=1)


@pytest.mark.parametrize('perturb_every', [0, 3])
def test_known_minima(perturb_every):
  # The sphere's lies on the wall of the box.
  found = swarm.minimise_by_swarm(sphere, scattered(), LOW, HIGH, generations=150, perturb_every=perturb_every)
  np.testing.assert_allclose(found.best, np.tile([1.0, -2.0, 0.5, 3.0], [2, 1]), atol=2e-2)
  found = swarm.minimise_by_swarm(rosenbrock, scattered(size=2, particles=60), LOW[:2], HIGH[:2], generations=200,
                         perturb_every=perturb_every)
  np.testing.assert_allclose(found.best, np.ones([2, 2]), atol=5e-2)


def test_the_best_never_worsens_and_is_what_was_seen():
  seen = []

  def objective(x):
    value = rosenbrock(x)
    seen.append((x.numpy(), value.numpy()))
    return value
  found = swarm.minimise_by_swarm(objective, scattered(), LOW, HIGH, generations=12)
  assert (np.diff(found.objectives, axis=1) <= 0).all() and found.objectives.shape == (2, 13)
  np.testing.assert_array_equal(found.best_objective, found.objectives[:, -1])
  places = np.stack([x for x, _ in seen]).reshape(13, 2, 40, 4)
  values = np.stack([value for _, value in seen]).reshape(13, 2, 40)
  np.testing.assert_array_equal(found.best_objective, values.min((0, 2)))
  assert (places >= -3).all() and (places <= 3).all()


def test_problems_are_independent_and_chance_is_seeded():
  start = scattered()
  both = swarm.minimise_by_swarm(sphere, start, LOW, HIGH, generations=5)
  again = swarm.minimise_by_swarm(sphere, start, LOW, HIGH, generations=5)
  other = swarm.minimise_by_swarm(sphere, start, LOW, HIGH, generations=5, seed=1)
  np.testing.assert_array_equal(both.best, again.best)
  assert np.abs(both.best - other.best).max() > 1e-3
  # A problem in which nothing is finite does not spoil the others.
  spoilt = swarm.minimise_by_swarm(lambda x: tf.where(tf.range(80) < 40, np.nan, sphere(x)), start, LOW, HIGH,
                                   generations=5)
  assert not np.isfinite(spoilt.best_objective[0])
  np.testing.assert_array_equal(spoilt.best[1], both.best[1])


def test_constriction():
  assert swarm.constriction(2.05, 2.05) == pytest.approx(0.7298, abs=1e-4)  # Clerc and Kennedy's own example
  with pytest.raises(ValueError, match='more than 4'):
    swarm.constriction(2, 2)
