import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import parameters
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer
from tests.hand.model_fixture import mano_like_model, random_inputs


def test_order_of_the_63_numbers():
  h = tf.reshape(tf.range(126.0), [2, 63])
  parts = parameters.split(h)
  assert parts.pose[0, 0] == 0 and parts.shape[0, 0] == 45 and parts.rotation[0, 0] == 55
  assert parts.scale.shape == [2, 1] and parts.scale[0, 0] == 59 and parts.translation[0, 0] == 60
  np.testing.assert_array_equal(parameters.join(parts), h)
  np.testing.assert_array_equal(parts.camera, parameters.to_camera(h))
  assert parameters.to_camera(h).shape == [2, parameters.NUM_CAMERA]


def test_mean_hand_fills_the_crop():
  for model in (load_hand_model(), load_hand_model(side='left'), mano_like_model()):
    h = parameters.mean_parameters(model)
    assert h.shape == (63,) and h.dtype == np.float32
    np.testing.assert_allclose(h[:45], model.hands_mean, atol=1e-6)
    parts = parameters.split(h[None])
    keypoints = ManoLayer(model)(parts.pose, parts.shape, parts.camera)['keypoints'][0].numpy()
    low, high = keypoints.min(0), keypoints.max(0)
    np.testing.assert_allclose((high - low)[:2].max(), 2 / 1.5, atol=1e-5)
    np.testing.assert_allclose((low + high)[:2], 0, atol=1e-5)
    np.testing.assert_allclose(keypoints[9, 2], 0, atol=1e-5)


@pytest.mark.parametrize('side, thumb', [('right', -1), ('left', 1)])
def test_mean_hand_stands_upright_with_its_back_to_the_camera(side, thumb):
  model = load_hand_model(side=side)
  parts = parameters.split(parameters.mean_parameters(model, mean_pose=False)[None])
  keypoints = ManoLayer(model)(parts.pose, parts.shape, parts.camera)['keypoints'][0].numpy()
  assert keypoints[12, 1] < keypoints[9, 1] < keypoints[0, 1], 'fingers up: y falls'
  assert (keypoints[4, 0] - keypoints[0, 0]) * thumb > 0, 'the thumb of a right hand seen from behind is on the left'
  assert (keypoints[[8, 12, 16], 2] > keypoints[9, 2]).all(), 'fingers bend away from the camera'


def test_rotation_and_flat_pose_are_options():
  h = parameters.mean_parameters(load_hand_model(), mean_pose=False, rotation=(2, 0, 0, 0))
  np.testing.assert_array_equal(h[:55], 0)
  np.testing.assert_array_equal(h[55:59], [1, 0, 0, 0])


def test_global_orientation_turns_about_the_wrist():
  model = mano_like_model()
  pose, shape, _ = random_inputs(3)
  orient, shift = np.array([[0.3, -1, 2], [0, 0, 0], [1, 2, 0.1]]), np.ones([3, 3])
  camera = parameters.camera_from_global_orient(model, tf.constant(orient), tf.constant(shape), tf.constant(shift))
  layer = ManoLayer(model, dtype='float64')
  free, placed = layer(pose, shape), layer(pose, shape, camera)
  wrist = free['joints'].numpy()[:, :1]
  turned = (free['vertices'] - wrist) @ tf.linalg.matrix_transpose(rotations.axis_angle_to_matrix(orient))
  np.testing.assert_allclose(placed['vertices'], turned + wrist + 1, atol=1e-12)
