import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.tasks.hand import predictions
from tests.tasks.hand.hands import COUNT, SIZE, TASK, make_labels, perfect


def measure(found, labels):
  return {name: measure.value for name, measure in TASK.measure('own-size', found, labels).measures.items()}


def test_a_perfect_prediction():
  result = measure(perfect(make_labels()), make_labels())
  for alignment in ('root', 'root_scale', 'procrustes'):
    assert result[f'epe_mean/{alignment}'] < 1e-6 and result[f'auc_full/{alignment}'] > 0.99
    assert result[f'pck_10mm/{alignment}'] == 1. and result[f'images/{alignment}'] == COUNT
  assert result['epe_2d_mean_px256'] == 0. and result['hand_iou_mean'] == result['hand_iou_median'] == 1.


def test_each_alignment_forgives_what_its_name_says():
  labels = make_labels()
  turn = np.array([[0., -1., 0.], [1., 0., 0.], [0., 0., 1.]])
  forgiven = {}
  for name, joints in {'moved': labels['joints_3d_m'] + 0.3, 'scaled': 1.5 * labels['joints_3d_m'] - 1.,
                       'turned': labels['joints_3d_m'] @ turn * 0.7}.items():
    result = measure({'joints_3d_m': joints}, labels)
    forgiven[name] = [result[f'epe_mean/{alignment}'] < 1e-3 for alignment in ('root', 'root_scale', 'procrustes')]
  assert forgiven == {'moved': [True] * 3, 'scaled': [False, True, True], 'turned': [False, False, True]}


def test_known_errors_in_both_pixels():
  labels = make_labels()
  result = measure({**perfect(labels), 'joints_2d': labels['joints_2d'] + [0.03, 0.04]}, labels)
  # 0.05 of crop space, whose 2 units are 256 px, or the 64 px of this crop in its picture.
  assert result['epe_2d_mean_px256'] == pytest.approx(6.4) and result['epe_2d_median_px'] == pytest.approx(1.6)


def test_what_is_not_labelled_does_not_count():
  labels = make_labels()
  expected = measure(perfect(labels), labels)
  labels['joints_3d_weight'][0, 9] = 0.  # no root in the first image
  labels['joints_3d_m'][0] = np.nan
  labels['joints_3d_weight'][1:, 4] = 0.
  labels['joints_3d_m'][1:, 4] = np.nan
  labels['joints_2d_weight'][:, 3] = 0.
  labels['joints_2d'][:, 3] = np.nan
  labels['mask_weight'][2] = 0.
  result = measure(perfect(make_labels()), labels)
  for alignment in ('root', 'root_scale', 'procrustes'):
    assert result[f'images/{alignment}'] == COUNT - 1
    assert result[f'epe_mean/{alignment}'] == pytest.approx(expected[f'epe_mean/{alignment}'], abs=1e-6)
  none = {**labels, 'joints_3d_weight': np.zeros([COUNT, 21]), 'joints_2d_weight': np.zeros([COUNT, 21]),
          'mask_weight': np.zeros(COUNT)}
  assert measure(perfect(make_labels()), none) == {}


def test_what_a_method_does_not_answer_is_not_measured():
  labels = make_labels()
  result = measure({'joints_3d_m': labels['joints_3d_m']}, labels)
  assert 'epe_mean/root' in result and not any('2d' in name or 'iou' in name for name in result)


def test_outputs_become_metres_and_masks_of_the_labels_size():
  joints = tf.ones([2, 21, 3]) * 0.5
  outputs = {'joints_3d': joints, 'units_per_metre': tf.constant([10., 5.]), 'mask': tf.ones([2, 4, 4])}
  found = predictions.from_outputs(outputs, SIZE)
  np.testing.assert_allclose(found['joints_3d_m'][:, 0, 0], [0.05, 0.1])
  assert found['mask'].shape == (2, SIZE, SIZE) and 'joints_2d' not in found
  # Exports made before the scale had a name of its own give it in the camera.
  camera = tf.constant([[0., 0, 0, 0, 10, 0, 0, 0], [0., 0, 0, 0, 5, 0, 0, 0]])
  older = predictions.from_outputs({'joints_3d': joints, 'camera': camera}, SIZE)
  np.testing.assert_allclose(older['joints_3d_m'], found['joints_3d_m'])


def test_mean_hand():
  labels = make_labels()
  labels['joints_3d_weight'][0, 5] = 0.
  mean = predictions.mean_hand(labels, 2)
  assert mean['mask'].shape == (2, SIZE, SIZE) and mean['joints_3d_m'].shape == (2, 21, 3)
  relative = labels['joints_3d_m'] - labels['joints_3d_m'][:, 9:10]
  np.testing.assert_allclose(mean['joints_3d_m'][1, 5], relative[1:, 5].mean(0), atol=1e-6)
  np.testing.assert_allclose(mean['joints_3d_m'][0, 6], relative[:, 6].mean(0), atol=1e-6)
  np.testing.assert_allclose(mean['joints_2d'][0], labels['joints_2d'].mean(0), atol=1e-6)


def test_joints_in_the_crop_are_where_a_near_camera_sees_them():
  joints = tf.random.stateless_uniform([2, 21, 3], [0, 1], -.5, .5)
  outputs = {'joints_3d': joints, 'units_per_metre': tf.ones([2]), 'camera_distance': tf.constant([2., 4.])}
  found = predictions.from_outputs(outputs, SIZE)
  distance = np.array([2., 4.])[:, None, None]
  np.testing.assert_allclose(found['joints_crop'][..., :2], joints[..., :2] * distance / (distance + joints[..., 2:]),
                             rtol=1e-5)
  np.testing.assert_allclose(found['joints_3d_m'], joints)
