import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.geometry import crops
from dhpe_tf.metrics import pck
from dhpe_tf.tasks.hand import metric_space, protocols
from tests.tasks.hand.hands import make_scene


def evaluate(protocol, predictions, labels, root_depth='truth'):
  return metric_space.measure(protocol, predictions, labels, pck.THRESHOLDS_M['full'], root_depth).measures


@pytest.mark.parametrize('protocol', ['crop', 'zb-rhd', 'zb-stb', 'paper-do', 'freihand', 'ho3d'])
def test_perfect_in_crop_space_is_perfect_in_metres(protocol):
  for key, measure in evaluate(protocol, *make_scene()).items():
    if measure.unit:
      assert measure.value < 1e-6, key


@pytest.mark.parametrize('root_depth', ['truth', 'fitted'])
def test_turned_crops_are_turned_back_before_they_are_placed(root_depth):
  """Models that see hands held up get turned crops, and labels that are turned as well."""
  predictions, labels = make_scene()
  turn = np.array([1., -2., .3, 3.])
  turned_labels = {**labels, 'crop_turn': turn}
  for name in ('joints_2d', 'joints_3d_m'):
    turned_labels[name] = crops.turn(tf.constant(labels[name], tf.float64), turn).numpy()
  turned = {name: crops.turn(tf.constant(points, tf.float64), turn).numpy() for name, points in predictions.items()
            if name.startswith('joints')}
  found = metric_space.joints_m(turned, turned_labels, root_depth)
  expected = crops.turn(tf.constant(metric_space.joints_m(predictions, labels, root_depth)), turn)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  assert root_depth == 'fitted' or evaluate('freihand', turned, turned_labels)['epe_mean/none'].value < 1e-3


def test_scale_comes_from_crop_and_true_depth():
  """A hand of twice the size in the crop is one of twice the size, whatever the hand model says."""
  predictions, labels = make_scene()
  grown = predictions['joints_crop'] * 2
  found = metric_space.joints_m({**predictions, 'joints_crop': grown}, labels)
  lengths = [np.linalg.norm(x[:, 0] - x[:, 9], axis=-1) for x in (found, labels['joints_3d_m'])]
  np.testing.assert_allclose(lengths[0] / lengths[1], 2., rtol=.2)


def test_fitted_depth_gives_the_hand_its_own_size():
  predictions, labels = make_scene()
  small = {**predictions, 'joints_3d_m': predictions['joints_3d_m'] * .8}
  found = metric_space.joints_m(small, labels, 'fitted')
  # The scene is seen in perspective, the fit reads x and y as weak perspective: near, not equal.
  np.testing.assert_allclose(found[:, 9, 2] / labels['root_depth_m'], .8, rtol=.1)
  whole = metric_space.joints_m(predictions, labels, 'fitted')
  np.testing.assert_allclose(whole[:, 9, 2], labels['root_depth_m'], rtol=.1)
  measured = evaluate('zb-rhd', small, labels, 'fitted')
  assert 'root depth fitted' in measured['epe_mean/root_bone'].definition


def test_images_without_camera_keep_their_own_size():
  predictions, labels = make_scene((True, False, True, True))
  found = metric_space.joints_m(predictions, labels)
  np.testing.assert_allclose(found[1], predictions['joints_3d_m'][1])
  np.testing.assert_allclose(found[0], labels['joints_3d_m'][0], atol=1e-9)
  measures = evaluate('freihand', predictions, labels)
  assert 'epe_mean/none' not in measures and measures['epe_mean/procrustes'].value < 1e-6


def test_absolute_places_need_a_camera():
  alone = protocols.Protocol('alone', '', ('none',), ('full',))
  with pytest.raises(UserError, match='1 images have no camera'):
    metric_space._without_absolute(alone, 1)


def test_own_size_needs_no_camera_and_uses_none():
  predictions, labels = make_scene((False,) * 4)
  grown = {**predictions, 'joints_crop': predictions['joints_crop'] * 2}
  for found in (predictions, grown):
    assert evaluate('own-size', found, labels)['epe_mean/root'].value < 1e-6


def test_curves_are_those_of_the_alignments():
  predictions, labels = make_scene()
  measured = metric_space.measure('zb-rhd', predictions, labels, pck.THRESHOLDS_M['full'])
  assert set(measured.curves) == {'root_bone'} and measured.curves['root_bone'].min() == 1.
