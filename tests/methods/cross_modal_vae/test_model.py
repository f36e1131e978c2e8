import itertools

import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.hand import canonical_hand
from dhpe_tf.inference import predictor
from dhpe_tf.losses import biomechanics
from dhpe_tf.methods import method
from dhpe_tf.methods.cross_modal_vae import modalities
from dhpe_tf.methods.cross_modal_vae import model as vae
from dhpe_tf.serving import exporter, model_card
from dhpe_tf.tasks.hand.partial_labels import hide
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK

SMALL = dict(latent=6, encoder_hidden=(32,), decoder_hidden=(32,), image_size=64)
CROSS = (('joints_2d', 'joints_3d'), ('joints_2d', 'joints_2d'), ('joints_3d', 'joints_3d'))
NAMES = ('image', 'joints_2d', 'joints_3d')


@pytest.fixture(autouse=True)
def _small_trunk():
  gin.parse_config(["backbone.architecture = 'plain5'", "feature_head.pooling = 'grid'", 'feature_head.size = 64'])
  yield
  gin.clear_config()


def batch(count=4):
  made = example_batch.make_batch(count)
  return {**{name: value for name, value in made.items() if name != 'id'}, 'visibility': tf.ones([count, 21])}


def build(seed=0, optimizer=None, **settings):
  tf.keras.utils.set_random_seed(seed)
  made = vae.build_model(TASK, **{**SMALL, 'source': 'joints_2d', 'pairs': CROSS, **settings})
  made.compile(optimizer=optimizer or tf.keras.optimizers.Adam(3e-3))
  return made


def weights_of(model):
  """The weights of each encoder and decoder by its name, as one array each."""
  parts = [*model.encoders.values(), *model.decoders.values()]
  return {part.name: np.concatenate([w.numpy().ravel() for w in part.trainable_weights]) for part in parts}


def changed(before, after):
  return {name for name in before if np.any(before[name] != after[name])}


@pytest.mark.parametrize('source', NAMES)
def test_answers_are_those_of_the_contract_and_always_the_same(source):
  model = build(source=source, pairs=tuple((source, target) for target in NAMES))
  method.check(model)
  data = batch()
  inputs = method.inputs_of(data, model.input_specs)
  assert set(inputs) == set(modalities.MODALITIES[source].inputs)
  first, second = model.answer(inputs), model.answer(inputs)
  for name, spec in model.output_specs.items():
    assert spec.is_compatible_with(first[name]), name
    np.testing.assert_array_equal(first[name], second[name])
  np.testing.assert_allclose(first['joints_3d'][:, 9, 2], 0, atol=1e-6)
  np.testing.assert_array_equal(first['joints_3d'][..., :2], first['joints_2d'])
  assert np.all(first['units_per_metre'] > 0)


def test_losses_are_drawn_in_training_and_fixed_otherwise():
  model, data = build(alternating=False), batch()
  outputs = model(model.taken(data), training=True)
  drawn = [model.losses(data, outputs, training=True).total.numpy() for _ in range(2)]
  fixed = [model.losses(data, outputs, training=False).total.numpy() for _ in range(2)]
  assert np.all(drawn[0] != drawn[1])
  np.testing.assert_array_equal(fixed[0], fixed[1])


@pytest.mark.parametrize('pair', itertools.product(NAMES, NAMES), ids='-'.join)
def test_any_pair_teaches_its_encoder_and_its_decoder_and_no_other(pair):
  all_pairs = tuple(dict.fromkeys([pair, *itertools.product(NAMES, NAMES)]))
  model = build(source='image', pairs=all_pairs, optimizer=tf.keras.optimizers.SGD(1e-2))
  data = batch()
  before = weights_of(model)
  assert len(before) == 6
  model.train_step(data)  # the first pair's
  assert changed(before, weights_of(model)) == {f'encode_{pair[0]}', f'decode_{pair[1]}'}


def test_pairs_take_turns_or_are_learnt_at_once():
  data = batch()
  model = build(optimizer=tf.keras.optimizers.SGD(1e-2))
  step = tf.function(model.train_step, autograph=False)
  for source, target in (*CROSS, *CROSS):
    before = weights_of(model)
    step(data)
    assert changed(before, weights_of(model)) == {f'encode_{source}', f'decode_{target}'}
  model = build(alternating=False, optimizer=tf.keras.optimizers.SGD(1e-2))
  before = weights_of(model)
  model.train_step(data)
  assert changed(before, weights_of(model)) == set(before)


def test_every_weight_is_trained_and_saved():
  model = build(source='joints_2d', pairs=tuple(itertools.product(NAMES, NAMES)))
  inside = {id(w) for part in (*model.encoders.values(), *model.decoders.values()) for w in part.trainable_weights}
  assert {id(w) for w in model.trainable_variables} == inside
  assert len(model.get_weights()) == len({id(w) for w in model.weights}) > len(inside), 'statistics too'


def test_learns_a_handful_of_hands():
  data = batch(6)
  model = build(encoder_hidden=(128,), decoder_hidden=(128,), kl_weight=1e-6)
  step = tf.function(model.train_step, autograph=False)
  for _ in range(600):
    step(data)
  answer = model.answer(method.inputs_of(data, model.input_specs))
  spread = np.abs(data['joints_3d'] - tf.reduce_mean(data['joints_3d'], axis=0)).mean()
  assert np.abs(answer['joints_3d'] - data['joints_3d']).mean() < 0.15 * spread
  hidden = {**data, 'visibility': tf.concat([tf.ones([6, 15]), tf.zeros([6, 6])], axis=1)}
  model.reset_metrics()
  error = float(model.test_step(data)['error_3d_mm'])
  assert error < 10
  assert float(model.measures(hidden, model(model.taken(hidden)))['error_3d_mm'][0][0]) > error, 'it looks at them'


def test_joints_that_are_seen_stay_and_hidden_ones_are_not_looked_at():
  model, data = build(), batch()
  visibility = tf.constant([[1.] * 14 + [0.] * 7] * 4)
  answer = model.answer({'joints_2d': data['joints_2d'], 'visibility': visibility})
  np.testing.assert_array_equal(answer['joints_2d'][:, :14], data['joints_2d'][:, :14])
  assert np.abs(answer['joints_2d'][:, 14:] - data['joints_2d'][:, 14:]).max() > 0
  moved = tf.concat([data['joints_2d'][:, :14], data['joints_2d'][:, 14:] + 1], axis=1)
  again = model.answer({'joints_2d': moved, 'visibility': visibility})
  np.testing.assert_array_equal(again['joints_3d'], answer['joints_3d'])


def test_the_true_parts_of_a_hand_seen_from_afar_are_put_together_to_it():
  model, data = build(source='joints_3d', pairs=(('joints_3d', 'joints_3d'), ('joints_3d', 'joints_2d'))), batch()
  true = canonical_hand.canonical(data['joints_3d_m'], data['joints_3d_weight'])
  answer = model.placed(data['joints_2d'], true.joints, {})
  np.testing.assert_allclose(answer['joints_3d'], data['joints_3d'], atol=1e-4)
  rest = TASK.hand_model.rest_keypoints
  bone = np.linalg.norm(rest[9] - rest[0])
  in_crop = np.linalg.norm(data['joints_3d'][:, 9] - data['joints_3d'][:, 0], axis=-1)
  np.testing.assert_allclose(answer['units_per_metre'], in_crop / bone, rtol=1e-4)
  still = model.placed(tf.zeros([4, 21, 2]), tf.zeros([4, 21, 3]), {})
  assert all(np.isfinite(value).all() for value in still.values())


def test_hands_without_picture_teach_what_needs_none():
  pairs = (('image', 'joints_3d'), ('image', 'joints_2d'), ('joints_2d', 'joints_3d'), ('joints_3d', 'joints_3d'))
  model = build(source='image', pairs=pairs, alternating=False)
  data = batch(2)
  both = {name: tf.concat([data[name], hidden], axis=0) for name, hidden in hide(data, ['image']).items()}
  taken = model.taken(both)['image']
  np.testing.assert_array_equal(taken[:2], data['image'])
  assert all(np.any(np.all(taken[row] == data['image'], axis=(1, 2, 3))) for row in (2, 3)), 'no black ones'
  losses = model.losses(both, model(model.taken(both), training=False), training=False)
  np.testing.assert_array_equal(losses.weights, [4, 4, 2, 2])
  # What a black picture would be answered does not matter.
  alone = model.losses(both, tf.nest.map_structure(lambda x: x + 9, model(model.taken(both))), training=False)
  np.testing.assert_array_equal(alone.total[2:], losses.total[2:])
  assert np.all(alone.total[:2] != losses.total[:2])
  black = model.taken(hide(data, ['image']))['image']
  assert not np.any(black) and black.shape == data['image'].shape


def test_unlabelled_hands_cost_nothing():
  model, data = build(), batch()
  blank = {**hide(data, ['joints_2d', 'joints_3d']), 'joints_3d_m': data['joints_3d_m'] * np.nan}
  logs = model.train_step(blank)
  assert float(logs['loss']) == 0 and all(np.isfinite(w).all() for w in model.get_weights())


def test_collapsed_dimensions_are_counted_and_told():
  model, data = build(), batch()
  outputs = {'mean': tf.constant([[0., 0., 0., 1., 1., 1.]] * 4), 'log_variance': tf.zeros([4, 6])}
  values, weights = model.measures(data, outputs)['collapsed']
  np.testing.assert_array_equal(values, 3)
  np.testing.assert_array_equal(weights, 1)
  np.testing.assert_allclose(model.measures(data, outputs)['kl_04_loss'][0], 0.5)
  logs = {f'kl_{k:02d}_loss': value for k, value in enumerate([0., .005, .02, 1., 1., 1.])}
  warning, = model.warnings(logs)
  assert warning.startswith('2 of 6 dimensions of the code carry less than 0.01 nats (00, 01); lower ')
  assert model.warnings({**logs, **{f'val_{name}': 1. for name in logs}}) == [], 'held-out instances decide'
  assert set(model.train_step(data)) >= {'collapsed', 'error_3d_mm', *logs}


def test_weight_of_the_divergence_grows_over_its_steps():
  model, data = build(kl_weight=0.5, kl_warmup_steps=4), batch()
  outputs = {'mean': tf.ones([4, 6]), 'log_variance': tf.zeros([4, 6])}

  def weight(training):
    losses = model.losses(data, outputs, training)
    return ((losses.total - losses.terms['reconstruction']) / losses.terms['kl']).numpy()
  np.testing.assert_allclose(weight(True), 0, atol=1e-6)
  np.testing.assert_allclose(weight(False), 0.5, rtol=1e-3)
  model.optimizer.iterations.assign(3)
  np.testing.assert_allclose(weight(True), 0.375, rtol=1e-3)
  model.optimizer.iterations.assign(9)
  np.testing.assert_allclose(weight(True), 0.5, rtol=1e-3)


def test_impossible_hands_cost_where_the_limits_have_a_weight():
  free, limited = build(alternating=False), build(alternating=False, biomechanics_weight=2.)
  data = batch()
  outputs = free(free.taken(data))
  plain, more = (model.losses(data, outputs, training=False) for model in (free, limited))
  decoded = free.decoders['joints_3d'](outputs['mean'])
  np.testing.assert_allclose(limited.decoders['joints_3d'](outputs['mean']), decoded)
  assert np.all(more.total > plain.total) and np.all(biomechanics.biomechanics_loss(decoded) > 0)
  some, none = (build(alternating=False, biomechanics_weight=weight, pairs=CROSS[:2]) for weight in (2., 0.))
  totals = [model.losses(data, model(model.taken(data)), training=False).total for model in (some, none)]
  decode = none.decoders['joints_3d']
  own, middle = decode(none(none.taken(data))['mean']), decode(tf.zeros([4, 6]))  # random codes are 0 but in training
  expected = sum(biomechanics.biomechanics_loss(hands) + canonical_hand.missized(hands) for hands in (own, middle))
  # Of two pairs, whose mean is the loss, one has 3D joints.
  np.testing.assert_allclose(totals[0] - totals[1], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('settings, message', [
    (dict(source='sound'), "'sound' is no modality; choose from image, joints_2d, joints_3d"),
    (dict(pairs=(('joints_2d', 'mesh'),)), "'mesh' is no modality"),
    (dict(source='image'), "has none from the source 'image'; add"),
    (dict(pairs=(('joints_2d', 'joints_2d'),)), "has none to 'joints_3d', of which an answer is made; add")])
def test_pairs_that_teach_no_answer_are_refused(settings, message):
  with pytest.raises(UserError, match=message.replace('(', r'\(')):
    build(**settings)


@pytest.mark.slow
def test_export_answers_alike_and_decodes_codes(tmp_path):
  model, data = build(source='image', pairs=tuple(('image', target) for target in NAMES)), batch()
  folder = exporter.export(model, str(tmp_path), model_card.describe(TASK, 'vae'))
  loaded = predictor.from_export(folder)
  inputs = method.inputs_of(data, model.input_specs)
  own, served = model.answer(inputs), loaded.answer(inputs)
  for name in model.output_specs:
    np.testing.assert_allclose(served[name], own[name], atol=1e-4)
  code = tf.random.stateless_normal([5, 6], [0, 1])
  decoded = tf.saved_model.load(folder).signatures['decode'](code=code)
  assert {name: tuple(value.shape) for name, value in decoded.items()} == {
      'joints_2d': (5, 21, 2), 'canonical_joints': (5, 21, 3), 'picture': (5, 64, 64, 3)}
  for name, value in model.decode(code).items():
    np.testing.assert_allclose(decoded[name], value, atol=1e-4)
