import json
import subprocess

import pytest

from dhpe_tf import command_line, quickstart


@pytest.fixture
def commands(monkeypatch):
  """The commands that are run; they do nothing."""
  seen = []

  def run(command, cwd, check):
    seen.append(command[2:])
    return subprocess.CompletedProcess(command, 1 if 'dhpe_tf.export' in command and len(seen) == 4 else 0)
  monkeypatch.setattr(quickstart.subprocess, 'run', run)
  return seen


def call(output, *arguments):
  return command_line.call(quickstart.main, ['quickstart', f'--output={output}', *arguments], quickstart._FLAGS)


def test_stages_follow_one_another_and_go_on_where_they_stopped(commands, tmp_path, capsys):
  (tmp_path / 'hand.jpg').write_bytes(b'')
  arguments = [tmp_path / 'out', f'--photo={tmp_path}/hand.jpg']
  assert call(*arguments) == 1
  assert 'export ended with status 1' in capsys.readouterr().err
  names = ['data_tools.make_synthetic', 'data_tools.cache_evidence', 'dhpe_tf.train', 'dhpe_tf.export',
           'dhpe_tf.evaluate', 'dhpe_tf.predict']
  assert [command[0] for command in commands] == names[:4]
  del commands[:]
  assert call(*arguments) == 0
  assert [command[0] for command in commands] == names[3:]
  assert f'--input={tmp_path}/hand.jpg' in commands[-1]
  out = capsys.readouterr().out
  assert 'train: done before' in out and '$ python -m dhpe_tf.export' in out and 'seconds: records' in out
  assert json.loads((tmp_path / 'out' / 'done' / 'train.json').read_text())['seconds'] >= 0
  # What follows a stage whose arguments change is done again.
  del commands[:]
  assert call(*arguments, '--gin_param=train.epochs = 3') == 0
  assert [command[0] for command in commands] == names[2:]


def test_missing_photo(tmp_path, capsys):
  assert call(tmp_path / 'out', '--photo=none.jpg') == 1
  assert capsys.readouterr().err == 'error: --photo=none.jpg: no such file.\n'
