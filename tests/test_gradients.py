import numpy as np
import pytest
import tensorflow as tf

from tests.gradients import assert_gradients_match


def test_right_gradients_pass_for_small_large_and_nested():
  x = np.linspace(.1, 2, 6).reshape(2, 3)
  assert_gradients_match(lambda x: tf.sin(x) * x, [x])
  assert_gradients_match(lambda x, y: {'a': tf.matmul(x, y), 'b': [tf.exp(x)]}, [x, np.ones((3, 40))])
  assert_gradients_match(lambda x, i: tf.gather(x, i), [x, np.array([0, 0, 1])])


def test_an_output_that_ignores_an_input_passes():
  assert_gradients_match(lambda x, y: x * 2, [np.ones(3), np.ones(2)])


@tf.custom_gradient
def _wrong(x):
  return x * x, lambda g: 2.01 * g * x


@pytest.mark.parametrize('size', [5, 500])
def test_wrong_gradients_fail(size):
  with pytest.raises(AssertionError, match='finite difference'):
    assert_gradients_match(_wrong, [np.linspace(1, 2, size)])


def test_float32_inside_fails():
  with pytest.raises(AssertionError, match='float64'):
    assert_gradients_match(lambda x: tf.cast(x, tf.float32), [np.ones(3)])


def test_gradients_that_are_not_finite_fail():
  with pytest.raises(AssertionError, match='not finite'):
    assert_gradients_match(lambda x: tf.where(x > 0, x, tf.sqrt(x)), [np.array([1., 0., 2.])])
