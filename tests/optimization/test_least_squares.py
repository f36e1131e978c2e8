import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

from dhpe_tf.optimization import least_squares

TIMES = np.linspace(0, 3, 15)


def curve(x):
  """A damped oscillation: amplitude, decay, frequency, offset."""
  a, b, c, d = (x[..., k, None] for k in range(4))
  return a * tf.exp(-b * TIMES) * tf.cos(c * TIMES) + d


def problems(count=4, noise=0.05):
  random = np.random.default_rng(3)
  true = np.array([2.0, 0.6, 3.0, 0.4]) * random.uniform(0.9, 1.1, [count, 4])
  return true, curve(tf.constant(true)).numpy() + random.normal(0, noise, [count, len(TIMES)])


def test_agrees_with_scipy():
  true, data = problems()
  start = tf.constant(true * 1.15)

  def residuals(x):
    return curve(x) - tf.repeat(data, tf.shape(x)[0] // len(data), axis=0)
  linearised = least_squares.by_tape(residuals)
  found = tf.function(lambda x: least_squares.minimise_squares(linearised, x, iterations=60, tolerance=1e-14))(start)
  for k in range(len(data)):
    theirs = scipy.optimize.least_squares(lambda x, k=k: curve(tf.constant(x)).numpy() - data[k], true[k] * 1.15,
                                          method='lm', xtol=1e-12, ftol=1e-12)
    np.testing.assert_allclose(found.best[k], theirs.x, rtol=1e-5)
    assert float(found.cost[k]) == pytest.approx(theirs.cost, rel=1e-9)
  assert (found.cost.numpy() < found.start_cost.numpy()).all()


def test_jacobian():
  x = tf.constant(problems()[0])
  values, jacobian = least_squares.values_and_jacobian(curve, x)
  with tf.GradientTape() as tape:
    tape.watch(x)
    expected = curve(x)
  np.testing.assert_allclose(values, expected)
  np.testing.assert_allclose(jacobian, tape.batch_jacobian(expected, x), atol=1e-12)


def test_never_worse_and_alone():
  """An instance that is not finite, and a variable that does nothing, disturb nobody."""
  def residuals(x):
    return tf.stack([10 * (x[:, 1] - x[:, 0] ** 2), 1 - x[:, 0]], axis=1)
  start = tf.constant([[-1.2, 1.0, 7.0], [np.nan, 0.0, 0.0], [2.0, 2.0, 0.0]], tf.float64)
  found = least_squares.minimise_squares(least_squares.by_tape(residuals), start, iterations=100, tolerance=0.0)
  np.testing.assert_allclose(found.best.numpy()[[0, 2]], [[1, 1, 7], [1, 1, 0]], atol=1e-6)
  assert not np.isfinite(found.cost[1])
  stuck = least_squares.minimise_squares(least_squares.by_tape(residuals), start, iterations=1, damping=1e-12)
  assert (stuck.cost.numpy()[[0, 2]] <= stuck.start_cost.numpy()[[0, 2]]).all()
