import subprocess
import sys

import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.tasks import registry
from dhpe_tf.tasks.hand.task import HandTask
from tests import bar_task


def test_tasks_are_found_by_the_name_of_their_class():
  assert registry.find('HandTask') is HandTask
  assert registry.find('BarTask').name == bar_task.BarTask.name
  with pytest.raises(UserError, match='the task NoTask is not known here; name the module .* --import'):
    registry.find('NoTask')


def test_help_tells_the_flags_of_tasks_without_tensorflow():
  program = '''if True:
    import sys
    from dhpe_tf import command_line, predict
    assert command_line.call(predict.main, ['predict', '--help'], predict._FLAGS) == 0
    assert 'tensorflow' not in sys.modules and 'numpy' not in sys.modules
    '''
  done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-2000:]
  assert 'flags of HandTask' in done.stdout and '--intrinsics' in done.stdout and '--refine_steps' in done.stdout
