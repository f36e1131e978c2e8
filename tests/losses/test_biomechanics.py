"""Possible hands cost nothing; each violated limit costs, and its gradient leads back."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.hand import bone_geometry, bone_limits, skeletons
from dhpe_tf.hand.anatomy import gesture_pose, sample_poses
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.losses import biomechanics


def keypoints(poses):
  return ManoLayer(load_hand_model())(poses, np.zeros([len(poses), 10], np.float32))['keypoints']


@pytest.fixture(scope='module')
def relaxed():
  """A hand in the middle of its limits, [1, 21, 3]."""
  model = load_hand_model()
  return keypoints((0.5 * gesture_pose('fist', model) + 0.5 * gesture_pose('flat', model))[None])


def test_a_possible_hand_costs_nothing(relaxed):
  for name, term in biomechanics.biomechanics(relaxed).items():
    assert float(term[0]) < 1e-6, name


def test_random_poses_within_the_limits_cost_next_to_nothing():
  found = biomechanics.biomechanics(keypoints(sample_poses(64, 7)))
  for name, term in found.items():
    assert np.mean(term.numpy() > 1e-3) < 0.05, name


def violated(joints, term):
  """A copy of a hand that violates the limits of a term."""
  joints = joints.numpy().copy()
  index = [skeletons.KEYPOINT_NAMES.index(f'index{k}') for k in range(1, 5)]
  if term == 'bone_lengths':
    joints[0, index[3]] += 1.5 * (joints[0, index[3]] - joints[0, index[2]])
  elif term == 'palm':
    joints[0, index] += 0.6 * (joints[0, index[0]] - joints[0, skeletons.KNUCKLES[1]])
  else:  # the last bone bends backward by a right angle: it swaps its direction with the normal of the finger's plane
    back = joints[0, index[1]] - joints[0, index[2]]
    across = np.cross(joints[0, index[0]] - joints[0, skeletons.KNUCKLES[1]], back)
    joints[0, index[3]] = joints[0, index[2]] - across / np.linalg.norm(across) * 0.02
  return tf.constant(joints)


@pytest.mark.parametrize('term', biomechanics.TERMS)
def test_a_violated_limit_costs_and_its_gradient_leads_back(term, relaxed):
  @tf.function
  def descended(joints):
    """Steps of 0.4 millimetres down the gradient."""
    for _ in tf.range(200):
      with tf.GradientTape() as tape:
        tape.watch(joints)
        cost = biomechanics.biomechanics(joints)[term]
      gradient = tape.gradient(cost, joints)
      joints -= 4e-4 * gradient / (tf.norm(gradient) + 1e-12)
    return joints

  joints = violated(relaxed, term)
  first, last = (float(biomechanics.biomechanics(hand)[term][0]) for hand in (joints, descended(joints)))
  assert first > 1e-3 and last < 0.15 * first


def test_place_and_size_do_not_matter(relaxed):
  joints = violated(relaxed, 'bends')
  here, there = (biomechanics.biomechanics(hand).values() for hand in (joints, 40 * joints + 3.))
  for one, other in zip(here, there):
    np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-5)


def test_the_nearest_point_of_a_polygon():
  polygons = biomechanics._padded([np.float32([[0, 0], [1, 0], [1, 1], [0, 1]]), np.float32([[0, 0], [2, 0], [0, 2]])])
  points = tf.constant([[[.5, .5], [2., 2.]], [[3., .5], [.5, .5]], [[-1., -1.], [-1., 1.]]])
  np.testing.assert_allclose(biomechanics._nearest(points, polygons),
                             [[[.5, .5], [1., 1.]], [[1., .5], [.5, .5]], [[0., 0.], [0., 1.]]], atol=1e-6)


def test_angles_beyond_half_a_turn_go_the_shorter_way():
  """A joint at -170 degrees lies nearer to 170 than to 0."""
  polygons = biomechanics._padded([np.deg2rad([[0, -10], [100, -10], [100, 10], [0, 10]])])
  cost = [float(biomechanics._beyond_polygons(tf.constant([[[np.deg2rad(angle), 0.]]], tf.float32), polygons)[0])
          for angle in (-170., 190.)]
  assert cost[0] == pytest.approx(cost[1], abs=1e-5) and cost[0] > 0.5


def test_controls_change_what_is_possible(relaxed):
  joints = violated(relaxed, 'bone_lengths')
  usual, wide = (biomechanics.biomechanics(joints, widened=factor)['bone_lengths'] for factor in (1., 2.))
  assert float(wide[0]) < float(usual[0])
  assert float(biomechanics.biomechanics(relaxed, of_other_fingers=True)['bone_lengths'][0]) > 1e-3
  assert len(bone_limits.load().polygons) == bone_geometry.NUM_BENDS
