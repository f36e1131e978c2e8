import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.training import averaging, schedules
from dhpe_tf.training.checkpoints import restore_weights
from tests.training import tiny

needs_addons = pytest.mark.skipif(not averaging.has_addons(), reason='tensorflow-addons ends with Python 3.11')
DECAY = 0.8


def build(steps, **options):
  return schedules.build_optimizer(steps, lambda steps: schedules.constant_rate(steps, 0.05), averaging_decay=DECAY,
                                   **options)


@pytest.fixture(autouse=True)
def float32_policy():
  yield
  tf.keras.mixed_precision.set_global_policy('float32')


@pytest.fixture(params=['addons', 'keras'])
def either(request, monkeypatch):
  """Runs a test with tensorflow-addons, and as on a Python that has none."""
  if request.param == 'addons' and not averaging.has_addons():
    pytest.skip('tensorflow-addons ends with Python 3.11')
  monkeypatch.setattr(averaging, 'has_addons', lambda: request.param == 'addons')
  return request.param


def descend(optimizer, steps=5):
  """Weights after each step on a fixed sequence of gradients, and the last average."""
  variable = tf.Variable([1., -2.])
  averaging.create_state(optimizer, [variable])
  seen = [variable.numpy()]
  for step in range(steps):
    optimizer.apply_gradients([(tf.constant([0.3 + step, 2. - step]), variable)])
    seen.append(variable.numpy())
  (_, average), = averaging.Averages(optimizer, [variable]).pairs
  return seen, average.numpy()


@pytest.mark.parametrize('name', ['adam', 'sgd', 'rmsprop'])
def test_the_average_is_the_known_one(either, name):
  seen, average = descend(build(10, name=name, clip_norm=1.))
  expected = seen[0]
  for weights in seen[1:]:
    expected = DECAY * expected + (1 - DECAY) * weights
  np.testing.assert_allclose(average, expected, rtol=1e-5)
  assert not np.allclose(average, seen[-1], rtol=1e-2)


@needs_addons
@pytest.mark.parametrize('name', ['adam', 'sgd', 'rmsprop'])
def test_addons_and_keras_agree(name, monkeypatch):
  optimizer = build(10, name=name, clip_norm=1.)
  assert type(optimizer).__module__.startswith('tensorflow_addons')
  found = descend(optimizer)
  monkeypatch.setattr(averaging, 'has_addons', lambda: False)
  for value, other in zip(found, descend(build(10, name=name, clip_norm=1.))):
    np.testing.assert_allclose(value, other, rtol=1e-4)


def test_weights_decay_too():
  seen, average = descend(build(10, weight_decay=0.5))
  assert np.all(np.isfinite(average))


@pytest.mark.parametrize('decay', [1., -0.1])
def test_a_bad_decay_is_named(decay):
  with pytest.raises(UserError, match='averaging_decay is'):
    schedules.build_optimizer(10, averaging_decay=decay)


def train(model_dir, **changes):
  trainer = tiny.trainer(model_dir, build_optimizer=build, **changes)
  return trainer, trainer.run()


def averages_of(trainer):
  return [average.numpy() for _, average in trainer._averages.pairs]


def trained(model):
  return [weight.numpy() for weight in model.trainable_weights]


def assert_same(values, expected):
  assert values and len(values) == len(expected)
  for value, wanted in zip(values, expected):
    np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-7)


def test_checkpoints_and_evaluations_hold_the_average(either, tmp_path):
  trainer, logs = train(tmp_path)
  model = tiny.build_tiny_model()
  restore_weights(str(tmp_path), model)
  assert_same(trained(model), averages_of(trainer))
  assert any(not np.allclose(a, b, rtol=1e-3) for a, b in zip(trained(model), trained(trainer.model)))
  data = [batch for batch in trainer._experiment.eval_data()]
  expected = np.mean([np.mean(model.losses_of(batch, model(batch['image']))) for batch in data])
  assert logs['val_loss'] == pytest.approx(expected, rel=1e-5)


def test_a_resumed_training_ends_like_an_unbroken_one(either, tmp_path):
  trainer, logs = train(tmp_path / 'unbroken', epochs=2)

  class StopAt(tf.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
      if batch == 7:
        first.stop()
  first = tiny.trainer(tmp_path / 'broken', build_optimizer=build, callbacks=[lambda *_: StopAt()])
  first.run()
  again, found = train(tmp_path / 'broken')
  assert_same(trained(again.model), trained(trainer.model))
  assert_same(averages_of(again), averages_of(trainer))
  assert found['val_loss'] == pytest.approx(logs['val_loss'], rel=1e-6)


@needs_addons
@pytest.mark.parametrize('precision', ['float32', 'mixed_float16'])
@pytest.mark.parametrize('first', [True, False])
def test_the_other_kind_of_averages_is_refused_with_a_remedy(tmp_path, monkeypatch, first, precision):
  monkeypatch.setattr(averaging, 'has_addons', lambda: first)
  train(tmp_path, precision=precision)
  monkeypatch.setattr(averaging, 'has_addons', lambda: not first)
  with pytest.raises(UserError, match="its optimizer is .*, and here it is .* name this one as train.initial_weights"):
    train(tmp_path, precision=precision, epochs=3)
  restore_weights(str(tmp_path), tiny.build_tiny_model())  # what evaluation and export do
  again, _ = train(tmp_path / 'again', initial_weights=str(tmp_path), precision=precision)
  assert averages_of(again)
  # The kind that began it goes on.
  monkeypatch.setattr(averaging, 'has_addons', lambda: first)
  train(tmp_path, precision=precision, epochs=3)


def test_mixed_precision(either, tmp_path):
  trainer, logs = train(tmp_path, precision='mixed_float16')
  assert isinstance(trainer.model.optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
  assert np.isfinite(logs['val_loss'])
  model = tiny.build_tiny_model()
  restore_weights(str(tmp_path), model)
  assert_same(trained(model), averages_of(trainer))


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['addons', 'keras'])
def test_two_replicas_average_like_one(tmp_path, kind):
  if kind == 'addons' and not averaging.has_addons():
    pytest.skip('tensorflow-addons ends with Python 3.11')
  # Run apart, because the number of logical CPUs is fixed once TensorFlow has started.
  program = '''if True:
    import dhpe_tf, sys
    import tensorflow as tf
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0],
                                               [tf.config.LogicalDeviceConfiguration()] * 2)
    import numpy as np
    from dhpe_tf.training import averaging
    from tests.training import test_averaging, tiny
    averaging.has_addons = lambda: sys.argv[2] == 'addons'
    results = []
    for strategy in ('one', 'mirrored'):
      def start():
        return tiny.trainer(f'{sys.argv[1]}/{strategy}', lambda: tiny.build_tiny_model(dropout=0.),
                            strategy=strategy, build_optimizer=test_averaging.build)
      trainer = start()
      logs = trainer.run()
      results.append(test_averaging.averages_of(trainer) + trainer.model.get_weights() + [logs['val_loss']])
    for one, two in zip(*results):
      np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    resumed = start()
    test_averaging.assert_same(test_averaging.averages_of(resumed), test_averaging.averages_of(trainer))
    '''
  done = subprocess.run([sys.executable, '-c', program, str(tmp_path), kind], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-3000:]
