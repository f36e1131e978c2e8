import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.methods.contrastive import nt_xent


def by_hand(codes, temperature):
  """The definition, a loop."""
  cosines = np.exp(codes @ codes.T / temperature)
  losses = []
  for i in range(len(codes)):
    partner = i + 1 if i % 2 == 0 else i - 1
    others = sum(cosines[i, k] for k in range(len(codes)) if k != i)
    losses.append(-np.log(cosines[i, partner] / others))
  return losses


def unit(count=8, seed=0):
  found = np.random.default_rng(seed).normal(size=[count, 5])
  return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize('temperature', [0.1, 0.5, 2.])
def test_is_its_definition(temperature):
  codes = unit()
  np.testing.assert_allclose(nt_xent.nt_xent(tf.constant(codes, tf.float32), temperature), by_hand(codes, temperature),
                             rtol=1e-4)


def test_equal_codes_cost_the_logarithm_of_their_number_and_pairs_apart_cost_less():
  same = tf.tile(tf.constant(unit(1), tf.float32), [6, 1])
  np.testing.assert_allclose(nt_xent.nt_xent(same, 0.5), np.log(5), rtol=1e-5)
  pairs = tf.constant(np.repeat(np.eye(3), 2, axis=0), tf.float32)
  np.testing.assert_allclose(nt_xent.nt_xent(pairs, 0.5), np.log(1 + 4 * np.exp(-2)), rtol=1e-5)
  np.testing.assert_array_equal(nt_xent.found(pairs), np.ones(6))
  np.testing.assert_array_equal(nt_xent.found(tf.roll(pairs, 1, axis=0)), np.zeros(6))


def test_descent_brings_pairs_together():
  points = tf.Variable(tf.random.stateless_normal([12, 4, 2], [1, 2]))
  first = None
  for _ in range(60):
    with tf.GradientTape() as tape:
      loss = tf.reduce_mean(nt_xent.nt_xent(nt_xent.normalised(points), 0.5))
    first = first or float(loss)
    points.assign_sub(2. * tape.gradient(loss, points))
  assert float(loss) < first - 0.5
  assert nt_xent.found(nt_xent.normalised(points)).numpy().all()


def test_codes_of_zeros_stay_finite():
  points = tf.Variable(tf.zeros([4, 3, 2]))
  with tf.GradientTape() as tape:
    codes = nt_xent.normalised(points)
    loss = tf.reduce_sum(nt_xent.nt_xent(codes, 0.5))
  assert np.isfinite(loss) and np.isfinite(tape.gradient(loss, points)).all()
  np.testing.assert_array_equal(codes, np.zeros([4, 6]))
