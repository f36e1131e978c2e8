"""Lengths, palm and bends: known answers, independence of place, size and turn, gradients of straight fingers."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import bone_geometry, skeletons
from dhpe_tf.hand.anatomy import gesture_pose, sample_poses
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer


@pytest.fixture(scope='module')
def hands():
  model = load_hand_model()
  return ManoLayer(model)(sample_poses(12, 3, model), np.zeros([12, 10], np.float32))['keypoints'].numpy()


def flat_hand():
  """A right hand whose palm is seen, fingers up and straight, in one plane: [21, 3], x right, y down, z forward."""
  joints = np.zeros([21, 3], np.float32)
  for finger, degrees in enumerate((50, 20, 0, -15, -30)):
    direction = np.array([np.sin(np.deg2rad(degrees)), -np.cos(np.deg2rad(degrees)), 0])
    for number, distance in enumerate((1., 1.5, 1.8, 2.)):
      joints[1 + 4 * finger + number] = distance * direction
  return joints


def bend(joints, finger, number, axis, degrees):
  """Turns the rest of a finger about its joint `number` (1..3) by an angle about an axis."""
  start = skeletons.KEYPOINT_NAMES.index(f'{finger}{number}')
  rest = np.arange(start + 1, start + 5 - number)
  matrix = rotations.axis_angle_to_matrix(tf.constant(np.deg2rad(degrees) * np.float32(axis))).numpy()
  joints = joints.copy()
  joints[rest] = joints[start] + (joints[rest] - joints[start]) @ matrix.T
  return joints


def measured(joints):
  return bone_geometry.measure(tf.constant(joints[None], tf.float32))


def test_a_flat_hand_has_the_lengths_and_angles_it_was_made_of():
  found = measured(flat_hand())
  np.testing.assert_allclose(tf.reshape(found.lengths, [5, 4]), np.tile([1., .5, .3, .2], [5, 1]), atol=1e-5)
  np.testing.assert_allclose(np.rad2deg(found.spreads[0]), [30, 20, 15, 15], atol=1e-3)
  np.testing.assert_allclose(found.curvatures, 0., atol=1e-5)
  np.testing.assert_allclose(found.bends, 0., atol=1e-3)


@pytest.mark.parametrize('number', [1, 2, 3])
def test_bends_are_those_that_were_made(number):
  """The middle finger points up, its palm side to the viewer: it bends about +x, and to the thumb about +z."""
  row = bone_geometry.BEND_NAMES.index(f'middle{number}')
  for axis, degrees, which in (((1, 0, 0), 70, bone_geometry.FLEXION), ((1, 0, 0), 130, bone_geometry.FLEXION),
                               ((0, 0, 1), 15, bone_geometry.ABDUCTION), ((1, 0, 0), -10, bone_geometry.FLEXION)):
    expected = np.zeros([15, 2])
    expected[row, which] = degrees
    found = np.rad2deg(measured(bend(flat_hand(), 'middle', number, axis, degrees)).bends[0])
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_bends_of_a_finger_do_not_change_those_after_it():
  joints = bend(bend(flat_hand(), 'middle', 2, (1, 0, 0), 40), 'middle', 1, (1, 0, 0), 60)
  found = np.rad2deg(measured(joints).bends[0])
  first = bone_geometry.BEND_NAMES.index('middle1')
  np.testing.assert_allclose(found[first:first + 3], [[60, 0], [40, 0], [0, 0]], atol=1e-2)


def test_fingers_of_a_fist_bend_toward_the_palm():
  model = load_hand_model()
  fist, flat = (ManoLayer(model)(gesture_pose(name, model)[None], np.zeros([1, 10], np.float32))['keypoints']
                for name in ('fist', 'flat'))
  bends = (bone_geometry.measure(fist).bends - bone_geometry.measure(flat).bends)[0, 3:, bone_geometry.FLEXION]
  assert np.all(bends.numpy() > 0.5)


def test_place_size_and_turn_do_not_matter(hands):
  matrix = rotations.random_rotations(1, 5)[0].numpy()
  matrix = matrix if matrix.shape == (3, 3) else rotations.quaternion_to_matrix(matrix).numpy()
  moved = tf.constant(7.3 * hands @ matrix.T + [3., -2., 9.], tf.float32)
  for one, other in zip(bone_geometry.measure(tf.constant(hands)), bone_geometry.measure(moved)):
    np.testing.assert_allclose(one, other, atol=2e-3)


def test_gradients_agree_with_differences(hands):
  joints = tf.constant(hands[:2], tf.float64)
  weights = [np.random.RandomState(k).normal(size=value.shape[1:])
             for k, value in enumerate(bone_geometry.measure(joints))]

  def total(points):
    return tf.add_n([tf.reduce_sum(weight * value) for weight, value in zip(weights, bone_geometry.measure(points))])
  found, expected = tf.test.compute_gradient(total, [joints], delta=1e-7)
  np.testing.assert_allclose(found[0], expected[0], atol=1e-4 * np.abs(found[0]).max())


@pytest.mark.parametrize('joints', [
    flat_hand(), np.zeros([21, 3], np.float32), bend(flat_hand(), 'index', 2, (1, 0, 0), 180),
    bend(flat_hand(), 'middle', 1, (0, 0, 1), 90)], ids=['straight', 'one point', 'folded', 'aside'])
def test_gradients_stay_finite(joints):
  points = tf.constant(joints[None])
  with tf.GradientTape() as tape:
    tape.watch(points)
    found = bone_geometry.measure(points)
    total = tf.add_n([tf.reduce_sum(value) for value in found])
  assert np.isfinite(total) and np.isfinite(tape.gradient(total, points)).all()
