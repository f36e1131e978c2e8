import numpy as np
import tensorflow as tf

from dhpe_tf.hand import anatomy
from dhpe_tf.networks import hand_layers
from tests.methods.dhpe.landmarks import hands


def test_equal_seeds_give_equal_hands_inside_the_limits():
  one, again, other = hands.truth(), hands.truth(), hands.truth(seed=1)
  for part, same, different in zip(one, again, other):
    np.testing.assert_array_equal(part, same)
    assert float(tf.reduce_max(tf.abs(part - different))) > 1e-3
  assert float(tf.reduce_max(anatomy.limit_penalty(one.pose))) < 1e-6


def test_hands_lie_in_the_middle_of_the_crop_and_fill_it():
  truth = hands.truth(64)
  low, high = tf.reduce_min(truth.joints_2d, axis=1), tf.reduce_max(truth.joints_2d, axis=1)
  side = tf.reduce_max(high - low, axis=1).numpy()
  assert np.abs((low + high) / 2).max() < 0.25
  assert side.min() > 0.7 and side.max() < 2. and np.median(side) == np.clip(np.median(side), 1., 1.4)


def test_joints_in_metres_are_those_of_pose_and_shape():
  truth = hands.truth()
  layer = hand_layers.PosedHand(hands.state().space.hand_model)
  camera = tf.tile([[1., 0., 0., 0., 1., 0., 0., 0.]], [4, 1])
  rest = layer(tf.concat([truth.pose, truth.shape, camera], axis=1))['joints_3d']

  def distances(points):
    return tf.norm(points[:, :, None] - points[:, None], axis=-1)
  np.testing.assert_allclose(distances(truth.joints_3d_m), distances(rest), atol=1e-5)


def test_evidence_without_error_is_the_truth():
  truth = hands.truth()
  evidence = truth.evidence()
  np.testing.assert_array_equal(evidence.joints_2d, truth.joints_2d)
  np.testing.assert_allclose(evidence.depth[:, 0], 0.)
  np.testing.assert_allclose(evidence.depth[:, 5] - evidence.depth[:, 9], truth.joints_z[:, 5] - truth.joints_z[:, 9],
                             atol=1e-6)
