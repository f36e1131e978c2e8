"""Views: turns about the camera's axes, and labels that turn with the hand."""
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import anatomy, joint_angles, skeletons
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.methods.dhpe.selfsup import variation


def _matrix(axis, angle):
  cos, sin = np.cos(angle), np.sin(angle)
  one, two = (axis + 1) % 3, (axis + 2) % 3
  matrix = np.eye(3)
  matrix[one, one] = matrix[two, two] = cos
  matrix[one, two], matrix[two, one] = -sin, sin
  return matrix


def test_turns_about_x_then_y_then_z():
  angles = np.array([0.4, -1.1, 2.3], np.float32)
  matrix = rotations.quaternion_to_matrix(variation.axis_turns(tf.constant(angles[None])))[0]
  expected = _matrix(2, angles[2]) @ _matrix(1, angles[1]) @ _matrix(0, angles[0])
  np.testing.assert_allclose(matrix, expected, atol=1e-6)


def _metric(hands, name):
  """Joints or vertices relative to the root, without the crop's scale."""
  points = getattr(hands, name) - hands.joints[:, skeletons.ROOT:skeletons.ROOT + 1]
  return points / hands.camera[:, 4, None, None]


def test_labels_turn_with_the_hand():
  place = variation.Variation(load_hand_model(), 3., 1., 0.15, 0.08).place
  pose = tf.constant(anatomy.sample_poses(4, 0), tf.float32)
  shape, rotation = tf.random.stateless_normal([4, 10], [0, 1]), rotations.random_rotations(4, 0)
  turn = rotations.random_rotations(4, 1)
  draws = tf.random.stateless_uniform([4, 3], [0, 2], -1., 1.)
  before = place(pose, shape, rotation, draws)
  after = place(pose, shape, rotations.quaternion_multiply(turn, rotation), draws)
  matrix = rotations.quaternion_to_matrix(turn)
  for name in ('joints', 'vertices'):
    np.testing.assert_allclose(_metric(after, name), tf.matmul(_metric(before, name), matrix, transpose_b=True),
                               atol=1e-5)


def test_draws_are_uniform_turns_of_each_axis():
  parents = variation.HandParameters(*(tf.tile(tf.constant([value], tf.float32), [2000, 1]) for value in (
      np.zeros(45), np.zeros(10), [2., 0, 0, 0], [1], np.zeros(3))))
  hands = variation.Variation(load_hand_model(), 0., 0.3, 0., 0.)(parents, tf.constant([1, 2]))
  matrix = rotations.quaternion_to_matrix(hands.camera[:, :4]).numpy()
  # The angles of Rz Ry Rx.
  angles = np.stack([np.arctan2(matrix[:, 2, 1], matrix[:, 2, 2]), -np.arcsin(matrix[:, 2, 0]),
                     np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0])], axis=-1)
  assert np.all(np.abs(angles) < 0.3 + 1e-5)
  np.testing.assert_allclose(np.mean(np.abs(angles), axis=0), np.full(3, 0.15), atol=0.01)
  np.testing.assert_allclose(np.corrcoef(angles.T), np.eye(3), atol=0.08)


def test_joints_come_back_to_their_limits():
  model = load_hand_model()
  inside = tf.constant(anatomy.sample_poses(4, 0), tf.float32)
  np.testing.assert_array_equal(variation.within_limits(inside, model), inside)
  angles = joint_angles.pose_to_angles(inside, model).numpy()
  angles[:, 3, 2] += 0.7  # one twist beyond its limit
  outside = joint_angles.angles_to_pose(tf.constant(angles), model)
  assert np.all(anatomy.limit_penalty(outside, model) > 0.05)
  back = variation.within_limits(outside, model)
  np.testing.assert_allclose(anatomy.limit_penalty(back, model), np.zeros(4), atol=1e-6)
  # The other joints have not moved.
  others = np.delete(np.arange(45).reshape(15, 3), 3, axis=0).ravel()
  np.testing.assert_allclose(back.numpy()[:, others], inside.numpy()[:, others], atol=1e-4)
