import numpy as np
import pytest

from dhpe_tf.metrics import pck
from dhpe_tf.tasks.hand import interacting, metric_space, protocols
from tests.tasks.hand.hands import make_scene

_IS_LEFT = np.array([False, True, True, False])
_IDS = np.array([b'test/a.jpg/right', b'test/a.jpg/left', b'test/b.jpg/left', b'test/c.jpg/right'])


def _scene():
  predictions, labels = make_scene()
  return predictions, {**labels, 'is_left': _IS_LEFT, 'id': _IDS}


def _measure(predictions, labels):
  measured = metric_space.measure('interhand', predictions, labels, pck.THRESHOLDS_M['full']).measures
  return {name: measure.value for name, measure in measured.items()}


def test_pairs_are_hands_of_one_picture():
  picture = interacting.pictures(_IDS)
  assert list(picture) == ['test/a.jpg', 'test/a.jpg', 'test/b.jpg', 'test/c.jpg']
  np.testing.assert_array_equal(interacting.pairs(picture, _IS_LEFT), [[0, 1]])
  assert list(interacting.pictures(['x/1.png'])) == ['x/1.png']


def test_single_and_interacting_hands_are_measured_apart():
  """A joint of a single left hand is 42 mm off, one of an interacting right hand 84 mm."""
  _, labels = _scene()
  truth = {'joints_3d_m': labels['joints_3d_m'], 'picture': interacting.pictures(_IDS), 'is_left': _IS_LEFT}
  joints = truth['joints_3d_m'].copy()
  joints[2, 7, 0] += .042
  joints[0, 3, 1] += .084
  found = protocols.evaluate('interhand', {'joints_3d_m': joints}, truth)
  values = {kind: found[f'mpjpe_{kind}/root'].value for kind in interacting.KINDS}
  # Of 42 joints; of all, each joint has two hands.
  assert values == pytest.approx({'single': 42 / 42, 'interacting': 84 / 42, 'all': (42 / 2 + 84 / 2) / 42})


def test_relative_place_of_the_wrists():
  predictions, labels = _scene()
  found = _measure(predictions, labels)
  assert found['mrrpe'] < 1e-6 and found['mpjpe_all/root'] < 1e-6 and 'handedness' not in found
  # Half a unit in the crop of a left hand moves it, and the other hand stays.
  moved = predictions['joints_crop'].copy()
  moved[1, :, 0] += .5
  wrist = metric_space.joints_m({**predictions, 'joints_crop': moved}, labels)[1, 0]
  expected = np.linalg.norm(wrist - labels['joints_3d_m'][1, 0]) * 1000
  assert expected > 10
  assert _measure({**predictions, 'joints_crop': moved}, labels)['mrrpe'] == pytest.approx(expected)


def test_left_hands_are_mirrored_back_and_turned_back():
  wrist = np.array([.1, .2, .5])
  joints = np.tile(wrist, [2, 21, 1])
  turned = np.array([-.2, .1, .5])  # by a quarter from +x toward +y
  joints[1] = turned
  np.testing.assert_allclose(interacting.wrists(joints, np.array([True, False]), np.array([0., np.pi / 2])),
                             [[-.1, .2, .5], wrist], atol=1e-12)


def test_handedness_where_predictions_name_a_side():
  predictions, labels = _scene()
  assert _measure({**predictions, 'is_left': np.array([False, True, False, False])}, labels)['handedness'] == .75


def test_without_a_camera_hands_have_no_relative_place():
  predictions, labels = make_scene((True, False, True, True))
  assert 'mrrpe' not in _measure(predictions, {**labels, 'is_left': _IS_LEFT, 'id': _IDS})
