import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import cameras, crops
from dhpe_tf.tasks.hand import results
from tests.serving import toy


@pytest.fixture(scope='module')
def outputs():
  images = np.random.RandomState(0).uniform(size=[2, toy.SIZE, toy.SIZE, 3]).astype(np.float32)
  return results.add_score(toy.build_toy_model()(images))


CROP = crops.Crop(tf.constant([[50., 20.], [30., 70.]]), tf.constant([40., 64.]))
NONE_LEFT = tf.constant([False, False])


def test_right_hands_keep_their_place(outputs):
  found = results.in_picture(outputs, CROP, NONE_LEFT)
  np.testing.assert_allclose(found['joints_2d_px'], outputs['joints_2d'] * [[[20.]], [[32.]]] + CROP.center_px[:, None],
                             rtol=1e-5)
  scale = outputs['camera'][:, 4, None, None]
  joints = outputs['joints_3d']
  np.testing.assert_allclose(found['joints_3d_m'] * scale, joints - joints[:, 9:10], atol=1e-6)
  np.testing.assert_allclose(found['vertices_m'] * scale, outputs['vertices'] - joints[:, 9:10], atol=1e-6)
  # The toy does not tell how sure it is of each joint.
  assert set(found) == set(results.DOCUMENTED) - {'joint_confidence', 'misfit'}


def test_left_hands_are_mirrored_about_the_crop(outputs):
  right, left = (results.in_picture(outputs, CROP, tf.constant([value] * 2)) for value in (False, True))
  mirror = 2 * CROP.center_px[:, None, 0]
  np.testing.assert_allclose(left['joints_2d_px'][..., 0], mirror - right['joints_2d_px'][..., 0], rtol=1e-5)
  np.testing.assert_allclose(left['joints_2d_px'][..., 1], right['joints_2d_px'][..., 1])
  np.testing.assert_allclose(left['vertices_m'], right['vertices_m'] * [-1, 1, 1], atol=1e-7)
  np.testing.assert_allclose(left['mask'], right['mask'][:, :, ::-1])


def test_placed_before_the_camera_the_root_projects_to_its_pixel(outputs):
  intrinsics = cameras.make_intrinsics(tf.constant([[500., 500.]] * 2), tf.constant([[40., 30.]] * 2))
  found = results.in_picture(outputs, CROP, NONE_LEFT)
  placed = results.place(found, CROP, intrinsics)
  pixels = cameras.project_pinhole(placed['joints_3d_m'], intrinsics)
  np.testing.assert_allclose(pixels[:, 9], found['joints_2d_px'][:, 9], rtol=1e-4)
  # At the root's depth a metre covers as many pixels as the crop says.
  depth = placed['joints_3d_m'][:, 9, 2]
  np.testing.assert_allclose(500. / depth, outputs['camera'][:, 4] * CROP.side_px / 2, rtol=1e-4)


def test_at_a_given_depth_the_hand_fills_as_much_of_the_crop(outputs):
  intrinsics = cameras.make_intrinsics(tf.constant([[500., 500.]] * 2), tf.constant([[40., 30.]] * 2))
  found = results.in_picture(outputs, CROP, NONE_LEFT)
  fitted, given = (results.place(found, CROP, intrinsics, depth) for depth in (None, tf.constant([.3, 2.])))
  np.testing.assert_allclose(given['joints_3d_m'][:, 9, 2], [.3, 2.], rtol=1e-5)
  pixels = [cameras.project_pinhole(placed['vertices_m'], intrinsics) for placed in (fitted, given)]
  np.testing.assert_allclose(*pixels, rtol=1e-3)


def test_score_is_the_mean_peak():
  heatmaps = np.zeros([1, 4, 4, 2], np.float32)
  heatmaps[0, 1, 2], heatmaps[0, 3, 3] = [0.5, 0.], [0.2, 1.7]
  assert float(results.add_score({'heatmaps': tf.constant(heatmaps)})['score'][0]) == pytest.approx(0.75)


def test_score_is_the_presence_times_the_confidence_of_the_joints():
  given = {'joints_3d': tf.zeros([2, 21, 3]), 'hand_presence': tf.constant([0.5, 1.])}
  np.testing.assert_allclose(results.add_score(given)['score'], [0.5, 1.])
  given['joint_confidence'] = tf.constant([[0.5] * 21, [1.] * 20 + [0.]])
  np.testing.assert_allclose(results.add_score(given)['score'], [0.25, 20 / 21], rtol=1e-6)
