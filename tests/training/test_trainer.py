import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.experiment import Experiment
from dhpe_tf.methods import method, steps
from dhpe_tf.training.checkpoints import restore_weights
from dhpe_tf.training.settings import TrainSettings
from dhpe_tf.training.trainer import Trainer
from tests.training import tiny


@pytest.fixture(autouse=True)
def float32_policy():
  yield
  tf.keras.mixed_precision.set_global_policy('float32')


def train(model_dir, **changes):
  trainer = tiny.trainer(model_dir, **changes)
  return trainer, trainer.run()


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
  """Weights after an unbroken training."""
  trainer, logs = train(tmp_path_factory.mktemp('unbroken'))
  return trainer.model.get_weights(), logs


def assert_same(weights, expected):
  for value, wanted in zip(weights, expected):
    np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-7)


def test_the_loss_falls_and_the_model_dir_is_complete(tmp_path):
  _, logs = train(tmp_path, epochs=8)
  first = train(tmp_path / 'other', epochs=1)[1]
  assert logs['loss'] < first['loss'] and set(logs) == {'loss', 'val_loss'}
  assert {'checkpoints', 'logs', 'final', 'architecture.json'} <= set(os.listdir(tmp_path))
  assert json.loads((tmp_path / 'final').read_text())['step'] == 48
  assert os.listdir(tmp_path / 'logs' / 'train') and os.listdir(tmp_path / 'logs' / 'eval')
  assert len(list((tmp_path / 'checkpoints').glob('*.index'))) == 2


def test_a_killed_training_ends_like_an_unbroken_one(tmp_path, unbroken):
  # Before the first checkpoint; at the end of an epoch, before its evaluation; within the next epoch.
  for step in (3, 6, 11):
    done = subprocess.run([sys.executable, '-m', 'tests.training.tiny', str(tmp_path), str(step)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
  (tmp_path / 'checkpoints').mkdir(exist_ok=True)
  (tmp_path / 'checkpoints' / 'ckpt-9_temp').mkdir()  # as a kill during a save leaves it
  trainer, logs = train(tmp_path)
  assert_same(trainer.model.get_weights(), unbroken[0])
  assert logs['val_loss'] == pytest.approx(unbroken[1]['val_loss'], rel=1e-6)
  assert not list((tmp_path / 'checkpoints').glob('*_temp'))


def test_a_model_may_train_otherwise_from_an_epoch_on(tmp_path):
  class Changing(tiny.TinyModel):
    frozen, seen = False, []

    def begin_epoch(self, epoch):
      self.seen.append(epoch)
      before, self.frozen = self.frozen, epoch >= 1
      return before != self.frozen

    def train_step(self, batch):
      return self.test_step(batch) if self.frozen else super().train_step(batch)

  def build_model():
    return tiny.build_tiny_model(kind=Changing, dropout=0.)

  tiny.trainer(tmp_path, build_model, epochs=1).run()
  trainer = tiny.trainer(tmp_path, build_model, epochs=4)
  before = trainer.model.get_weights()
  trainer.run()
  assert Changing.seen == [0, 1, 2, 3]
  for one, two in zip(before, trainer.model.get_weights()):
    np.testing.assert_array_equal(one, two)


def test_tells_what_a_method_warns_of(tmp_path, capsys):
  class Warning(tiny.TinyModel):
    def warnings(self, logs):
      return [f'the loss is still {logs["loss"]:.0%}, {sorted(logs)}'] if logs['loss'] > 0 else []

  experiment = Experiment(tiny.TinyTask, lambda task: tiny.build_tiny_model(kind=Warning), tiny.build_tiny_dataset)
  Trainer(experiment, TrainSettings(epochs=2, strategy='one'), str(tmp_path)).run()
  told = [line for line in capsys.readouterr().out.splitlines() if line.startswith('warning: ')]
  assert len(told) == 2 and all("['loss', 'val_loss']" in line for line in told), told


def test_stop_saves_and_goes_on_later(tmp_path, unbroken):
  class StopAt(tf.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
      if batch == 7:
        trainer.stop()
  trainer = tiny.trainer(tmp_path, callbacks=[lambda *_: StopAt()], checkpoint_steps=1000)
  trainer.run()
  assert not (tmp_path / 'final').exists()
  assert_same(train(tmp_path)[0].model.get_weights(), unbroken[0])


def _killed_before_final(model_dir, **changes):
  """Trains to the end, but for the file `final`."""
  trainer = tiny.trainer(model_dir, **changes)

  def die():
    raise ConnectionError('power cut')
  trainer._mark_final = die
  with pytest.raises(ConnectionError):
    trainer.run()


def test_a_kill_before_final_costs_no_means(tmp_path):
  train(tmp_path / 'shorter', epochs=1)
  shutil.copytree(tmp_path / 'shorter', tmp_path / 'unbroken')
  logs = train(tmp_path / 'unbroken')[1]
  wanted = {'step': 12, 'epochs': 2, **logs}
  assert json.loads((tmp_path / 'unbroken' / 'final').read_text()) == wanted
  # None; that of the shorter training; a damaged one.
  for number, before in enumerate((None, (tmp_path / 'shorter' / 'final').read_text(), '{"step": 12')):
    folder = tmp_path / f'broken{number}'
    shutil.copytree(tmp_path / 'shorter', folder)
    (folder / 'final').unlink()
    if before:
      (folder / 'final').write_text(before)
    _killed_before_final(folder)
    train(folder)
    assert json.loads((folder / 'final').read_text()) == wanted


def test_a_checkpoint_of_an_earlier_version_leaves_the_means_of_final(tmp_path):
  trainer, _ = train(tmp_path)
  final = (tmp_path / 'final').read_text()
  parts = trainer._checkpoints._parts
  checkpoint = tf.train.Checkpoint(**parts)
  tf.train.CheckpointManager(checkpoint, tmp_path / 'checkpoints', 1).save(checkpoint_number=12, check_interval=False)
  train(tmp_path)
  assert (tmp_path / 'final').read_text() == final


@pytest.mark.parametrize('removed', ['.*', '.index', '.data*'])
def test_a_training_goes_back_when_its_newest_checkpoint_is_removed(tmp_path, unbroken, removed, capsys):
  train(tmp_path)
  for path in (tmp_path / 'checkpoints').glob(f'ckpt-12{removed}'):
    path.unlink()
  restored = restore_weights(str(tmp_path), tiny.build_tiny_model())
  assert restored.endswith('ckpt-8')
  assert len(capsys.readouterr().err.splitlines()) == 1
  trainer, logs = train(tmp_path)
  error = capsys.readouterr().err.splitlines()
  assert len(error) == 1 and 'ckpt-12 is gone or not whole; going back to' in error[0] and 'ckpt-8' in error[0]
  assert_same(trainer.model.get_weights(), unbroken[0])
  assert logs == pytest.approx(unbroken[1], rel=1e-6)
  assert tf.train.latest_checkpoint(tmp_path / 'checkpoints').endswith('ckpt-12')


@pytest.mark.parametrize('put', [os.mkfifo, lambda path: path.symlink_to(path)])
@pytest.mark.parametrize('name', ['ckpt-12.index', 'ckpt-12.data-00000-of-00001'])
def test_a_pipe_or_circular_link_in_place_of_a_checkpoints_file_is_none(tmp_path, name, put):
  train(tmp_path)
  (tmp_path / 'checkpoints' / name).unlink()
  put(tmp_path / 'checkpoints' / name)
  assert restore_weights(str(tmp_path), tiny.build_tiny_model()).endswith('ckpt-8')


@pytest.mark.parametrize('step', [3, 9, 12])
def test_the_final_means_of_a_resumed_training_cover_its_last_epoch(tmp_path, unbroken, step):
  class StopAt(tf.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
      if batch == step:
        trainer.stop()
  trainer = tiny.trainer(tmp_path, callbacks=[lambda *_: StopAt()])
  trainer.run()
  assert train(tmp_path)[1] == pytest.approx(unbroken[1], rel=1e-6)
  final = (tmp_path / 'final').read_text()
  assert json.loads(final)['loss'] == pytest.approx(unbroken[1]['loss'], rel=1e-6)
  train(tmp_path)
  assert (tmp_path / 'final').read_text() == final


def test_a_finished_training_goes_on_when_asked_for_more_epochs(tmp_path, unbroken):
  constant = {'build_optimizer': lambda steps: tf.keras.optimizers.Adam(1e-3)}
  train(tmp_path, epochs=1, **constant)
  continued = train(tmp_path, epochs=3, **constant)[0].model.get_weights()
  assert_same(continued, train(tmp_path / 'other', epochs=3, **constant)[0].model.get_weights())


def test_a_training_goes_on_with_other_terms_of_the_loss(tmp_path):
  class WithSize(tiny.TinyModel):
    def losses(self, batch, outputs, training):
      size = tf.reduce_mean(outputs['values']**2, axis=[1, 2])
      return steps.Losses(self.losses_of(batch, outputs) + size, {'size': size})

  def with_size():
    model = tiny.build_tiny_model(kind=WithSize)
    model.watch(['size'], [])
    return model
  train(tmp_path, epochs=1)
  trainer, logs = train(tmp_path, epochs=2, build_model=with_size)
  assert logs['size_loss'] > 0 and int(trainer.model.optimizer.iterations) == 12
  # And back, from a checkpoint that holds a term which is not wanted any more.
  assert 'size_loss' not in train(tmp_path, epochs=3)[1]


def test_two_replicas_give_the_weights_of_one(tmp_path):
  # Run apart, because the number of logical CPUs is fixed once TensorFlow has started.
  program = '''if True:
    import dhpe_tf, sys
    import tensorflow as tf
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0],
                                               [tf.config.LogicalDeviceConfiguration()] * 2)
    import numpy as np
    from tests.training import tiny
    results = []
    for strategy in ('one', 'mirrored'):
      trainer = tiny.trainer(f'{sys.argv[1]}/{strategy}', lambda: tiny.build_tiny_model(dropout=0.),
                             strategy=strategy)
      logs = trainer.run()
      results.append(trainer.model.get_weights() + [logs['val_loss']])
    for one, two in zip(*results):
      np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    tiny.trainer(f'{sys.argv[1]}/mirrored', lambda: tiny.build_tiny_model(dropout=0.), strategy='mirrored')
    '''
  done = subprocess.run([sys.executable, '-c', program, str(tmp_path)], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-3000:]


def test_nan_stops_with_the_batch_saved(tmp_path):
  with pytest.raises(UserError, match='not a number at step 4; its batch .*nan_batch_step_4.npz'):
    train(tmp_path, build_dataset=lambda *a, **k: tiny.build_tiny_dataset(*a, bad=3, **k), checkpoint_steps=1)
  with np.load(tmp_path / 'nan_batch_step_4.npz') as saved:
    assert np.isnan(saved['batch/target']).any() and not np.isnan(saved['before/target']).any()
    assert saved['batch/id'][0] == b'0-12'
  # The weights saved last are good ones.
  model = tiny.build_tiny_model()
  restore_weights(str(tmp_path), model)
  assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_another_architecture_is_refused(tmp_path):
  train(tmp_path, epochs=1)
  with pytest.raises(UserError, match="another architecture .*weight 0 is .*48, 3.* there and .*48, 5.* here"):
    train(tmp_path, build_model=lambda: tiny.build_tiny_model(units=5))
  with pytest.raises(UserError, match='another architecture'):
    restore_weights(str(tmp_path), tiny.build_tiny_model(units=5))


def test_weights_are_restored_without_the_trainer(tmp_path):
  trainer, _ = train(tmp_path, epochs=1)
  model = tiny.build_tiny_model()
  restore_weights(str(tmp_path), model)
  assert_same(model.get_weights(), trainer.model.get_weights())


def test_early_stopping(tmp_path):
  _, logs = train(tmp_path, epochs=20, patience=2, build_optimizer=lambda steps: tf.keras.optimizers.SGD(0.))
  assert json.loads((tmp_path / 'final').read_text())['epochs'] == 3


def test_mixed_precision_and_xla(tmp_path):
  _, logs = train(tmp_path, precision='mixed_bfloat16', jit_compile=True,
                  build_model=lambda: tiny.build_tiny_model(dropout=0.))
  assert np.isfinite(logs['val_loss'])


@pytest.mark.parametrize('changes, message', [
    (dict(epochs=0), 'train.epochs is 0'), (dict(epochs=int), 'train.epochs is .*int.*; it must be at least 1'),
    (dict(precision='half'), "train.precision is 'half'"),
    (dict(strategy='two'), "train.strategy is 'two'; it must be one of auto"),
    (dict(strategy='multi_worker'), 'TF_CONFIG'),
    (dict(monitor='val_loss'), "train.monitor is 'val_loss'; the model reports loss"),
    (dict(steps_per_epoch=7), 'the training data end after 6 of 7 batches'),
    (dict(build_dataset=lambda *a, **k: tiny.build_tiny_dataset(*a, **k).filter(lambda b: True)),
     'set train.steps_per_epoch'),
    (dict(build_dataset=lambda *a, **k: tiny.build_tiny_dataset(*a, **k).take(6 * k['training'])),
     'hold not one batch'),
])
def test_bad_settings_are_one_line(tmp_path, changes, message):
  with pytest.raises(UserError, match=message) as error:
    train(tmp_path, **changes)
  assert '\n' not in str(error.value).split('\n  In call to configurable')[0]


def test_a_model_dir_without_checkpoint(tmp_path):
  with pytest.raises(UserError, match='no such folder'):
    restore_weights(str(tmp_path / 'none'), tiny.build_tiny_model())
  with pytest.raises(UserError, match='holds no checkpoint; run python -m dhpe_tf.train'):
    restore_weights(str(tmp_path), tiny.build_tiny_model())


def test_checkpoints_name_layers_and_old_ones_without_names_still_restore(tmp_path):
  model = train(tmp_path)[0].model
  manager = tf.train.CheckpointManager(tf.train.Checkpoint(model=model), str(tmp_path / 'old' / 'checkpoints'), 1)
  manager.save()
  other = tiny.build_tiny_model()
  restore_weights(str(tmp_path / 'old'), other)
  assert_same(other.get_weights(), model.get_weights())


def test_what_learns_nothing_is_not_trained(tmp_path):
  class Constant(method.Method):
    task, input_specs, output_specs = tiny.TASK, {}, {'values': tf.TensorSpec([None, 21, 2])}
  with pytest.raises(UserError, match='Constant has nothing to train; evaluate it by'):
    tiny.trainer(tmp_path, Constant)


@pytest.mark.parametrize('name, fault', [
    ('architecture.json', 'architecture.json: '),
    ('checkpoints/ckpt-6.index', 'ckpt-6: cannot be restored'),
    ('checkpoints/ckpt-6.data-00000-of-00001', 'ckpt-6: cannot be restored')])
def test_damaged_files_are_named(tmp_path, name, fault):
  train(tmp_path, epochs=1)
  content = (tmp_path / name).read_bytes()
  for damaged in (b'', b'garbage \xff {', content[:len(content) // 2]):
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(UserError, match=fault) as caught:
      restore_weights(str(tmp_path), tiny.build_tiny_model())
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('damaged', [b'', b'garbage \xff {'])
def test_a_damaged_list_of_checkpoints_is_done_without(tmp_path, damaged):
  train(tmp_path, epochs=1)
  (tmp_path / 'checkpoints' / 'checkpoint').write_bytes(damaged)
  assert restore_weights(str(tmp_path), tiny.build_tiny_model()).endswith('ckpt-6')


def test_an_error_before_the_first_step_leaves_no_bar(tmp_path, capsys):
  def faulty(*unused):
    raise UserError('a.tfrecord.gz is damaged')
  settings = TrainSettings(epochs=1, strategy='one', callbacks=[faulty])
  with pytest.raises(UserError, match='damaged'):
    Trainer(Experiment(tiny.TinyTask, lambda task: tiny.build_tiny_model(), tiny.build_tiny_dataset), settings,
            str(tmp_path))
  assert 'step/s' not in capsys.readouterr().err
