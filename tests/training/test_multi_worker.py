"""Two processes on this machine train one model."""
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.training import strategies
from dhpe_tf.training.checkpoints import restore_weights
from tests.training import tiny

CONFIG = '''
import tests.training.tiny
Experiment.task = @TinyTask
Experiment.method = @build_tiny_model
Experiment.dataset = @build_tiny_dataset
train.callbacks = []
train.epochs = {epochs}
build_tiny_model.dropout = 0.0
build_optimizer.schedule = @constant_rate
'''


def free_ports(count):
  sockets = [socket.socket() for _ in range(count)]
  for each in sockets:
    each.bind(('127.0.0.1', 0))
  ports = [each.getsockname()[1] for each in sockets]
  for each in sockets:
    each.close()
  return ports


def start(config, model_dir, task=None):
  environment = {name: value for name, value in os.environ.items() if name != 'TF_CONFIG'}
  if task:
    environment['TF_CONFIG'] = json.dumps(task)
  return subprocess.Popen([sys.executable, '-m', 'dhpe_tf.train', f'--gin_file={config}', f'--model_dir={model_dir}',
                           '--import=tests.training.tiny'],
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*processes):
  """Waits for all; returns what each said of its last epoch."""
  said = [process.communicate(timeout=400) for process in processes]
  for process, (_, fault) in zip(processes, said):
    assert process.returncode == 0, fault[-3000:]
  return [text.strip().split('epoch ')[-1] for text, _ in said]


@pytest.mark.slow
def test_two_workers_train_like_one_process(tmp_path):
  for epochs in (1, 2):  # the second time they go on from the checkpoint of the first
    (tmp_path / 'tiny.gin').write_text(CONFIG.format(epochs=epochs))
    cluster = {'worker': [f'127.0.0.1:{port}' for port in free_ports(2)]}
    said = finish(*(start(tmp_path / 'tiny.gin', tmp_path / 'two', {
        'cluster': cluster, 'task': {'type': 'worker', 'index': index}}) for index in range(2)))
    assert 'val_loss' in said[0] and said[0] == said[1]
  finish(start(tmp_path / 'tiny.gin', tmp_path / 'one'))
  two, one = (json.loads((tmp_path / name / 'final').read_text()) for name in ('two', 'one'))
  assert two['step'] == one['step'] == 12
  assert two['val_loss'] == pytest.approx(one['val_loss'], rel=1e-5)
  weights = []
  for name in ('two', 'one'):
    model = tiny.build_tiny_model(dropout=0.)
    restore_weights(str(tmp_path / name), model)
    weights.append(model.get_weights())
  for value, wanted in zip(*weights):
    np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-6)
  # What the second worker wrote aside is gone again, and its curves are apart.
  assert not list((tmp_path / 'two').glob('checkpoints_*'))
  assert len(list((tmp_path / 'two' / 'logs' / 'train').iterdir())) == 2  # one a start
  assert (tmp_path / 'two' / 'logs_worker1').is_dir()


@pytest.mark.parametrize('text, message', [
    ('', 'needs the environment variable TF_CONFIG'),
    ('{"cluster": ', "names no task of a cluster .JSONDecodeError.*it must look like"),
    ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', 'names no task of a cluster .Index'),
    ('{"cluster": {"worker": ["a:1"]}}', 'names no task of a cluster .KeyError'),
])
def test_a_bad_tf_config_is_one_line(monkeypatch, text, message):
  monkeypatch.setenv('TF_CONFIG', text)
  with pytest.raises(UserError, match=message) as error:
    strategies.build_strategy('multi_worker')
  assert '\n' not in str(error.value)
