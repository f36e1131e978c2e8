import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.training import lars, schedules


def test_steps_are_in_proportion_to_the_weight_whatever_the_gradient():
  for size in (1e-3, 1., 1e3):
    weight = tf.Variable([[3., 0.], [0., 4.]])
    optimizer = lars.Lars(0.5, momentum=0., trust=0.1)
    optimizer.apply_gradients([(size * tf.constant([[1., 0.], [0., 0.]]), weight)])
    np.testing.assert_allclose(weight, [[3 - 0.5 * 0.1 * 5, 0.], [0., 4.]], rtol=1e-5)


def test_decay_pulls_kernels_and_not_biases_and_momentum_adds_up():
  kernel, bias = tf.Variable([[2.]]), tf.Variable([2.])
  optimizer = lars.Lars(0.1, momentum=0.5, layer_decay=1., trust=0.1)
  optimizer.apply_gradients([(tf.zeros([1, 1]), kernel), (tf.constant([1.]), bias)])
  np.testing.assert_allclose(kernel, [[2 - 0.1 * 0.1 * 2]], rtol=1e-5)
  np.testing.assert_allclose(bias, [1.9], rtol=1e-5)
  optimizer.apply_gradients([(tf.zeros([1, 1]), kernel), (tf.constant([0.]), bias)])
  np.testing.assert_allclose(bias, [1.85], rtol=1e-5)


def test_weights_of_zero_learn():
  kernel = tf.Variable([[0.]])
  lars.Lars(0.1).apply_gradients([(tf.constant([[1.]]), kernel)])
  np.testing.assert_allclose(kernel, [[-0.1]])


def test_gin_builds_it_and_it_is_rebuilt_from_its_config():
  optimizer = schedules.build_optimizer(10, lambda steps: schedules.constant_rate(steps, 0.1), 'lars',
                                        weight_decay=0.25, averaging_decay=0.9)
  assert isinstance(optimizer, lars.Lars) and optimizer.layer_decay == 0.25 and optimizer.use_ema
  again = lars.Lars.from_config(lars.Lars(0.3, trust=0.2).get_config())
  assert float(again.learning_rate) == pytest.approx(0.3) and again.trust == 0.2
