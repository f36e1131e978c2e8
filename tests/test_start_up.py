"""The package and its commands start without TensorFlow, whose import takes seconds."""
import subprocess
import sys

import pytest

from tests.benchmarks import start_up

_PROGRAM = '''
import importlib, runpy, sys
for name in sys.argv[1:]:
  importlib.import_module(name)
  if name != 'dhpe_tf':
    sys.argv = [name, '--help']
    try:
      runpy.run_module(name, run_name='__main__')
    except SystemExit as done:
      assert done.code == 0, name
  heavy = [heavy for heavy in ('tensorflow', 'tf_keras', 'keras_cv') if heavy in sys.modules]
  if heavy:
    sys.exit(f'{name} imports {", ".join(heavy)}')
'''


@pytest.mark.parametrize('names', [['dhpe_tf'], start_up.commands()], ids=['package', 'commands'])
def test_neither_import_nor_help_imports_tensorflow(names):
  done = subprocess.run([sys.executable, '-c', _PROGRAM, *names], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-2000:]


def test_the_benchmark_times_every_command():
  found = start_up.commands()
  assert {'dhpe_tf.predict', 'dhpe_tf.train', 'dhpe_tf.export', 'data_tools.convert_mano'} <= set(found)
  import_s, help_s = start_up.measure('dhpe_tf.export', calls=1)
  assert 0 < import_s and 0 < help_s
