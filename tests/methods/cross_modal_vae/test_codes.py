import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.methods.cross_modal_vae import codes
from tests.gradients import assert_gradients_match


@pytest.mark.parametrize('mean, deviation', [(0., 1.), (1.3, 1.), (-.4, .2), (2., 3.)])
def test_divergence_is_the_integral_that_defines_it(mean, deviation):
  x, step = np.linspace(-40, 40, 400_001, retstep=True)

  def log_density(middle, spread):
    return -0.5 * ((x - middle) / spread) ** 2 - np.log(spread * np.sqrt(2 * np.pi))
  log_q = log_density(mean, deviation)
  integral = np.sum(np.exp(log_q) * (log_q - log_density(0., 1.))) * step
  found = codes.kl_to_normal(tf.constant(mean, tf.float64), tf.constant(2 * np.log(deviation), tf.float64))
  assert found.dtype == tf.float64
  np.testing.assert_allclose(found, integral, rtol=1e-9, atol=1e-12)
  closed = np.log(1 / deviation) + (deviation ** 2 + mean ** 2) / 2 - 0.5
  np.testing.assert_allclose(found, closed, rtol=1e-12, atol=1e-15)


def test_gradients_of_divergence_and_bound():
  random = np.random.default_rng(0)
  values = random.normal(size=(2, 3, 4))
  assert_gradients_match(codes.kl_to_normal, list(values))
  bounded = codes.Bounded(2., dtype='float64')
  assert_gradients_match(bounded, [3 * values[0]])


def test_log_variances_stay_finite_and_keep_a_finite_gradient():
  x = tf.constant([[-1e30, -5., 0., 1e-3, 1e30]])
  with tf.GradientTape() as tape:
    tape.watch(x)
    bounded = codes.Bounded(10.)(x)
    kl = codes.kl_to_normal(tf.zeros_like(bounded), bounded)
  gradient = tape.gradient(kl, x)
  assert np.abs(bounded).max() <= 10 and np.isfinite(tf.exp(bounded)).all() and np.isfinite(kl).all()
  assert np.isfinite(gradient).all() and gradient[0, 1] < 0, 'too narrow a code is drawn to be broader'
  np.testing.assert_allclose(bounded[0, 3], 1e-3, rtol=1e-5)


def test_codes_are_drawn_in_training_only_and_with_their_spread():
  tf.keras.utils.set_random_seed(3)
  sample = codes.Sample()
  mean, log_variance = tf.constant([[1., -2.]] * 20_000), tf.constant([[0., 2 * np.log(.1)]] * 20_000, tf.float32)
  for training in (None, False):
    np.testing.assert_array_equal(sample([mean, log_variance], training=training), mean)
  first, second = (sample([mean, log_variance], training=True).numpy() for _ in range(2))
  assert np.all(np.any(first != second, axis=1))
  np.testing.assert_allclose(first.mean(0), [1, -2], atol=0.03)
  np.testing.assert_allclose(first.std(0), [1, .1], rtol=0.03)


def test_gradients_pass_through_a_drawn_code_to_mean_and_spread():
  sample = codes.Sample()
  mean, log_variance = tf.constant([[.5]]), tf.constant([[np.log(4.)]], tf.float32)
  with tf.GradientTape() as tape:
    tape.watch([mean, log_variance])
    drawn = sample([mean, log_variance], training=True)
  by_mean, by_log_variance = tape.gradient(drawn, [mean, log_variance])
  np.testing.assert_allclose(by_mean, [[1.]])
  # d (s e) / d log s^2 = s e / 2.
  np.testing.assert_allclose(by_log_variance, (drawn - mean) / 2, rtol=1e-5)
  assert abs(float(by_log_variance[0, 0])) > 0


def test_lines_between_codes_hold_both_ends():
  first, last = tf.constant([[0., 1.], [2., 2.]]), tf.constant([[4., 1.], [0., 4.]])
  walk = codes.between(first, last, 5)
  np.testing.assert_allclose(walk[:, 0], first)
  np.testing.assert_allclose(walk[:, -1], last)
  np.testing.assert_allclose(walk[:, 1], [[1., 1.], [1.5, 2.5]])
