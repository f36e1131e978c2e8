"""TensorFlow is imported without its start-up messages, and what else comes to stderr is kept."""
import os
import subprocess
import sys

import pytest

# A package of this name that says what TensorFlow says, so that the test depends on no version of it.
PACKAGE = r'''
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
os.write(2, b"I0000 00:00:1795773886.183609    6408 port.cc:153] oneDNN custom operations are on.\n")
os.write(2, b"E0000 00:00:1795773886.183609    6408 port.cc:153] a fault\n")
'''
PROGRAM = '''
import sys
from dhpe_tf import quiet_import
quiet_import.install()
quiet_import.install()
try:
  import tensorflow
except ImportError as error:
  print(error)
print('I0000 is mine', file=sys.stderr)
print(sys.meta_path[0])
'''


def run(folder, package, **options):
  (folder / 'tensorflow.py').write_text(package)
  root = os.path.dirname(os.path.dirname(__file__))
  environment = {**os.environ, 'PYTHONPATH': f'{folder}{os.pathsep}{root}'}
  return subprocess.run([sys.executable, '-c', PROGRAM], stdout=subprocess.PIPE, text=True, env=environment, **options)


@pytest.mark.parametrize('ending, says', [('', ''), ('raise ImportError("broken")', 'broken\n')])
def test_only_the_messages_are_left_out(tmp_path, ending, says):
  done = run(tmp_path, PACKAGE + ending, stderr=subprocess.PIPE)
  assert done.stderr == ('E0000 00:00:1795773886.183609    6408 port.cc:153] a fault\nI0000 is mine\n')
  assert done.stdout.startswith(says) and 'quiet_import' not in done.stdout and done.returncode == 0


def test_a_closed_stderr_does_no_harm(tmp_path):
  done = run(tmp_path, 'print("imported")', preexec_fn=lambda: os.close(2))
  assert done.returncode == 0 and done.stdout.startswith('imported\n')
