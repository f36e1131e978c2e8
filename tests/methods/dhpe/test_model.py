"""The estimator: outputs, gradients, learning, replicas, precision, saving."""
import subprocess
import sys

import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import configuration, errors
from dhpe_tf.methods import method
from dhpe_tf.methods.dhpe import model as dhpe_model
from dhpe_tf.tasks.hand import outputs
from dhpe_tf.training import shares
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK

BATCH = 4


def build(*params):
  """The tiny model, with further bindings."""
  configuration.load(['models/tiny.gin'], params)
  tf.keras.utils.set_random_seed(1)
  return dhpe_model.build_model(TASK)


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


@pytest.fixture(scope='module')
def batch():
  return example_batch.make_batch(BATCH)


@pytest.fixture(scope='module')
def model():
  return build()


@pytest.fixture(scope='module')
def results(model, batch):
  return model(batch['image'])


def test_outputs_are_the_documented_ones(results):
  # The others belong to the estimator on landmark evidence.
  others = {'camera_distance', 'hand_presence', 'joint_confidence', 'misfit'}
  assert set(results) == {*outputs.OUTPUTS, 'heatmap_stages'} - others
  shapes = {'heatmaps': (32, 32, 21), 'features': (128,), 'joints_2d_rounds': (4, 21, 2), 'parameters': (63,),
            'pose': (45,), 'shape': (10,), 'camera': (8,), 'vertices': (778, 3), 'joints_2d': (21, 2),
            'joints_3d': (21, 3), 'mask': (32, 32), 'units_per_metre': ()}
  for name, shape in shapes.items():
    assert results[name].shape == (BATCH, *shape), name
    assert results[name].dtype == tf.float32, name


def test_training_starts_with_a_hand_that_fills_the_crop(results):
  joints = results['joints_2d'].numpy()
  extent = (joints.max(1) - joints.min(1)).max(-1)
  np.testing.assert_allclose(extent, np.full(BATCH, 4 / 3), rtol=0.1)
  np.testing.assert_allclose((joints.max(1) + joints.min(1)) / 2, np.zeros((BATCH, 2)), atol=0.1)
  assert 0.05 < float(tf.reduce_mean(results['mask'])) < 0.6


def test_one_image_at_a_time_gives_the_same(model, batch, results):
  for i in range(2):
    single = model(batch['image'][i:i + 1])
    for name in ('vertices', 'mask', 'heatmaps'):
      np.testing.assert_allclose(single[name][0], results[name][i], atol=1e-4, err_msg=name)


def test_keypoint_net_learns_from_heatmaps_only(batch):
  model = build('loss_weights.heatmap = 0.0', "dhpe.build_model.keypoint_net_name = 'pose_machine'",
                'pose_machine.width = 0.1', 'pose_machine.stages = 2')
  with tf.GradientTape() as tape:
    results = model(batch['image'], training=True)
    loss = tf.reduce_sum(model.losses(batch, results, training=True).total)
  machine = model.get_layer('pose_machine')
  assert all(gradient is None for gradient in tape.gradient(loss, machine.trainable_weights))


def test_every_weight_is_reached_by_the_full_objective(model, batch):
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(model.losses(batch, model(batch['image'], training=True), training=True).total)
  gradients = tape.gradient(loss, model.trainable_variables)
  for gradient, variable in zip(gradients, model.trainable_variables):
    assert gradient is not None and np.all(np.isfinite(gradient)), variable.name
    # A bias before batch normalisation has no effect; keras-cv's trunk has none of these.
    assert np.any(gradient), variable.name


@pytest.mark.parametrize('params, rounds', [
    (('dhpe.build_model.use_refiner = False',), 1),
    (('dhpe.build_model.use_refiner = False', 'dhpe.build_model.use_joints_2d = False'), 1),
    (('dhpe.build_model.rounds = 2',), 3)])
def test_switches(batch, params, rounds):
  model = build(*params)
  assert model(batch['image'])['joints_2d_rounds'].shape == (BATCH, rounds, 21, 2)
  assert ('refiner' in model.objective.weights) == (rounds > 1)
  assert np.all(np.isfinite(model.losses(batch, model(batch['image']), training=False).total))
  names = {weight.name.split('/')[0] for weight in model.mesh_regressor.weights}
  assert names == {'offset'}
  expected = 128 + 63 + (0 if 'dhpe.build_model.use_joints_2d = False' in params else 42)
  assert model.mesh_regressor.get_layer('offset').kernel.shape == (expected, 63)


@pytest.mark.parametrize('params, message', [
    (('dhpe.build_model.use_joints_2d = False',), 'set both alike'),
    (('dhpe.build_model.trunk_share = 1.5',), 'trunk_share is 1.5'),
    (("dhpe.build_model.keypoint_net_name = 'cpm'",), 'keypoint_net_name')])
def test_errors(params, message):
  with pytest.raises(errors.UserError, match=message):
    build(*params)


@pytest.mark.slow
def test_learns_one_batch(batch):
  model = build('mesh_regressor.hidden = (64,)', 'loss_weights.heatmap = 50.0')
  model.compile(optimizer=tf.keras.optimizers.Adam(3e-3))
  step = tf.function(lambda: model.train_step(batch))
  logs = []
  for _ in range(190):
    model.reset_metrics()
    logs.append({name: float(value) for name, value in step().items()})
  assert logs[-1]['loss'] < 0.2 * logs[0]['loss']
  assert logs[-1]['error_2d_px'] < 0.3 * logs[0]['error_2d_px']
  assert logs[-1]['error_heatmap_px'] < 6 * 256 / 224
  assert logs[-1]['iou'] > logs[0]['iou']
  assert logs[0]['gate_open'] == 0 and logs[-1]['gate_open'] > 0.5
  # The feature loss has not made all pictures look alike.
  assert logs[-1]['feature_spread'] > 0.3


def test_evaluation_changes_nothing(model, batch):
  before = [weight.copy() for weight in model.get_weights()]
  logs = model.test_step(batch)
  assert {'loss', 'heatmap_loss', 'error_3d_mm', 'iou', 'gate_open'} <= set(logs)
  for got, expected in zip(model.get_weights(), before):
    np.testing.assert_array_equal(got, expected)


def test_keras_fit_takes_the_pipelines_batches(batch):
  model = build()
  model.compile(optimizer=tf.keras.optimizers.Adam(1e-4), run_eagerly=True)
  data = tf.data.Dataset.from_tensors({name: value for name, value in batch.items() if name != 'id'})
  history = model.fit(data, validation_data=data, verbose=0).history
  assert np.isfinite(history['val_loss'][0])


def test_keeps_the_contracts_of_the_task(model):
  method.check(model)
  assert set(model.input_specs) == {'image'} and model.can_refine


def test_mixed_precision(batch):
  tf.keras.mixed_precision.set_global_policy('mixed_float16')
  try:
    model = build()
    model.compile(optimizer=tf.keras.optimizers.Adam(1e-4))
    assert isinstance(model.optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    logs = model.train_step(batch)
    assert np.isfinite(float(logs['loss']))
    assert all(value.dtype == tf.float32 for value in tf.nest.flatten(model(batch['image'])))
  finally:
    tf.keras.mixed_precision.set_global_policy('float32')


@pytest.mark.slow
def test_two_replicas_step_like_one():
  # Run apart, because the number of logical CPUs is fixed once TensorFlow has started.
  program = '''if True:
    import dhpe_tf
    import tensorflow as tf
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0],
                                               [tf.config.LogicalDeviceConfiguration()] * 2)
    import numpy as np
    from tests.methods.dhpe import example_batch, test_model
    batch = example_batch.make_batch()
    del batch['id']
    results = []
    for devices in (['CPU:0'], ['CPU:0', 'CPU:1']):
      strategy = tf.distribute.MirroredStrategy(devices)
      with strategy.scope():
        model = test_model.build('backbone.freeze_batch_norm = True')
        model.compile(optimizer=tf.keras.optimizers.SGD(0.01, global_clipnorm=0.1))
      data = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(batch).batch(4).repeat(2))
      step = tf.function(lambda part: strategy.run(model.train_step, [part]))
      for part in data:
        logs = step(part)
      results.append((model.get_weights(), {mean.name: float(mean.result()) for mean in model.metrics}))
    for one, two in zip(*(weights for weights, _ in results)):
      np.testing.assert_allclose(one, two, rtol=1e-3, atol=2e-6)
    for name, one in results[0][1].items():
      if name not in ('feature_spread', 'feature_active'):  # figures of the replica's own part of the batch
        np.testing.assert_allclose(one, results[1][1][name], rtol=1e-3, err_msg=name)
    '''
  done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-3000:]


def test_the_regressors_sum_and_the_parameters_lead_to_each_other(model):
  estimate = tf.random.stateless_normal([3, 63], [1, 2])
  h = model.to_parameters(estimate)
  # Only the scale is another: a multiple of the mean hand's, above zero.
  unit = model.to_parameters(tf.zeros([1, 63]))[0, 59]
  np.testing.assert_allclose(h[:, 59], unit * tf.exp(estimate[:, 59]), rtol=1e-5)
  np.testing.assert_allclose(model.to_parameters.invert(h), estimate, atol=1e-5)


@pytest.mark.slow
def test_joint_training_does_not_collapse_the_features(batch):
  """Eq. 2 alone is content with constant features; with the other terms they must stay apart."""
  model = build('dhpe.Objective.gated = False')
  assert 'feature' in model.objective.weights
  model.compile(optimizer=tf.keras.optimizers.Adam(2e-3, jit_compile=False))
  step = tf.function(model.train_step)
  spread = []
  for _ in range(60):
    model.reset_metrics()
    spread.append(float(step(batch)['feature_spread']))
  assert min(spread) > spread[0] / 2


def test_the_trunk_takes_a_share_of_the_steps():
  variables, share = build('dhpe.build_model.trunk_share = 0.25').slowed
  names = {variable.name.split('/')[0] for variable in variables}
  assert share == 0.25 and 'conv1_conv' in names and not names & {'offset', 'heatmaps', 'mix'}
  assert build().slowed[1] == 1


@pytest.mark.slow
def test_feature_units_stay_active():
  """At a constant 5e-4 the first steps, all toward the mean hand, must not drive units of the head below zero."""
  configuration.load(['methods/dhpe_light.gin'], ['IMAGE_SIZE = 64'])
  tf.keras.utils.set_random_seed(1)
  model = dhpe_model.build_model(TASK)
  model.compile(optimizer=tf.keras.optimizers.Adam(5e-4, global_clipnorm=1.0))
  shares.slow_down(model.optimizer, *model.slowed)
  step, logs = tf.function(model.train_step), []
  batches = [{name: value for name, value in example_batch.make_batch(8, seed=seed).items() if name != 'id'}
             for seed in range(8)]
  for number in range(40):
    model.reset_metrics()
    logs.append({name: float(value) for name, value in step(batches[number % 8]).items()})
  # Without normalisation: 0.34 and 0.17.
  assert min(log['feature_active'] for log in logs) > 0.5
  assert logs[-1]['feature_rms'] > 0.4
  # The trunk must not saturate either, or all pictures would have the same features.
  assert logs[-1]['feature_spread'] > 0.2
