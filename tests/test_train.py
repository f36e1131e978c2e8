import os
import resource
import signal
import subprocess
import sys
import time

import gin
import pytest
import tensorflow as tf

from dhpe_tf import command_line, train
from tests.training import tiny  # noqa: F401  (registers the tiny model for gin)

CONFIG = """
Experiment.task = @TinyTask
Experiment.method = @build_tiny_model
Experiment.dataset = @build_tiny_dataset
train.epochs = 2
train/build_tiny_dataset.count = 8
"""


@pytest.fixture
def config(tmp_path):
  path = tmp_path / 'tiny.gin'
  path.write_text(CONFIG)
  yield str(path)
  gin.clear_config()


def run(model_dir, *arguments):
  return command_line.call(train.main, ['train', f'--model_dir={model_dir}', *arguments], train._FLAGS)


def test_trains_and_goes_on_from_its_folder_alone(tmp_path, config):
  model_dir = tmp_path / 'model'
  assert run(model_dir, f'--gin_file={config}') == 0
  assert 'build_tiny_dataset.count = 8' in (model_dir / 'config.gin').read_text()
  assert 'build_optimizer.clip_norm' in (model_dir / 'operative_config.gin').read_text()
  assert run(model_dir, '--gin_param=train.epochs = 3') == 0
  assert '"step": 6' in (model_dir / 'final').read_text()


@pytest.mark.parametrize('arguments, message', [
    (['--gin_param=trian.epochs = 3'], "No configurable matching 'trian'; did you mean train"),
    (['--gin_param=train.epoch = 3'], 'epoch'),
    (['--gin_param=train.epochs = 0'], 'train.epochs is 0; it must be at least 1.\n'),
    (['--gin_param=eval/build_tiny_model.units = 4'],
     'these settings reach nothing: eval/build_tiny_model.units; correct or remove them'),
])
def test_a_misspelt_setting_is_named(tmp_path, config, arguments, message, capsys):
  assert run(tmp_path / 'model', f'--gin_file={config}', *arguments) == 1
  error = capsys.readouterr().err
  assert message in error and error.splitlines()[-1].startswith('error: ')


def test_another_architecture_in_the_model_dir(tmp_path, config, capsys):
  assert run(tmp_path / 'model', f'--gin_file={config}') == 0
  before = (tmp_path / 'model' / 'config.gin').read_text()
  assert run(tmp_path / 'model', f'--gin_file={config}', '--gin_param=build_tiny_model.units = 4') == 1
  assert 'another architecture' in capsys.readouterr().err
  assert (tmp_path / 'model' / 'config.gin').read_text() == before


def test_no_configuration(tmp_path, capsys):
  assert run(tmp_path / 'model') == 1
  assert 'give a configuration' in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_leaves_the_checkpoint_before(tmp_path, config, capsys):
  assert run(tmp_path / 'model', f'--gin_file={config}', '--gin_param=train.epochs = 1') == 0
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
  try:
    status = run(tmp_path / 'model', '--gin_param=train.epochs = 2')
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  error = capsys.readouterr().err.splitlines()[-1]
  assert status == 1 and error.startswith('error: cannot write') and 'disk space' in error
  assert not [name for name in os.listdir(tmp_path / 'model') if 'tmp' in name]
  assert tf.train.latest_checkpoint(str(tmp_path / 'model' / 'checkpoints')).endswith('-2')
  assert run(tmp_path / 'model', '--gin_param=train.epochs = 2') == 0


def test_a_signal_ends_in_good_order(tmp_path, config, capsys):
  class Interrupt(tf.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
      os.kill(os.getpid(), signal.SIGTERM)

  gin.external_configurable(lambda *_: Interrupt(), 'interrupt', module='test')
  assert run(tmp_path / 'model', f'--gin_file={config}', '--gin_param=train.callbacks = [@interrupt]') == 130
  assert tf.train.latest_checkpoint(str(tmp_path / 'model' / 'checkpoints')).endswith('-1')
  assert 'the same command goes on' in capsys.readouterr().out


def test_a_second_training_is_refused_until_the_first_is_killed(tmp_path, config, capsys):
  model_dir = tmp_path / 'model'
  arguments = [f'--gin_file={config}', '--gin_param=train.epochs = 1000000',
               '--gin_param=train.checkpoint_minutes = 0.0001']
  with subprocess.Popen([sys.executable, '-m', 'dhpe_tf.train', '--import=tests.training.tiny',
                         f'--model_dir={model_dir}', *arguments], stderr=subprocess.DEVNULL) as first:
    try:
      deadline = time.monotonic() + 120
      while not (model_dir / 'checkpoints' / 'checkpoint').exists() and time.monotonic() < deadline:
        time.sleep(0.1)
      assert run(model_dir, *arguments) == 1
      error = capsys.readouterr().err.splitlines()
      assert len(error) == 1 and f'another training is at work in this folder (process {first.pid} on' in error[0]
    finally:
      first.send_signal(signal.SIGKILL)
  reached = int(tf.train.latest_checkpoint(str(model_dir / 'checkpoints')).rpartition('-')[2])
  assert run(model_dir, f'--gin_param=train.epochs = {reached // 2 + 2}') == 0
  assert f'"step": {2 * (reached // 2 + 2)}' in (model_dir / 'final').read_text()
