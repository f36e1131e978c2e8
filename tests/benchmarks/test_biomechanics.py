import os

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from dhpe_tf.hand import bone_limits, canonical_hand
from tests.benchmarks import biomechanics
from tests.methods.dhpe import example_batch


@pytest.fixture(autouse=True)
def _flags():
  flags.FLAGS(['biomechanics', '--weight=2', '--noise=0.05'])


def hands(count=20, views=2):
  ones = np.ones([count * views, 21], np.float32)
  made = example_batch.make_batch(count, seed=3)
  repeated = {name: np.repeat(np.asarray(made[name]), views, axis=0) for name in ('joints_3d_m', 'joints_3d', 'pose')}
  return {'id': np.repeat([f'{k:02d}' for k in range(count)], views).astype('S'), 'joints_2d_weight': ones,
          'joints_3d_weight': ones, **repeated}


def test_few_hands_keep_their_labels_and_of_the_others_2d_alone_stays():
  few, rest = biomechanics.divided(hands(), 0.2)
  assert len(few['id']) == 8 and not set(few['id']) & set(rest['id'])
  found = biomechanics.training_hands('few + 2D', few, rest)
  labelled = found['joints_3d_weight'].all(1)
  assert labelled.sum() == (~labelled).sum() == 32 and set(found['id'][labelled]) == set(few['id'])
  hidden = {name: value[~labelled] for name, value in found.items()}
  assert not np.any(hidden['joints_3d_m']) and not np.any(hidden['pose']) and not np.any(hidden['joints_3d'][..., 2])
  assert np.all(hidden['joints_2d_weight'] == 1) and np.any(hidden['joints_3d'])
  assert biomechanics.training_hands('few', few, rest) is few
  assert biomechanics.training_hands('all', few, rest)['joints_3d_weight'].all()


def test_limits_are_those_of_the_few_hands(tmp_path):
  few, _ = biomechanics.divided(hands(), 0.5)
  biomechanics.write_limits(few, os.fspath(tmp_path / 'limits.json'))
  found, expected = bone_limits.read(str(tmp_path / 'limits.json')), bone_limits.estimate(few['joints_3d_m'])
  np.testing.assert_allclose(found.lengths, expected.lengths, atol=2e-5)


def test_each_arm_differs_from_the_third_by_what_it_names():
  found = {name: biomechanics.settings(arm, 'x.json') for name, arm in biomechanics.arms().items()}
  third = found['few + 2D + limits']
  assert 'relative_depth.settings_of.biomechanics_weight = 2.0' in third and len(set(third)) == 7
  assert found['few'] == found['few + 2D'] == found['all'] == ['relative_depth.build_lifter.noise = 0.05']
  different = {name: set(third) ^ set(bindings) for name, bindings in found.items() if len(bindings) > 1}
  assert different.pop('few + 2D + limits') == set()
  assert all(different.values()) and len(different) == 7
  assert different['few + 2D + limits widened twice'] == {'losses.biomechanics.widened = 2.0'}
  assert different['few + 2D + limits without palm'] == {'biomechanics_loss.palm = 0.1', 'biomechanics_loss.palm = 0.0'}


def test_errors_of_the_truth_are_none_and_of_moved_hands_known():
  data = {name: value for name, value in example_batch.make_batch(3).items() if name != 'id'}
  true = canonical_hand.canonical(data['joints_3d_m'], data['joints_3d_weight'])
  deep = data['root_depth_m'] / true.bone_m
  answer = {'joints_2d': data['joints_2d'], 'relative': true.joints[..., 2], 'root_depth': deep,
            'closed_depth': deep + 1, 'hand': true.joints + 7.}
  found = biomechanics.errors_of(answer, data)
  assert set(found) == set(biomechanics._MEASURES)
  for name in ('depth_mm', 'px', '3d_mm', 'root_mm'):
    np.testing.assert_allclose(found[name], 0, atol=1e-3)
  np.testing.assert_allclose(found['closed_mm'], 1000 * true.bone_m, rtol=1e-3)
  assert found['excess'].numpy().max() < 0.05
  moved = biomechanics.errors_of({**answer, 'relative': answer['relative'] + 0.1,
                                  'joints_2d': answer['joints_2d'] + [0.3, 0.4]}, data)
  np.testing.assert_allclose(moved['depth_mm'], 100 * true.bone_m, rtol=1e-3)
  np.testing.assert_allclose(moved['px'], 64, rtol=1e-3)
  assert 'root_mm' not in biomechanics.errors_of(answer, {**data, 'root_depth_m': tf.zeros([3])})


def test_tables_are_means_over_the_seeds():
  seeds = [{'depth_mm': 10., 'px': 3., 'excess': 0.1, 'depth_mm/interp': 8.},
           {'depth_mm': 12., 'px': 3., 'excess': 0.1, 'depth_mm/interp': 8.}]
  text = biomechanics.tables({'few': seeds})
  assert '| few | 11.0 ± 1.4 | 3.0 ± 0.0 | 0.100 ± 0.000 |' in text and '| few | 8.0 ± 0.0 |' in text
