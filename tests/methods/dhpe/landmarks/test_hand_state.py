import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import cameras, rotations
from dhpe_tf.hand import hand_space
from dhpe_tf.methods.dhpe.landmarks import hand_state
from dhpe_tf.networks import hand_layers
from tests.methods.dhpe.landmarks import hands

_BASE = tf.math.l2_normalize(tf.constant([[.3, -.2, .8, .1], [1., .5, .2, -.3]]), axis=1)


def states(closeness=0.2):
  space = hands.state().space
  z = np.tile(space.mean, [2, 1])
  z[1, hand_space.SHAPE] = 1.
  z[:, -2:] = [[0.2, -0.1], [-0.3, 0.4]]
  return tf.constant(np.concatenate([z, [[closeness]] * 2], axis=1), tf.float32)


def test_joints_are_those_of_the_parameters_through_the_pinhole_camera():
  state = hands.state()
  x = states()
  joints, hand = state.joints(x, _BASE), hand_layers.PosedHand(state.space.hand_model)(state.parameters(x, _BASE))
  np.testing.assert_allclose(joints.crop, hand['joints_3d'], atol=1e-5)
  seen = cameras.add_perspective(hand['joints_3d'], state.camera(x))
  np.testing.assert_allclose(joints.joints_2d, seen[..., :2], atol=1e-5)
  np.testing.assert_allclose(state.scale(x), hand['units_per_metre'], rtol=1e-5)
  centred = hand['joints_3d'] - tf.reduce_mean(hand['joints_3d'], axis=1, keepdims=True)
  np.testing.assert_allclose(joints.metres, centred / hand['units_per_metre'][:, None, None], atol=1e-6)


def test_a_far_camera_is_weak_perspective():
  joints = hands.state().joints(states(closeness=0.), _BASE)
  np.testing.assert_allclose(joints.joints_2d, joints.crop[..., :2], atol=1e-6)


def test_the_start_recovers_the_mean_hand_anywhere():
  state = hands.state()
  x = np.array(states(state.closeness))
  x[:, hand_space.SHAPE] = 0.
  x[:, hand_space.SCALE] = [0.2, -0.3]
  joints = state.joints(tf.constant(x), _BASE)
  depth = joints.crop[..., 2] - joints.crop[:, :1, 2]
  found, base = state.start(hand_state.Evidence(joints.joints_2d, depth, joints.metres, tf.zeros_like(depth)))
  matrix, wanted = (rotations.quaternion_to_matrix(q) for q in (base, _BASE))
  np.testing.assert_allclose(matrix, wanted, atol=1e-4)
  # Perspective makes scale and place a little different from those of a far camera, for which the start is exact.
  np.testing.assert_allclose(state.joints(found, base).joints_2d, joints.joints_2d, atol=0.03)


@pytest.mark.parametrize('seed', [0, 1])
def test_random_rotations_of_a_cloud_are_found(seed):
  random = np.random.default_rng(seed)
  points = tf.constant(random.normal(size=[3, 21, 3]), tf.float32)
  matrices = rotations.quaternion_to_matrix(tf.cast(rotations.random_rotations(3, seed), tf.float32))
  found = hand_state._rotation_onto(points, tf.matmul(points, matrices, transpose_b=True) * 3. + 1.)
  np.testing.assert_allclose(rotations.quaternion_to_matrix(found), matrices, atol=1e-4)
  # The mirror image of a cloud is no turned cloud: what comes out is a rotation all the same.
  found = hand_state._rotation_onto(points, points * [-1., 1., 1.])
  np.testing.assert_allclose(tf.linalg.det(rotations.quaternion_to_matrix(found)), np.ones(3), atol=1e-4)
