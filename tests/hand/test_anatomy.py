import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.hand import anatomy, collisions, skeletons
from dhpe_tf.hand.hand_model import load_hand_model, mirror_pose
from dhpe_tf.hand.joint_angles import FLEXION, joint_number
from dhpe_tf.hand.mano_layer import ManoLayer
from tests.gradients import assert_gradients_match
from tests.hand.model_fixture import mano_like_model

FINGERS = ('index', 'middle', 'ring', 'little')


def _keypoints(poses, model=None):
  poses = np.atleast_2d(poses)
  return ManoLayer(model, dtype='float64')(poses, np.zeros([len(poses), 10]))['keypoints'].numpy()


def _gesture(name):
  """Keypoints of a gesture by name."""
  return dict(zip(skeletons.KEYPOINT_NAMES, _keypoints(anatomy.gesture_pose(name))[0]))


def _distance(points, first, second):
  return np.linalg.norm(points[first] - points[second])


def _extension(points, finger):
  """1 for a straight finger, less the more it is curled."""
  names = [f'{finger}{k}' for k in range(1, 5)]
  return _distance(points, names[0], names[3]) / sum(_distance(points, a, b) for a, b in zip(names, names[1:]))


@pytest.mark.parametrize('name', anatomy.GESTURES)
def test_gestures_are_possible(name):
  pose = anatomy.gesture_pose(name)
  assert pose.shape == (45,)
  assert anatomy.limit_penalty(pose[None])[0] < 1e-12


def test_flat_hand_is_the_zero_pose():
  np.testing.assert_array_equal(anatomy.gesture_pose('flat'), 0)


def test_fist_brings_the_fingertips_to_the_palm_and_the_thumb_over_them():
  points = _gesture('fist')
  palm = (points['wrist'] + points['middle1']) / 2
  for finger in FINGERS:
    assert _extension(points, finger) < 0.55
    assert np.linalg.norm(points[f'{finger}4'] - palm) < 0.05
    assert points[f'{finger}4'][1] < palm[1], 'on the palm\'s side, not through the back of the hand'
  assert points['thumb4'][1] < points['middle3'][1]
  assert np.linalg.norm(points['thumb4'] - (points['middle2'] + points['middle3']) / 2) < 0.03


def test_point_and_victory_stretch_their_fingers_only():
  for name, straight in (('point', ['index']), ('victory', ['index', 'middle'])):
    points = _gesture(name)
    for finger in FINGERS:
      assert (_extension(points, finger) > 0.95) == (finger in straight), (name, finger)
  flat, victory = _gesture('flat'), _gesture('victory')
  assert _distance(victory, 'index4', 'middle4') > _distance(flat, 'index4', 'middle4') + 0.01


def test_pinch_brings_thumb_and_index_together():
  points = _gesture('pinch')
  assert 0.008 < _distance(points, 'thumb4', 'index4') < 0.02, 'the tips are centres of fingers about 14 mm thick'
  assert _extension(points, 'middle') > 0.9


def test_unknown_gesture_lists_the_known_ones():
  with pytest.raises(ValueError, match='fist'):
    anatomy.gesture_pose('wave')


def test_gestures_of_any_model():
  right = anatomy.gesture_pose('victory')
  np.testing.assert_allclose(anatomy.gesture_pose('victory', mano_like_model()), right, atol=1e-6)
  left = anatomy.gesture_pose('victory', load_hand_model(side='left'))
  np.testing.assert_allclose(left, mirror_pose(right), atol=1e-9)


def test_penalty_grows_with_the_square_of_the_excess():
  angles = np.zeros([3, 15, 3])
  angles[:, joint_number('index2'), FLEXION] = np.deg2rad([100, 110, 120])
  penalty = anatomy.limit_penalty(anatomy.angles_to_pose(angles, load_hand_model()))
  np.testing.assert_allclose(penalty, np.deg2rad([0, 10, 20]) ** 2, atol=1e-9)


def test_penalty_gradient():
  poses = np.random.default_rng(0).normal(scale=0.6, size=[3, 45])
  assert_gradients_match(anatomy.limit_penalty, [poses])
  for pose in (tf.zeros([1, 45]), tf.random.stateless_normal([4, 45], [1, 2], stddev=3)):
    with tf.GradientTape() as tape:
      tape.watch(pose)
      value = anatomy.limit_penalty(pose)
    assert np.isfinite(tape.gradient(value, pose)).all()


def test_descent_on_the_penalty_makes_a_pose_possible():
  pose = tf.Variable(np.random.default_rng(1).normal(scale=0.6, size=[4, 45]))
  before = anatomy.limit_penalty(pose).numpy()
  for _ in range(100):
    with tf.GradientTape() as tape:
      value = tf.reduce_sum(anatomy.limit_penalty(pose))
    pose.assign_sub(0.2 * tape.gradient(value, pose))
  assert (anatomy.limit_penalty(pose).numpy() < 0.02 * before).all()


@pytest.fixture(scope='module')
def poses():
  return anatomy.sample_poses(400, seed=3)


def test_sampled_poses_are_possible_and_repeat(poses):
  assert poses.shape == (400, 45) and poses.dtype == np.float32
  assert anatomy.limit_penalty(poses).numpy().max() < 1e-9
  np.testing.assert_array_equal(poses, anatomy.sample_poses(400, seed=3))
  assert not np.allclose(poses, anatomy.sample_poses(400, seed=4))
  assert anatomy.sample_poses(0, seed=3).shape == (0, 45)


def test_sampled_poses_cover_open_and_closed_hands(poses):
  flexion = np.rad2deg(anatomy.pose_to_angles(poses, load_hand_model())[..., FLEXION])
  middle = flexion[:, [joint_number(f'{finger}2') for finger in FINGERS]]
  assert (middle.mean(1) < 15).mean() > 0.1 and (middle.mean(1) > 70).mean() > 0.1
  correlation = np.corrcoef(middle.T)
  assert correlation[np.triu_indices(4, 1)].min() > 0.2
  last = flexion[:, [joint_number(f'{finger}3') for finger in FINGERS]]
  assert np.corrcoef(middle.ravel(), last.ravel())[0, 1] > 0.8


def test_sampled_fingers_stay_apart(poses):
  depth = collisions.penetration_m(_keypoints(poses), load_hand_model())
  assert np.quantile(depth, 0.9) < 0.0055


def test_sampled_poses_of_a_left_hand_mirror_those_of_the_right():
  left = anatomy.sample_poses(8, seed=5, hand_model=load_hand_model(side='left'))
  np.testing.assert_allclose(mirror_pose(left), anatomy.sample_poses(8, seed=5), atol=1e-5)


def test_spheres_see_a_thumb_driven_through_the_palm():
  model = load_hand_model()
  angles = np.zeros([2, 15, 3])
  angles[1, joint_number('thumb1'), FLEXION] = np.deg2rad(80)
  depth = collisions.penetration_m(_keypoints(anatomy.angles_to_pose(angles, model).numpy()), model)
  assert depth[0] < 1e-12
  assert depth[1] > 0.006
