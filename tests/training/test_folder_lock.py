"""Two trainings in one folder: the second is refused, and a killed one leaves nothing in the way."""
import os
import signal
import subprocess
import sys

import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.training import folder_lock

HOLDER = '''
import sys, time
from dhpe_tf.training import folder_lock
with folder_lock.held(sys.argv[1]):
  print('held', flush=True)
  time.sleep(600)
'''


def test_names_its_holder_and_ends_with_the_block(tmp_path):
  with folder_lock.held(str(tmp_path / 'model')), pytest.raises(UserError) as caught:
    with folder_lock.held(str(tmp_path / 'model')):
      pass
  assert f'process {os.getpid()} on {os.uname().nodename} since 2' in str(caught.value)
  assert 'model: another training is at work' in str(caught.value) and '\n' not in str(caught.value)
  with folder_lock.held(str(tmp_path / 'model')), folder_lock.held(str(tmp_path / 'other')):
    pass
  with pytest.raises(ZeroDivisionError), folder_lock.held(str(tmp_path / 'model')):
    print(1 / 0)
  with folder_lock.held(str(tmp_path / 'model')):
    pass


def test_ends_with_a_killed_process(tmp_path):
  with subprocess.Popen([sys.executable, '-c', HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as process:
    assert process.stdout.readline() == b'held\n'
    with pytest.raises(UserError, match=f'process {process.pid} on'), folder_lock.held(str(tmp_path)):
      pass
    process.send_signal(signal.SIGKILL)
  with folder_lock.held(str(tmp_path)):
    pass


def test_each_worker_of_a_training_has_its_own(tmp_path, monkeypatch):
  with folder_lock.held(str(tmp_path)):
    monkeypatch.setenv('TF_CONFIG', '{"task": {"type": "worker", "index": 1}}')
    with folder_lock.held(str(tmp_path)):
      pass


def test_a_link_in_its_place_is_not_followed(tmp_path):
  (tmp_path / 'precious').write_text('text')
  (tmp_path / 'model').mkdir()
  (tmp_path / 'model' / '.training.lock').symlink_to(tmp_path / 'precious')
  with pytest.raises(UserError, match=r'cannot write .*\.training\.lock'), folder_lock.held(str(tmp_path / 'model')):
    pass
  assert (tmp_path / 'precious').read_text() == 'text'
