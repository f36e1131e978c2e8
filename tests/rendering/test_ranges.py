import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.rendering import ranges


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_centres_within_intervals_are_those_found_one_by_one(dtype):
  random = np.random.default_rng(0)
  low = np.concatenate([random.uniform(-4, 12, 200), random.integers(-8, 24, 100) / 2, [-np.inf, np.inf, 1e30]])
  high = np.concatenate([low[:-3] + random.uniform(-.5, 5, 300), [np.inf, -np.inf, 1e31]])
  low, high = low.astype(dtype), high.astype(dtype)
  first, end = ranges.centres_within(low, high, 9)
  centres = np.arange(9) + .5
  for a, b, f, e in zip(low, high, first.numpy(), end.numpy()):
    assert list(range(f, e)) == np.flatnonzero((centres >= a) & (centres <= b)).tolist()


def test_ranges_without_integers_and_backward_ones_are_empty():
  index, integer = ranges.expand_ranges(tf.constant([3, 5, 0, 7], tf.int64), tf.constant([5, 5, 2, 1], tf.int64))
  np.testing.assert_array_equal(index, [0, 0, 2, 2])
  np.testing.assert_array_equal(integer, [3, 4, 0, 1])


def test_clipping_passes_the_gradient_inside_only():
  x = tf.constant([-2., -.5, .5, 3.])
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = ranges.clip(x, -1, 1)
  np.testing.assert_array_equal(y, [-1, -.5, .5, 1])
  np.testing.assert_array_equal(tape.gradient(y, x), [0, 1, 1, 0])
