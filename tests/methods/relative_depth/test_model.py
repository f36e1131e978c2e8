import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import cameras
from dhpe_tf.geometry.crops import Crop
from dhpe_tf.hand import canonical_hand
from dhpe_tf.methods import method
from dhpe_tf.methods.relative_depth import model as relative_depth
from dhpe_tf.tasks.hand import partial_labels
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK


@pytest.fixture(autouse=True)
def _clean():
  gin.parse_config(["backbone.architecture = 'plain5'", "feature_head.pooling = 'grid'", 'feature_head.size = 64'])
  yield
  gin.clear_config()


def batch(count=4):
  """Hands before a camera, with labels that fit each other: 2D joints are those of the camera."""
  made = {name: value for name, value in example_batch.make_batch(count).items() if name != 'id'}
  joints_m = made['joints_3d_m'] - made['joints_3d_m'][:, 9, None] + [0.01, -0.02, example_batch.ROOT_DEPTH_M]
  crop = Crop(made['crop_center_px'], made['crop_side_px'])
  in_crop = cameras.metric_to_crop(joints_m, joints_m[:, 9, 2], made['intrinsics'], crop)
  return {**made, 'joints_3d_m': joints_m, 'joints_2d': in_crop[..., :2], 'joints_3d': in_crop,
          'root_depth_m': joints_m[:, 9, 2], 'visibility': tf.ones([count, 21]), 'crop_turn': tf.zeros([count])}


def build(from_pictures=False, seed=0, rate=3e-3, **settings):
  tf.keras.utils.set_random_seed(seed)
  gin.parse_config([f'relative_depth.settings_of.{name} = {value}' for name, value in settings.items()])
  made = (relative_depth.build_regressor(TASK, image_size=64) if from_pictures
          else relative_depth.build_lifter(TASK, hidden=(64,)))
  made.compile(optimizer=tf.keras.optimizers.Adam(rate))
  return made


def truth(data):
  """Outputs that are the labels."""
  true = canonical_hand.canonical(data['joints_3d_m'], data['joints_3d_weight'])
  deep, _ = relative_depth.true_root_depth(data, true)
  unit = deep * cameras.metres_per_unit(tf.ones_like(deep), data['intrinsics'],
                                        Crop(data['crop_center_px'], data['crop_side_px']))
  return {'joints_2d': data['joints_2d'], 'relative': true.joints[..., 2], 'closed_depth': deep, 'root_depth': deep,
          'hand': data['joints_3d_m'] / true.bone_m[:, None, None], 'unit': unit}


@pytest.mark.parametrize('from_pictures', [False, True])
def test_answers_are_those_of_the_contract(from_pictures):
  model = build(from_pictures)
  method.check(model)
  data = batch()
  answer = model.answer(method.inputs_of(data, model.input_specs))
  assert {name: value.shape for name, value in answer.items()} == {
      'joints_3d': (4, 21, 3), 'joints_2d': (4, 21, 2), 'units_per_metre': (4,)}
  np.testing.assert_allclose(answer['joints_3d'][:, 9, 2], 0, atol=1e-6)
  assert all(np.isfinite(value).all() for value in answer.values())


def test_the_last_layers_turn_exact_labels_into_the_true_hand():
  data, settings = batch(), relative_depth.settings_of()
  expected = truth(data)
  camera = [data[name] for name in relative_depth.CAMERA]
  seen, depth, unit = relative_depth._RootDepth(settings)([expected['joints_2d'], expected['relative'], *camera])
  np.testing.assert_allclose(depth, expected['root_depth'], rtol=1e-3)
  placed = relative_depth._Placed(settings)([seen, expected['relative'], depth, tf.zeros([4, 1]), unit])
  np.testing.assert_allclose(placed[1], expected['hand'], atol=5e-3)
  # In crop space the depths are those of the contract.
  np.testing.assert_allclose(expected['relative'] / placed[2][:, None], data['joints_3d'][..., 2], atol=1e-3)


def test_true_answers_cost_nothing_and_each_term_its_error():
  model = build(biomechanics_weight=1., size_weight=1.)
  data = batch()
  found = truth(data)
  terms = model.losses(data, found, True).terms
  for name in ('joints_2d', 'depth', 'root', 'size'):
    np.testing.assert_allclose(terms[name], 0, atol=1e-5, err_msg=name)
  wrong = {**found, 'joints_2d': found['joints_2d'] + [0.1, 0.3], 'relative': found['relative'] + 0.2,
           'root_depth': found['root_depth'] - 0.5, 'hand': 1.5 * found['hand']}
  terms = model.losses(data, wrong, True).terms
  np.testing.assert_allclose([terms[name][0] for name in ('joints_2d', 'depth', 'root', 'size')],
                             [0.2, 0.2, 0.5, 0.5], rtol=1e-3)
  measures = model.measures(data, wrong)
  bone = 1000 * canonical_hand.canonical(data['joints_3d_m'], data['joints_3d_weight']).bone_m
  np.testing.assert_allclose(measures['depth_mm'][0], 0.2 * bone, rtol=1e-3)
  np.testing.assert_allclose(measures['root_mm'][0], 0.5 * bone, rtol=1e-3)
  np.testing.assert_allclose(measures['error_2d_px'][0], 128 * np.hypot(0.1, 0.3), rtol=1e-3)


def test_2d_labels_alone_teach_depths_only_by_the_limits():
  data = partial_labels.hide(batch(), ['joints_3d'])
  for weight in (0., 1.):
    model = build(biomechanics_weight=weight)
    with tf.GradientTape() as tape:
      outputs = model(model.taken(data), training=True)
      tape.watch(outputs['relative'])
      loss = tf.reduce_sum(model.losses(data, outputs, True).total)
    layer = model.get_layer('numbers')
    gradient = tape.gradient(loss, layer.bias).numpy().reshape(21, 3)
    assert np.isfinite(gradient).all() and np.abs(gradient[:, :2]).max() > 0
    assert (np.abs(gradient[:, 2]).max() > 0) == bool(weight)


def test_learns_four_hands():
  model, data = build(biomechanics_weight=1.), batch()
  step = tf.function(model.train_step, autograph=False)
  first = float(step(data)['loss'])
  for _ in range(80):
    step(data)
  model.reset_metrics()
  assert float(step(data)['loss']) < 0.5 * first


def test_an_unknown_crop_is_any_crop_of_an_assumed_camera():
  model, data = build(), {**batch(), 'intrinsics': tf.zeros([4, 3, 3]), 'crop_turn': tf.zeros([4])}
  unknown = {**data, 'crop_side_px': tf.zeros([4]), 'crop_center_px': tf.zeros([4, 2])}
  found, wanted = (model(model.taken(given), training=False)['hand'] for given in (unknown, data))
  assert np.isfinite(wanted).all()
  np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_without_a_camera_and_at_the_start_everything_is_finite():
  model = build(biomechanics_weight=1., size_weight=1.)
  data = {**batch(), 'intrinsics': tf.zeros([4, 3, 3]), 'root_depth_m': tf.zeros([4])}
  data = {**data, 'joints_2d': tf.zeros([4, 21, 2])}  # all in one place: no bone has a direction
  logs = model.train_step(data)
  assert all(np.isfinite(float(value)) for value in logs.values())
  assert all(np.isfinite(weight).all() for weight in model.get_weights())
  answer = model.answer(method.inputs_of(data, model.input_specs))
  assert all(np.isfinite(value).all() for value in answer.values()) and np.all(answer['units_per_metre'] > 0)


def test_given_joints_are_noisy_in_training_only():
  tf.keras.utils.set_random_seed(0)
  model, data = relative_depth.build_lifter(TASK, hidden=(16,), noise=0.1), batch()
  given = model.taken(data)
  np.testing.assert_array_equal(model(given)['joints_2d'], model(given)['joints_2d'])
  off = model(given, training=True)['joints_2d'] - model(given)['joints_2d']
  assert 0.05 < np.std(off) < 0.2
