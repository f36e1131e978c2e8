
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.geometry import cameras, crops
from dhpe_tf.tasks.hand import measurements, metric_space, protocols

N, S = 4, 8


def _scene(known=(True,) * N):
  """Labels of hands seen by a camera, and predictions that are the truth, in crop space."""
  rng = np.random.default_rng(0)
  joints_m = rng.uniform(-.07, .07, [N, 21, 3]) + [0., 0., .6]
  matrices = np.tile(np.array([[500., 0, 160], [0, 500, 120], [0, 0, 1]]), [N, 1, 1])
  depth = joints_m[:, 9, 2]
  crop = crops.crop_from_joints(cameras.project_pinhole(tf.constant(joints_m), tf.constant(matrices)))
  in_crop = cameras.metric_to_crop(tf.constant(joints_m), tf.constant(depth), tf.constant(matrices), crop).numpy()
  known = np.array(known)
  labels = {
      'joints_2d': in_crop[..., :2], 'joints_2d_weight': np.ones([N, 21]), 'joints_3d_m': joints_m,
      'joints_3d_weight': np.ones([N, 21]), 'mask': np.ones([N, S, S]), 'mask_weight': np.zeros(N),
      'crop_side_px': crop.side_px.numpy(), 'crop_center_px': crop.center_px.numpy(),
      'intrinsics': matrices * known[:, None, None], 'root_depth_m': depth * known,
  }
  predictions = measurements.Predictions(joints_m - .3, in_crop[..., :2], np.ones([N, S, S]), in_crop)
  return predictions, labels


@pytest.mark.parametrize('protocol', ['crop', 'zb-rhd', 'zb-stb', 'paper-do', 'freihand', 'ho3d'])
def test_perfect_in_crop_space_is_perfect_in_metres(protocol):
  for key, measure in metric_space.evaluate(protocol, *_scene()).items():
    if measure.unit:
      assert measure.value < 1e-6, key


def test_scale_comes_from_crop_and_true_depth():
  """A hand of twice the size in the crop is one of twice the size, whatever the hand model says."""
  predictions, labels = _scene()
  grown = predictions.joints_crop * 2
  found = metric_space.joints_m(predictions._replace(joints_crop=grown), labels)
  lengths = [np.linalg.norm(x[:, 0] - x[:, 9], axis=-1) for x in (found, labels['joints_3d_m'])]
  np.testing.assert_allclose(lengths[0] / lengths[1], 2., rtol=.2)


def test_fitted_depth_gives_the_hand_its_own_size():
  predictions, labels = _scene()
  small = predictions._replace(joints_3d_m=predictions.joints_3d_m * .8)
  found = metric_space.joints_m(small, labels, 'fitted')
  # The scene is seen in perspective, the fit reads x and y as weak perspective: near, not equal.
  np.testing.assert_allclose(found[:, 9, 2] / labels['root_depth_m'], .8, rtol=.1)
  whole = metric_space.joints_m(predictions, labels, 'fitted')
  np.testing.assert_allclose(whole[:, 9, 2], labels['root_depth_m'], rtol=.1)
  measured = metric_space.evaluate('zb-rhd', small, labels, 'fitted')
  assert 'root depth fitted' in measured['epe_mean/root_bone'].definition


def test_images_without_camera_keep_their_own_size():
  predictions, labels = _scene((True, False, True, True))
  found = metric_space.joints_m(predictions, labels)
  np.testing.assert_allclose(found[1], predictions.joints_3d_m[1])
  np.testing.assert_allclose(found[0], labels['joints_3d_m'][0], atol=1e-9)
  measures = metric_space.evaluate('freihand', predictions, labels)
  assert 'epe_mean/none' not in measures and measures['epe_mean/procrustes'].value < 1e-6


def test_absolute_places_need_a_camera():
  alone = protocols.Protocol('alone', '', ('none',), ('full',))
  with pytest.raises(UserError, match='1 images have no camera'):
    metric_space._without_absolute(alone, 1)
