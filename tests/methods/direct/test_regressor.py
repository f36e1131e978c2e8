import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.methods.direct import regressor
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK


@pytest.fixture(scope='module')
def model():
  tf.keras.utils.set_random_seed(0)
  gin.parse_config(["backbone.architecture = 'plain5'", "feature_head.pooling = 'grid'", 'feature_head.size = 256'])
  made = regressor.build_regressor(TASK, image_size=64)
  gin.clear_config()
  made.compile(optimizer=tf.keras.optimizers.Adam(3e-3))
  return made


def batch(count=4):
  made = example_batch.make_batch(count)
  return {name: value for name, value in made.items() if name != 'id'}


def test_true_answers_cost_nothing_and_unlabelled_hands_neither(model):
  data = batch()
  scale, known = regressor.true_scale(data)
  expected = np.linalg.norm(data['joints_3d'][:, 4] - data['joints_3d'][:, 9], axis=-1) / np.linalg.norm(
      data['joints_3d_m'][:, 4] - data['joints_3d_m'][:, 9], axis=-1)
  np.testing.assert_allclose(scale, expected, rtol=1e-4)
  answers = {'joints_3d': data['joints_3d'], 'units_per_metre': scale}
  losses = model.losses(data, answers, True)
  np.testing.assert_allclose(losses.total, 0, atol=1e-6)
  assert known.numpy().all()
  wrong = {'joints_3d': data['joints_3d'] + [0.1, 0, 0.2], 'units_per_metre': 2 * scale}
  terms = model.losses(data, wrong, True).terms
  np.testing.assert_allclose([terms[name][0] for name in ('joints_2d', 'depth', 'scale')],
                             [0.05, 0.2, np.log(2)], rtol=1e-4)
  blank = {**data, **{name: tf.zeros_like(data[name])
                      for name in ('joints_2d_weight', 'joints_z_weight', 'joints_3d_weight')}}
  assert not model.losses(blank, wrong, True).total.numpy().any()


def test_impossible_depths_of_unlabelled_hands_cost_where_the_limits_have_a_weight(model):
  data = batch()
  blank = {**data, **{name: tf.zeros_like(data[name])
                      for name in ('joints_2d_weight', 'joints_z_weight', 'joints_3d_weight')}}
  limited = regressor.DirectRegressor(model.input, model.output, TASK, 1., 0.1, biomechanics_weight=1.)
  random = tf.random.stateless_uniform([4, 21, 1], [1, 2], -1., 1.)
  impossible = tf.concat([data['joints_3d'][..., :2], random], axis=-1)
  costs = [limited.losses(blank, {'joints_3d': joints, 'units_per_metre': tf.ones([4])}, True).total.numpy()
           for joints in (data['joints_3d'], impossible)]
  assert np.all(costs[1] > 10 * costs[0])


def test_learns_four_hands_and_answers_joints_of_the_root(model):
  data = batch()
  step = tf.function(model.train_step, autograph=False)
  first = float(step(data)['loss'])
  for _ in range(60):
    step(data)
  model.reset_metrics()
  assert float(step(data)['loss']) < 0.5 * first
  answer = model.answer({'image': data['image']})
  assert answer['joints_3d'].shape == (4, 21, 3) and answer['units_per_metre'].shape == (4,)
  np.testing.assert_allclose(answer['joints_3d'][:, 9, 2], 0, atol=1e-6)
  np.testing.assert_array_equal(answer['joints_3d'][..., :2], answer['joints_2d'])
