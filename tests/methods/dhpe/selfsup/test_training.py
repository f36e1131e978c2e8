"""New instances in a training: none before their epoch, the same when taken up again, on replicas, in 16 bits."""
import subprocess
import sys

import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import configuration
from dhpe_tf.methods.dhpe import model as dhpe_model
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK

BATCH = 4
FEW = ('selfsup.Grounds.pool_size = 2', 'backgrounds.Backgrounds.pool_size = 2')
# Whatever a model without training predicts may have offspring.
OFFSPRING = ('dhpe.build_model.offspring = @selfsup.Offspring', 'selfsup.Offspring.parents_per_batch = 2',
             'selfsup.plausible.least_iou = 0.0', *FEW)


def build(*params):
  """The tiny model, compiled, with further bindings."""
  configuration.load(['models/tiny.gin'], params)
  tf.keras.utils.set_random_seed(1)
  model = dhpe_model.build_model(TASK)
  model.compile(optimizer=tf.keras.optimizers.Adam(1e-3))
  return model


def make_batch(seed=0):
  batch = example_batch.make_batch(BATCH, seed=seed)
  del batch['id']
  return batch


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


@pytest.fixture(scope='module')
def batch():
  return make_batch()


def train(model, batch, epochs):
  """One step an epoch; the last logs."""
  for epoch in epochs:
    model.begin_epoch(epoch)
    logs = model.train_step(batch)
  return {name: float(value) for name, value in logs.items()}


@pytest.mark.slow
def test_nothing_happens_before_the_start(batch):
  plain, waiting = build(), build(*OFFSPRING, 'selfsup.Offspring.start_epoch = 3')
  train(plain, batch, range(3))
  logs = train(waiting, batch, range(3))
  assert logs['offspring_used'] == 0
  for one, two in zip(plain.get_weights(), waiting.get_weights()):
    np.testing.assert_array_equal(one, two)
  train(plain, batch, [3])
  logs = train(waiting, batch, [3])
  assert logs['offspring_used'] > 0
  assert any(np.any(one != two) for one, two in zip(plain.get_weights(), waiting.get_weights()))


@pytest.mark.slow
def test_same_steps_from_the_same_checkpoint(batch, tmp_path):
  """What is drawn depends on the step alone: a training taken up again draws what an unbroken one draws."""
  whole = build(*OFFSPRING, 'selfsup.Offspring.start_epoch = 1')
  train(whole, batch, range(2))
  path = tf.train.Checkpoint(model=whole).save(str(tmp_path / 'ckpt'))
  train(whole, batch, [2])
  again = build(*OFFSPRING, 'selfsup.Offspring.start_epoch = 1')
  again.optimizer.build(again.trainable_variables)
  tf.train.Checkpoint(model=again).restore(path).assert_existing_objects_matched()
  train(again, batch, [2])
  for one, two in zip(whole.get_weights(), again.get_weights()):
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def test_no_gradient_reaches_the_seeds(batch):
  model = build(*OFFSPRING, 'selfsup.Offspring.start_epoch = 0')
  model.begin_epoch(0)
  with tf.GradientTape() as tape:
    mixed = model.offspring(batch, lambda images: model(images, training=False), tf.constant(0))
    loss = sum(tf.reduce_sum(mixed[name][BATCH:]) for name in ('image', 'mask', 'joints_3d', 'shape'))
  assert all(gradient is None for gradient in tape.gradient(loss, model.trainable_variables))
  assert mixed['image'].shape == (BATCH + 6, 64, 64, 3)
  for name, value in batch.items():
    np.testing.assert_array_equal(mixed[name][:BATCH], value, err_msg=name)


@pytest.mark.parametrize('parents, born', [('None', 3 * BATCH), ('0', 0), ('3', 9)])
def test_number_of_parents(batch, parents, born):
  model = build(*OFFSPRING, 'selfsup.Offspring.start_epoch = 0', f'selfsup.Offspring.parents_per_batch = {parents}')
  model.begin_epoch(0)
  assert model.offspring.active == (born > 0)
  assert len(model.extended(batch)['image']) == BATCH + born


@pytest.mark.slow
def test_left_out_instances_teach_nothing(batch):
  """With all seeds implausible a step is that of the plain model (the trunk's statistics apart, which are frozen)."""
  frozen = 'backbone.freeze_batch_norm = True'
  plain = build(frozen)
  none = build(frozen, *OFFSPRING, 'selfsup.Offspring.start_epoch = 0', 'selfsup.plausible.least_size = 100.0')
  for model in (plain, none):
    model.compile(optimizer=tf.keras.optimizers.SGD(0.01))
  logs = train(plain, batch, [0])
  with_offspring = train(none, batch, [0])
  assert with_offspring.pop('offspring_used') == 0
  for name, value in logs.items():
    np.testing.assert_allclose(with_offspring[name], value, rtol=1e-4, err_msg=name)
  for one, two in zip(plain.get_weights(), none.get_weights()):
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_mixed_precision(batch):
  tf.keras.mixed_precision.set_global_policy('mixed_float16')
  try:
    logs = train(build(*OFFSPRING, 'selfsup.Offspring.start_epoch = 0'), batch, [0])
    assert np.isfinite(logs['loss']) and logs['offspring_used'] == 1
  finally:
    tf.keras.mixed_precision.set_global_policy('float32')


@pytest.mark.slow
def test_replicas_make_their_own():
  # Run apart, because the number of logical CPUs is fixed once TensorFlow has started.
  program = '''if True:
    import dhpe_tf
    import tensorflow as tf
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0],
                                               [tf.config.LogicalDeviceConfiguration()] * 2)
    import numpy as np
    from tests.methods.dhpe.selfsup import test_training
    batch = test_training.make_batch()
    strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
    with strategy.scope():
      model = test_training.build(*test_training.OFFSPRING, 'selfsup.Offspring.start_epoch = 0')
    model.begin_epoch(0)
    data = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(batch).batch(4).repeat(2))

    @tf.function
    def breed(part):
      return strategy.run(lambda x: model.offspring(x, lambda images: model(images, training=False),
                                                    model.optimizer.iterations), [part])
    step = tf.function(lambda part: strategy.run(model.train_step, [part]))
    for part in data:
      mixed, again = breed(part), breed(part)
      logs = strategy.experimental_local_results(step(part)['offspring_used'])
    shapes, same = ([x.numpy() for x in strategy.experimental_local_results(x['shape'])] for x in (mixed, again))
    assert [len(x) for x in shapes] == [5, 5], 'one seed and its three instances a replica'
    assert np.abs(shapes[0][2:] - shapes[1][2:]).min() > 0
    np.testing.assert_array_equal(shapes, same)
    assert float(logs[0]) == 1
    assert all(np.all(np.isfinite(weight)) for weight in model.get_weights())
    '''
  done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-3000:]
