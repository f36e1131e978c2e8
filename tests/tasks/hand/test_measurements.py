import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand import measurements

N, S = 6, 8


def make_labels(seed=0):
  random = np.random.RandomState(seed)
  mask = np.zeros([N, S, S], np.float32)
  mask[:, 2:6, 2:6] = 1.
  return {'joints_2d': random.uniform(-.5, .5, [N, 21, 2]), 'joints_2d_weight': np.ones([N, 21]),
          'joints_3d_m': random.uniform(-.1, .1, [N, 21, 3]), 'joints_3d_weight': np.ones([N, 21]),
          'mask': mask, 'mask_weight': np.ones(N), 'crop_side_px': np.full(N, 64.)}


def perfect(labels):
  return measurements.Predictions(labels['joints_3d_m'], labels['joints_2d'], labels['mask'])


def test_a_perfect_prediction():
  result = measurements.measure(perfect(make_labels()), make_labels())
  for values in result['joints_3d'].values():
    assert values['epe_mean_mm'] < 1e-6 and values['auc_0_50mm'] > 0.99 and values['pck']['10mm'] == 1.
  assert result['joints_2d']['mean_px_of_256_crop'] == 0. and result['mask'] == {
      'images': N, 'iou_mean': 1., 'iou_median': 1.}


def test_each_alignment_forgives_what_its_name_says():
  labels = make_labels()
  turn = np.array([[0., -1., 0.], [1., 0., 0.], [0., 0., 1.]])
  epe = {}
  for name, joints in {'moved': labels['joints_3d_m'] + 0.3, 'scaled': 1.5 * labels['joints_3d_m'] - 1.,
                       'turned': labels['joints_3d_m'] @ turn * 0.7}.items():
    result = measurements.measure_3d(joints, labels)
    epe[name] = [result[alignment]['epe_mean_mm'] < 1e-3 for alignment in ('root', 'root+scale', 'PA')]
  assert epe == {'moved': [True] * 3, 'scaled': [False, True, True], 'turned': [False, False, True]}


def test_known_errors_in_both_pixels():
  labels = make_labels()
  result = measurements.measure_2d(labels['joints_2d'] + [0.03, 0.04], labels)
  # 0.05 of crop space, whose 2 units are 256 px, or the 64 px of this crop in its picture.
  assert result['mean_px_of_256_crop'] == pytest.approx(6.4) and result['median_px_of_picture'] == pytest.approx(1.6)


def test_what_is_not_labelled_does_not_count():
  labels = make_labels()
  expected = measurements.measure(perfect(labels), labels)
  labels['joints_3d_weight'][0, 9] = 0.  # without its root the image is left out
  labels['joints_3d_m'][0] = np.nan
  labels['joints_3d_weight'][1:, 4] = 0.
  labels['joints_3d_m'][1:, 4] = np.nan
  labels['joints_2d_weight'][:, 3] = 0.
  labels['joints_2d'][:, 3] = np.nan
  labels['mask_weight'][2] = 0.
  predictions = perfect(make_labels())
  result = measurements.measure(predictions, labels)
  assert result['joints_3d']['PA']['images'] == N - 1 and result['mask']['images'] == N - 1
  for alignment in measurements.ALIGNMENTS:
    assert result['joints_3d'][alignment]['epe_mean_mm'] == pytest.approx(
        expected['joints_3d'][alignment]['epe_mean_mm'], abs=1e-6)
  none = {**labels, 'joints_3d_weight': np.zeros([N, 21]), 'joints_2d_weight': np.zeros([N, 21]),
          'mask_weight': np.zeros(N)}
  assert measurements.measure(predictions, none) == {'joints_3d': None, 'joints_2d': None, 'mask': None}


def batches(labels, size=4):
  data = {name: value.astype(np.float32) for name, value in labels.items()}
  return tf.data.Dataset.from_tensor_slices({'image': np.zeros([N, S, S, 3], np.float32), **data}).batch(size)


def run(images):
  joints = tf.ones([len(images), 21, 3]) * 0.5
  camera = tf.concat([tf.zeros([len(images), 4]), tf.fill([len(images), 1], 10.), tf.zeros([len(images), 3])], axis=-1)
  return {'joints_3d': joints, 'joints_2d': joints[..., :2], 'camera': camera, 'mask': tf.ones([len(images), 4, 4])}


def test_collects_in_metres_and_at_the_labels_size():
  predictions, labels = measurements.collect(run, batches(make_labels()), 'test', show_progress=False)
  np.testing.assert_allclose(predictions.joints_3d_m, np.full([N, 21, 3], 0.05))
  assert predictions.mask.shape == (N, S, S) and labels['joints_3d_m'].shape == (N, 21, 3)
  assert len(measurements.collect(run, batches(make_labels()), 'test', 3, False)[0].mask) == 3
  with pytest.raises(UserError, match='records eval: no image there'):
    measurements.collect(run, batches(make_labels()).take(0), 'records eval', show_progress=False)


def test_mean_hand():
  labels = make_labels()
  labels['joints_3d_weight'][0, 5] = 0.
  mean = measurements.mean_hand(measurements.collect_labels(batches(labels), 'test'), 2)
  assert mean.mask.shape == (2, S, S) and mean.joints_3d_m.shape == (2, 21, 3)
  relative = labels['joints_3d_m'] - labels['joints_3d_m'][:, 9:10]
  np.testing.assert_allclose(mean.joints_3d_m[1, 5], relative[1:, 5].mean(0), atol=1e-6)
  np.testing.assert_allclose(mean.joints_3d_m[0, 6], relative[:, 6].mean(0), atol=1e-6)
  np.testing.assert_allclose(mean.joints_2d[0], labels['joints_2d'].mean(0), atol=1e-6)
