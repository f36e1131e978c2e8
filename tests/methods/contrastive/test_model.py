import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.methods import method
from dhpe_tf.methods.contrastive import model as contrastive
from dhpe_tf.methods.direct import regressor
from dhpe_tf.training import checkpoints, initial_weights
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK


@pytest.fixture(autouse=True)
def _small_trunk():
  gin.parse_config(["backbone.architecture = 'plain5'", "feature_head.pooling = 'grid'", 'feature_head.size = 128',
                    'feature_head.groups = 4'])
  yield
  gin.clear_config()


def build(**settings):
  tf.keras.utils.set_random_seed(0)
  made = contrastive.build_model(TASK, image_size=64, hidden=32, points=8, **settings)
  made.compile(optimizer=tf.keras.optimizers.Adam(3e-3))
  return made


def batch(count=8):
  """Pairs of views: the second is the first turned by a quarter, which needs no resampling."""
  made = {name: value for name, value in example_batch.make_batch(count // 2).items() if name != 'id'}
  doubled = {name: tf.repeat(value, 2, axis=0) for name, value in made.items()}
  turned = tf.image.rot90(made['image'], 3)  # clockwise
  doubled['image'] = tf.reshape(tf.stack([made['image'], turned], axis=1), doubled['image'].shape)
  doubled['crop_turn'] = tf.tile(tf.constant([0., np.pi / 2]), [count // 2])
  return doubled


def test_answers_are_those_of_the_contract():
  model = build()
  method.check(model)
  answer = model.answer({'image': batch()['image']})
  assert {name: tuple(value.shape) for name, value in answer.items()} == {
      'joints_3d': (8, 21, 3), 'joints_2d': (8, 21, 2), 'units_per_metre': (8,), 'features': (8, 128)}


def test_the_probe_learns_from_labels_and_the_trunk_does_not():
  model, data = build(), batch()
  def gradients(which):
    with tf.GradientTape() as tape:
      losses = model.losses(data, model(model.taken(data), training=True), True)
      loss = tf.reduce_sum(losses.terms[which])
    found = tape.gradient(loss, model.trainable_variables)
    return {variable.ref() for variable, value in zip(model.trainable_variables, found) if value is not None}
  of_probe = {variable.ref() for variable in model.get_layer('probe').trainable_variables}
  rest = {variable.ref() for variable in model.trainable_variables} - of_probe
  assert gradients('probe') == of_probe
  assert gradients('contrastive') == rest


def test_unlabelled_pictures_are_enough():
  model, data = build(), batch()
  data = {**data, **{name: tf.zeros_like(data[name]) for name in data if name.endswith('weight')}}
  step = tf.function(model.train_step, autograph=False)
  first = float(step(data)['contrastive_loss'])
  for _ in range(30):
    model.reset_metrics()
    logs = step(data)
  assert float(logs['contrastive_loss']) < first - 0.2 and float(logs['found']) == 1
  assert not float(logs['probe_loss'])


@pytest.mark.parametrize('undo', [('turn', 'shift'), ()])
def test_codes_of_a_view_that_is_turned_as_its_code_is_agree_only_where_turns_are_undone(undo):
  model, data = build(undo=undo), batch(2)
  points = tf.random.stateless_normal([1, 8, 2], [3, 4])
  points -= tf.reduce_mean(points, axis=1, keepdims=True)
  turned = tf.stack([-points[..., 1], points[..., 0]], axis=-1)  # (x, y) -> (-y, x): a quarter, clockwise
  model.projector = lambda features, training: tf.concat([points, turned], axis=0)
  first, second = model.codes(data, tf.zeros([2, 128]), training=False).numpy()
  assert np.allclose(first, second, atol=1e-5) == bool(undo)
  np.testing.assert_allclose([np.linalg.norm(first), np.linalg.norm(second)], 1, rtol=1e-5)


def test_batches_to_measure_have_no_contrastive_loss():
  model, data = build(), batch()
  logs = model.test_step(data)
  assert not float(logs['contrastive_loss']) and float(logs['probe_loss']) > 0


def test_direct_regression_starts_from_the_trunk_but_not_from_the_probe(tmp_path):
  model, data = build(), batch()
  model.train_step(data)
  there = tf.train.Checkpoint(layers=checkpoints.layers_by_name(model)).save(str(tmp_path / 'there'))
  direct = regressor.build_regressor(TASK, image_size=64)
  before = direct.get_layer('numbers').get_weights()
  taken = {name for name, layer in checkpoints.layers_by_name(direct).items()
           if layer.weights and initial_weights._restore(there, name, layer)}
  assert taken == {'backbone', 'feature_head'}
  for name in taken:
    for one, other in zip(model.get_layer(name).get_weights(), direct.get_layer(name).get_weights()):
      np.testing.assert_array_equal(one, other)
  np.testing.assert_array_equal(before[0], direct.get_layer('numbers').get_weights()[0])


def test_unfit_settings_are_named():
  with pytest.raises(UserError, match="undo: 'scale' cannot be undone"):
    contrastive.build_model(TASK, image_size=64, undo=('scale',))
  with pytest.raises(UserError, match='temperature is 0'):
    contrastive.build_model(TASK, image_size=64, temperature=0.)
