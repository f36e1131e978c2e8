import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import anatomy, hand_space, parameters, skeletons
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.methods.model_fitting import fitting
from tests.hand.model_fixture import mano_like_model
from tests.methods.model_fitting import hands


def test_parameters_and_joints_describe_one_hand():
  space, z, hand, _ = hands.known()
  np.testing.assert_allclose(space.joints(z), hand['joints_3d'], atol=2e-6)
  np.testing.assert_allclose(hand['joints_3d'][:, skeletons.ROOT, 2], 0, atol=2e-6)
  np.testing.assert_allclose(hand['joints_3d'][:, skeletons.ROOT, :2], z[:, -2:], atol=2e-6)


def test_the_mean_is_the_mean_hand():
  model = load_hand_model()
  space = hand_space.HandSpace(model, 'float64')
  found = space.to_parameters(tf.constant(space.mean[None]))[0].numpy()
  mean = parameters.mean_parameters(model)
  np.testing.assert_allclose(found[45:60], mean[45:60], atol=1e-5)
  # The built-in mean pose lies inside the limits but for angles that cannot move.
  np.testing.assert_allclose(found[:45], mean[:45], atol=0.15)


def test_every_place_in_the_box_is_a_possible_hand():
  space = hand_space.HandSpace(load_hand_model(), 'float64')
  z = np.random.default_rng(0).uniform(space.low, space.high, [50, hand_space.SIZE])
  pose = space.to_parameters(tf.constant(z))[:, :45]
  np.testing.assert_allclose(anatomy.limit_penalty(pose), 0, atol=1e-12)
  assert (space.low <= space.mean).all() and (space.mean <= space.high).all()


def test_starts_are_the_best_similarity():
  """A hand seen from one of the views, then turned, scaled and moved in the plane, is met exactly."""
  space, _, _, _ = hands.known()
  z = np.tile(space.mean, [len(fitting.VIEWS), 1])
  turn = rotations.axis_angle_to_quaternion(tf.constant([[0.0, 0.0, 0.7]]))
  views = rotations.axis_angle_to_quaternion(tf.constant(fitting.VIEWS))
  z[:, -6:-3] = rotations.quaternion_to_axis_angle(rotations.quaternion_multiply(turn, views))
  z[:, -3:] = [0.3, 0.2, -0.1]
  joints = space.joints(tf.constant(z, tf.float32))
  weights = np.ones([len(z), 21], np.float32)
  weights[:, 4] = 0  # the thumb's tip is not known
  seen = joints[..., :2].numpy()
  seen[:, 4] = np.nan
  found = space.starts(tf.constant(seen), tf.constant(weights), fitting.VIEWS)
  own = found.numpy()[np.arange(len(z)), np.arange(len(z))]
  np.testing.assert_allclose(space.joints(tf.constant(own)), joints, atol=1e-4)


def test_bases_turn_each_hand():
  space, z, _, _ = hands.known(dtype='float64')
  still = tf.concat([z[:, :-6], tf.zeros_like(z[:, :3]), z[:, -3:]], axis=1)
  turn = rotations.axis_angle_to_quaternion(z[:, -6:-3])
  base = rotations.quaternion_multiply(turn, tf.constant([parameters.upright('right')] * len(z), 'float64'))
  np.testing.assert_allclose(space.joints(still, base), space.joints(z), atol=1e-12)


@pytest.mark.parametrize('model', [load_hand_model(), mano_like_model()], ids=['built-in', 'with pose offsets'])
@pytest.mark.parametrize('turn', [0., 1e-3, 1.5])
def test_linearised_is_the_derivative(model, turn):
  space = hand_space.HandSpace(model, 'float64')
  random = np.random.default_rng(2)
  z = random.uniform(space.low, space.high, [3, hand_space.SIZE]) * 0.7
  z[:, -6:-3] *= turn
  z, base = tf.constant(z), rotations.random_rotations(3, 5)
  joints, tangents = space.linearised(z, tf.cast(base, 'float64'))
  with tf.GradientTape() as tape:
    tape.watch(z)
    expected = space.joints(z, tf.cast(base, 'float64'))
  np.testing.assert_allclose(joints, expected, atol=1e-12)
  np.testing.assert_allclose(tf.transpose(tangents, [0, 2, 3, 1]), tape.batch_jacobian(expected, z), atol=1e-9)
