import numpy as np
import tensorflow as tf

from dhpe_tf.hand import anatomy
from dhpe_tf.losses import priors
from tests import gradients


def test_shape_prior():
  np.testing.assert_allclose(priors.shape_prior(tf.constant([[0., 0.], [1., 3.]])), [0., 5.])
  gradients.assert_gradients_match(priors.shape_prior, [np.random.default_rng(0).normal(size=[2, 10])])


def test_joint_limits():
  """Nothing for poses that a hand can take, something and its gradient for a joint bent too far."""
  np.testing.assert_allclose(priors.joint_limits(tf.constant(anatomy.sample_poses(4, 0))), 0., atol=1e-9)
  wild = np.random.default_rng(0).normal(size=[2, 45])
  assert priors.joint_limits(tf.constant(wild)).numpy().min() > .1
  gradients.assert_gradients_match(priors.joint_limits, [wild])


def test_parameter_loss():
  values, target = tf.constant([[1., 1.], [0., 0.]]), tf.constant([[0., 0.], [np.nan, 0.]])
  np.testing.assert_allclose(priors.parameter_loss(values, target, tf.constant([1., 0.])), [1., 0.])
  np.testing.assert_allclose(priors.parameter_loss(values, tf.zeros([2, 2]), reduction='sum'), [2., 0.])


def test_vertex_loss():
  values, target = np.zeros([2, 3, 3]), np.ones([2, 3, 3]) * [[[1.]], [[2.]]]
  target[1, 2] = np.nan
  by_vertex = np.array([[1., 1., 1.], [1., 0., 0.]])
  loss = priors.vertex_loss(*map(tf.constant, (values, target, by_vertex)))
  np.testing.assert_allclose(loss, [1., 4.])
  loss = priors.vertex_loss(*map(tf.constant, (values, target, np.array([.5, 0.]))), reduction='sum')
  np.testing.assert_allclose(loss, [4.5, 0.])


def test_gradients():
  values, target = np.random.default_rng(0).normal(size=[2, 2, 4, 3])
  for weights in (np.array([1., .5]), np.array([[1., 0., .5, 1.]] * 2)):
    gradients.assert_gradients_match(priors.vertex_loss, [values, target, weights], check=[True, False, False])
