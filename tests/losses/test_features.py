import functools

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.losses import features
from tests import gradients


def test_answers():
  full, masked = tf.constant([[1., 2.], [3., 4.]]), tf.constant([[1., 0.], [0., 0.]])
  np.testing.assert_allclose(features.feature_loss(full, masked), [2., 12.5])
  np.testing.assert_allclose(features.feature_loss(full, masked, reduction='sum'), [4., 25.])


def test_gradients():
  both = functools.partial(features.feature_loss, stop_gradient_on='none')
  gradients.assert_gradients_match(both, list(np.random.default_rng(0).normal(size=[2, 3, 5])))


@pytest.mark.parametrize('choice, flowing',
                         [('none', [True, True]), ('masked', [True, False]), ('full', [False, True])])
def test_branches(choice, flowing):
  inputs = [tf.constant([[1., 2.]]), tf.constant([[0., 5.]])]
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    loss = features.feature_loss(*inputs, stop_gradient_on=choice)
  assert [gradient is not None for gradient in tape.gradient(loss, inputs)] == flowing


def test_the_whole_picture_learns_by_default():
  inputs = [tf.constant([[1., 2.]]), tf.constant([[0., 5.]])]
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    loss = features.feature_loss(*inputs)
  full, masked = tape.gradient(loss, inputs)
  np.testing.assert_allclose(full, [[1., -3.]])
  assert masked is None


def test_unknown_branch():
  with pytest.raises(ValueError, match='stop_gradient_on'):
    features.feature_loss(tf.ones([1, 2]), tf.ones([1, 2]), stop_gradient_on='both')


def test_spread():
  assert float(features.feature_spread(tf.fill([4, 8], 3.))) == 0.
  assert float(features.feature_spread(tf.zeros([4, 8]))) == 0.
  np.testing.assert_allclose(features.feature_spread(tf.constant([[1.], [-1.]])), 1.)
  np.testing.assert_allclose(features.feature_spread(tf.constant([[3.], [1.]])), 1 / 5 ** .5, rtol=1e-6)


def test_size_and_active_share():
  found = tf.constant([[3., 0., -1., 0.], [4., 0., 0., 2.]])
  np.testing.assert_allclose(features.feature_rms(found), [10**.5 / 2, 20**.5 / 2])
  np.testing.assert_allclose(features.active_share(found), 0.5)
