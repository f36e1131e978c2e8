"""The objective: which label moves which output, gates and weights, the figures."""
import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.methods.dhpe import objective
from tests.methods.dhpe import example_batch

SIZE = 32


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


FEATURES = tf.random.stateless_normal([4, 8], [1, 2])


def no_features(images, training):
  """The features of whatever is under a mask."""
  return FEATURES


def _perfect(batch):
  """Outputs of a model that is right in everything."""
  from dhpe_tf.geometry import heatmaps
  maps = heatmaps.encode(batch['joints_2d'])
  return {'heatmaps': maps, 'heatmap_stages': [maps, maps], 'features': FEATURES,
          'joints_2d_rounds': tf.tile(batch['joints_2d'][:, None], [1, 4, 1, 1]), 'pose': batch['pose'],
          'shape': batch['shape'], 'joints_2d': batch['joints_2d'], 'joints_3d': batch['joints_3d'],
          'mask': batch['mask'], 'vertices': tf.zeros([4, 778, 3])}


@pytest.fixture(scope='module')
def batch():
  return example_batch.make_batch(4, SIZE)


def all_losses(feature_net):
  """The objective with all terms."""
  gin.parse_config(['loss_weights.shape_prior = 1.0', 'loss_weights.parameters = 1.0',
                    'loss_weights.joint_limits = 1.0', 'loss_weights.biomechanics = 1.0'])
  return objective.Objective(load_hand_model(), feature_net)


@pytest.fixture
def all_terms():
  return all_losses(no_features)


def test_a_perfect_answer_costs_nothing(batch, all_terms):
  outputs = _perfect(batch)
  terms = all_terms.losses(batch, outputs, training=True).terms
  assert set(terms) == set(all_terms.weights)
  for name in ('heatmap', 'refiner', 'feature', 'articulation', 'shape', 'laplacian', 'parameters', 'joint_limits'):
    np.testing.assert_allclose(terms[name], np.zeros(4), atol=1e-10, err_msg=name)
  # The hands of the batch are possible ones; 0.1 would be bones that are wrong by their own length.
  assert np.all(terms['biomechanics'] < 2e-3)


def test_figures_of_a_known_error(batch, all_terms):
  outputs = _perfect(batch)
  for values, weights in all_terms.measures(batch, outputs).values():
    assert values.shape == weights.shape == (4,)
  perfect = {name: float(values[0]) for name, (values, _) in all_terms.measures(batch, outputs).items()}
  assert perfect['error_2d_px'] == perfect['error_3d_mm'] == perfect['error_heatmap_px'] == 0
  assert perfect['iou'] == perfect['gate_open'] == 1
  # 0.1 of the crop's half side to the right, root included, and 0.1 of depth on all but the root.
  away = outputs['joints_3d'] + tf.constant([0.1, 0, 0]) + 0.1 * tf.one_hot(2, 3) * (1 - tf.one_hot(9, 21))[:, None]
  figures = all_terms.measures(batch, {**outputs, 'joints_3d': away, 'joints_2d': away[..., :2]})
  np.testing.assert_allclose(figures['error_2d_px'][0], np.full(4, 12.8), rtol=1e-4)
  unit_m = batch['crop_side_px'] / 2 * example_batch.ROOT_DEPTH_M / example_batch.FOCAL_PX
  np.testing.assert_allclose(figures['error_3d_mm'][0], 1000 * 0.1 * unit_m * 20 / 21, rtol=1e-4)


def test_labels_of_weight_zero_are_not_looked_at(batch):
  outputs = {name: value for name, value in _perfect(batch).items() if name not in ('heatmaps', 'heatmap_stages')}
  outputs['heatmap_stages'] = [tf.zeros([4, 32, 32, 21])]
  outputs = {**outputs, 'joints_2d': outputs['joints_2d'] + 0.01, 'joints_3d': outputs['joints_3d'] + 0.01,
             'mask': outputs['mask'] * 0.9}
  all_terms = all_losses(lambda images, training: FEATURES * 0.5)
  weights = ('joints_2d_weight', 'joints_z_weight', 'mask_weight', 'parameters_weight')
  spoilt = {**batch, **{name: batch[name] * tf.reshape([1.0, 0, 1, 1], [4] + [1] * (len(batch[name].shape) - 1))
                        for name in weights}}
  spoilt.update({name: tf.concat([batch[name][:1], tf.fill([1, *batch[name].shape[1:]], 1e6), batch[name][2:]], 0)
                 for name in ('joints_2d', 'joints_3d', 'pose', 'shape')})
  watched = [outputs[name] for name in ('joints_2d_rounds', 'joints_3d', 'mask', 'pose', 'shape')]
  watched += [outputs['features'], outputs['heatmap_stages'][0]]
  with tf.GradientTape() as tape:
    tape.watch(watched)
    terms = all_terms.losses(spoilt, outputs, training=True).terms
    loss = tf.add_n([tf.reduce_sum(terms[name]) for name in (
        'heatmap', 'refiner', 'feature', 'articulation', 'shape', 'parameters')])
  for gradient in tape.gradient(loss, watched):
    assert np.all(np.isfinite(gradient))
    assert not np.any(gradient[1])
  for name, (values, weight) in all_terms.measures(spoilt, outputs).items():
    assert np.all(np.isfinite(values)), name
    assert name.startswith('feature_') or weight[1] == 0


def test_the_gate_acts_on_one_instance_alone(batch, all_terms):
  outputs = _perfect(batch)
  # 20 px of a 224 px crop for the first hand, 10 px for the second.
  shift = tf.reshape([20 / 112, 10 / 112, 0, 0], [4, 1, 1]) * tf.constant([1.0, 0])
  outputs['joints_2d'] = outputs['joints_2d'] + shift
  mask = 0.5 * outputs['mask']
  with tf.GradientTape() as tape:
    tape.watch(mask)
    loss = all_terms.losses(batch, {**outputs, 'mask': mask}, training=True).terms['shape']
  np.testing.assert_array_equal(loss.numpy() > 0, [False, True, True, True])
  np.testing.assert_array_equal(np.any(tape.gradient(loss, mask), axis=(1, 2)), [False, True, True, True])
  np.testing.assert_array_equal(all_terms.measures(batch, outputs)['gate_open'][0], [0, 1, 1, 1])
  np.testing.assert_array_equal(all_terms.measures(batch, outputs)['joints_near'][0], [0, 1, 1, 1])


def test_a_constant_weight_has_no_gate(batch):
  ungated = objective.Objective(load_hand_model(), no_features, gated=False)
  outputs = {**_perfect(batch), 'joints_2d': batch['joints_2d'] + 1.0}
  np.testing.assert_array_equal(ungated.gate(batch, outputs), np.ones(4))
  # What the gate would see is reported all the same.
  assert not np.any(ungated.measures(batch, outputs)['joints_near'][0])


def test_terms_of_weight_zero_are_not_computed():
  gin.parse_config(['loss_weights.feature = 0.0', 'loss_weights.shape = 0.0'])
  weights = objective.Objective(load_hand_model(), no_features).weights
  assert set(weights) == {'articulation', 'heatmap', 'laplacian', 'refiner'}


def test_warns_of_dead_features(all_terms):
  assert not all_terms.warnings({'feature_active': 0.9, 'val_feature_active': 0.9, 'loss': 1.})
  assert not all_terms.warnings({'loss': 1.})
  [text] = all_terms.warnings({'feature_active': 0.9, 'val_feature_active': 0.015})
  assert '1.5%' in text and 'feature_head.groups' in text
  gin.parse_config('Objective.least_active = 0.01')
  assert not objective.Objective(load_hand_model(), no_features).warnings({'feature_active': 0.015})


def test_warns_of_features_that_are_the_same_for_all_pictures(all_terms):
  [text] = all_terms.warnings({'feature_active': 0.9, 'feature_spread': 0.2, 'val_feature_spread': 4e-8})
  assert 'feature_spread is 4e-08' in text and 'train.seed' in text
  assert not all_terms.warnings({'feature_active': 0.9, 'feature_spread': 0.2, 'val_feature_spread': 0.1})


def test_unknown_laplacian():
  with pytest.raises(errors.UserError, match='laplacian_kind'):
    objective.Objective(load_hand_model(), no_features, laplacian_kind='cotan')
