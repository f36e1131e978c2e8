import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.keypoint_layer import KeypointLayer
from dhpe_tf.hand.mano_layer import ManoLayer


def _hands(dtype: str):
  """Random rotations [5, 15, 3, 3] of the joints, the same as axis-angle [5, 45], and shapes [5, 10]."""
  random = np.random.default_rng(3)
  pose, shape = random.normal(0, 0.6, [5, 45]), random.normal(0, 1.5, [5, 10])
  turns = rotations.axis_angle_to_matrix(tf.constant(pose.reshape(5, 15, 3), dtype))
  return turns, tf.constant(pose, dtype), tf.constant(shape, dtype)


def _with_other_regressor_for_z(model):
  """The hand with a keypoint regressor of its own for z, which moves no keypoint at rest."""
  regressors = model.keypoint_regressor.copy()
  regressors[2] = np.roll(regressors[2], 1, axis=0)
  return dataclasses.replace(model, keypoint_regressor=regressors)


@pytest.mark.parametrize('change', [lambda model: model, _with_other_regressor_for_z], ids=['shared', 'by axis'])
def test_keypoints_are_those_of_the_skinned_mesh(change):
  model = change(load_hand_model())
  turns, pose, shape = _hands('float64')
  found = KeypointLayer(model, dtype='float64')(turns, shape)
  np.testing.assert_allclose(found, ManoLayer(model, dtype='float64')(pose, shape)['keypoints'], atol=1e-12)


def test_gradients_are_those_of_the_skinned_mesh():
  model = load_hand_model()
  _, pose, shape = _hands('float64')
  def gradient(function):
    with tf.GradientTape() as tape:
      tape.watch([pose, shape])
      value = tf.reduce_sum(tf.sin(30 * function(pose, shape)))
    return tape.gradient(value, [pose, shape])
  layer = KeypointLayer(model, dtype='float64')
  own = gradient(lambda p, b: layer(rotations.axis_angle_to_matrix(tf.reshape(p, [-1, 15, 3])), b))
  mesh = ManoLayer(model, dtype='float64')
  for a, b in zip(own, gradient(lambda p, b: mesh(p, b)['keypoints'])):
    np.testing.assert_allclose(a, b, atol=1e-10)


def test_single_precision_stays_single():
  turns, _, shape = _hands('float32')
  assert KeypointLayer(load_hand_model())(turns, shape).dtype == tf.float32
