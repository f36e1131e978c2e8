import numpy as np
import pytest

from dhpe_tf.metrics import pck
from dhpe_tf.tasks.hand import metric_space, protocols
from dhpe_tf.tasks.hand.bench import measures, splits
from tests.tasks.hand.hands import TASK, make_scene

COUNT = 40


def scene():
  """Half of the hands are of interp, half of extrap_view, whose wrists are off the more the farther they are."""
  predictions, labels = make_scene((True,) * 2 * COUNT)
  distance = np.zeros([2 * COUNT, 4])
  distance[COUNT:, 2] = np.linspace(20, 60, COUNT)
  ids = np.array([f'interp/{k}'.encode() for k in range(COUNT)] + [f'extrap_view/{k}'.encode() for k in range(COUNT)])
  moved = predictions['joints_crop'].copy()
  moved[:, 8, 0] += 0.001 * distance[:, 2] + 0.01
  return {**predictions, 'joints_crop': moved}, {**labels, 'id': ids, 'training_distance': distance}


def test_errors_are_given_by_split_and_grow_with_distance():
  predictions, labels = scene()
  measured = metric_space.measure('hands19', predictions, labels, pck.THRESHOLDS_M['full'])
  values = {name: measure.value for name, measure in measured.measures.items()}
  assert measured.measures['mje_interp/root'].unit == 'mm'
  assert values['gap_extrap_view/root'] == pytest.approx(values['mje_extrap_view/root'] - values['mje_interp/root'])
  assert values['gap_extrap_view/root'] > 0
  assert values['mje_interp_low/root'] <= values['mje_interp/root'] <= values['mje_interp_high/root']
  assert values['distance_correlation_view/root'] > 0.8
  assert not {'mje_extrap_shape/root', 'distance_correlation_shape/root'} & set(values)
  line = measured.lines['view, degrees']
  assert list(measured.lines) == ['view, degrees'] and (np.diff(line.y[-3:]) > 0).all() and line.spread.shape == (2, 6)


def test_the_mean_joint_error_is_in_millimetres_over_the_joints():
  joints = np.random.default_rng(0).normal(size=[3, 21, 3])
  moved = joints.copy()
  moved[:, 4, 1] += np.array([0.021, 0.042, 0.063])
  truth = {'joints_3d_m': joints, 'id': np.array(['interp/0', 'interp/1', 'extrap_all/2'])}
  found = protocols.evaluate('hands19', {'joints_3d_m': moved}, truth)
  assert found['mje_interp/none'].value == pytest.approx(1.5)
  assert found['mje_extrap_all/root'].value == pytest.approx(3)
  assert found['mje/none'].value == pytest.approx(2)


def test_pictures_of_no_split_count_in_the_whole_only():
  assert list(measures.split_of([b'interp/1', 'train/2', 'a.jpg'])) == [splits.INTERP, '', '']
  found = measures.hands(np.full([2, 21], 0.01), np.ones([2, 21], bool), np.array(['a', 'b']), np.full([2, 4], -1.))
  assert found.distance is None
  assert set(measures.mean_joint_errors(found, '')) == {'mje'}


def test_an_ensemble_is_the_mean_hand_whatever_the_origins():
  joints = np.random.default_rng(0).normal(size=[2, 21, 3])
  first, second = {'joints_3d_m': joints + 0.5, 'mask': np.ones([2, 4, 4])}, {'joints_3d_m': 3 * joints - 0.2}
  found = TASK.ensemble([first, second])
  assert set(found) == {'joints_3d_m'}
  relative = joints - joints[:, 9, None]
  np.testing.assert_allclose(found['joints_3d_m'], 2 * relative, atol=1e-12)
