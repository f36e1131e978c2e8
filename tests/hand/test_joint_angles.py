import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.hand import joint_angles, skeletons
from dhpe_tf.hand.hand_model import load_hand_model, mirror_pose
from dhpe_tf.hand.joint_angles import ABDUCTION, FLEXION, TWIST, joint_number
from dhpe_tf.hand.mano_layer import ManoLayer
from tests.gradients import assert_gradients_match
from tests.hand.model_fixture import mano_like_model


def _keypoints(angles, model):
  pose = joint_angles.angles_to_pose(angles[None], model)
  return ManoLayer(model, dtype='float64')(pose, np.zeros([1, 10]))['keypoints'][0].numpy()


def _moved(joint, kind, keypoint, degrees=20):
  """Where a keypoint of the built-in right hand goes when one joint turns."""
  angles = np.zeros([15, 3])
  angles[joint_number(joint), kind] = np.deg2rad(degrees)
  model = load_hand_model()
  change = _keypoints(angles, model) - _keypoints(0 * angles, model)
  return change[skeletons.KEYPOINT_NAMES.index(keypoint)]


@pytest.mark.parametrize('finger', ['index', 'middle', 'ring', 'little'])
def test_signs_of_finger_angles(finger):
  for k in (1, 2, 3):
    flexed = _moved(f'{finger}{k}', FLEXION, f'{finger}4')
    assert flexed[1] < -0.005, 'the palm looks to -y'
  spread = _moved(f'{finger}1', ABDUCTION, f'{finger}4')
  assert spread[2] > 0.01 and abs(spread[1]) < 0.01, 'the thumb is at +z'


def test_signs_of_thumb_angles():
  assert _moved('thumb1', ABDUCTION, 'thumb4')[1] < -0.02, 'palmar abduction'
  for k in (1, 2, 3):
    assert _moved(f'thumb{k}', FLEXION, 'thumb4')[2] < -0.005, 'across the palm'
  assert np.linalg.norm(_moved('thumb1', TWIST, 'thumb2')) < 0.002, 'twist leaves its own bone'


@pytest.mark.parametrize('make', [load_hand_model, mano_like_model, lambda: load_hand_model(side='left')])
def test_axes_are_right_handed_frames(make):
  axes = joint_angles.joint_axes(make())
  np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), np.broadcast_to(np.eye(3), [15, 3, 3]), atol=1e-12)
  np.testing.assert_allclose(np.linalg.det(axes), 1)


def test_the_left_hand_does_the_same_with_the_same_angles():
  random = np.random.default_rng(0)
  low, high = joint_angles.limits()[..., 0], joint_angles.limits()[..., 1]
  angles = random.uniform(low, high, [5, 15, 3])
  right = joint_angles.angles_to_pose(angles, load_hand_model()).numpy()
  left = joint_angles.angles_to_pose(angles, load_hand_model(side='left')).numpy()
  np.testing.assert_allclose(left, mirror_pose(right), atol=1e-12)


def test_there_and_back():
  angles = np.random.default_rng(1).uniform(-1.4, 1.4, [2, 7, 15, 3])
  for model in (load_hand_model(), mano_like_model('left')):
    pose = joint_angles.angles_to_pose(angles, model)
    assert pose.shape == [2, 7, 45]
    np.testing.assert_allclose(joint_angles.pose_to_angles(pose, model), angles, atol=1e-9)


def test_one_angle_at_a_time():
  model = load_hand_model()
  axes = joint_angles.joint_axes(model)
  for kind in range(3):
    angles = np.zeros([15, 3])
    angles[:, kind] = 0.4
    expected = (0.4 * axes[:, kind]).ravel()
    np.testing.assert_allclose(joint_angles.angles_to_pose(angles, model), expected, atol=1e-12)


def test_gradients():
  model = load_hand_model()
  pose = np.random.default_rng(2).normal(scale=0.4, size=[2, 45])
  assert_gradients_match(lambda x: joint_angles.pose_to_angles(x, model), [pose])
  assert_gradients_match(lambda x: joint_angles.pose_to_angles(x, model), [np.zeros([1, 45])])
  assert_gradients_match(lambda x: joint_angles.angles_to_pose(x, model), [pose.reshape(2, 15, 3)])


def test_gradients_are_finite_where_the_angles_are_not_defined():
  model = load_hand_model()
  angles = np.zeros([1, 15, 3], np.float32)
  angles[..., ABDUCTION] = np.pi / 2
  pose = tf.Variable(joint_angles.angles_to_pose(angles, model))
  with tf.GradientTape() as tape:
    value = joint_angles.pose_to_angles(pose, model)
  assert np.isfinite(value).all()
  assert np.isfinite(tape.gradient(value, pose)).all()


def test_limits_stand_by_joint():
  limits = np.rad2deg(joint_angles.limits())
  np.testing.assert_allclose(limits[joint_number('little1')], [[-25, 85], [-22, 10], [-5, 5]])
  np.testing.assert_allclose(limits[joint_number('ring2'), FLEXION], [-10, 100])
  np.testing.assert_allclose(limits[joint_number('thumb3')], [[-20, 70], [0, 0], [0, 0]])


def test_turning_axes_are_those_of_growing_angles():
  """By central differences: dR R^T is the cross-product matrix of the axis."""
  model = load_hand_model()
  angles = np.random.default_rng(6).uniform(-1, 1, [15, 3])
  axes = joint_angles.turning_axes(tf.constant(angles), model).numpy()
  turns = joint_angles.angles_to_turns(angles, model).numpy()
  for kind in range(3):
    step = 1e-6 * np.eye(3)[kind]
    above, below = (joint_angles.angles_to_turns(angles + sign * step, model) for sign in (1, -1))
    matrix = ((above - below) / 2e-6).numpy() @ turns.transpose(0, 2, 1)
    np.testing.assert_allclose(np.stack([matrix[:, 2, 1], matrix[:, 0, 2], matrix[:, 1, 0]], axis=-1), axes[:, kind],
                               atol=1e-9)
