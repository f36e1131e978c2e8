import os
import subprocess
import sys

import gin
import pytest
from absl import flags

from dhpe_tf import command_line, configuration
from dhpe_tf.errors import UserError
from dhpe_tf.experiment import Experiment


def raising(error):
  def main(argv):
    raise error
  return main


def test_success_is_status_zero():
  assert command_line.call(lambda argv: None, ['program']) == 0


def test_what_the_user_can_mend_is_one_line_and_status_one(capsys):
  assert command_line.call(raising(UserError('a.jpg: not\na picture')), ['program']) == 1
  assert capsys.readouterr().err == 'error: a.jpg: not a picture\n'


def test_what_gin_adds_to_an_error_is_left_out(capsys):
  def main(argv):
    gin.external_configurable(raising(UserError('bad value')), 'faulty', module='test')(argv)
  assert command_line.call(main, ['program']) == 1
  assert capsys.readouterr().err == 'error: bad value\n'


def test_an_error_that_passed_through_gin_is_one_line_everywhere():
  with pytest.raises(UserError) as caught:
    gin.external_configurable(raising(UserError('bad value')), 'faulty_too', module='test')([])
  assert str(caught.value) == 'bad value'


def test_a_misspelt_flag_without_dashes_is_refused(capsys):
  assert command_line.call(lambda argv: None, ['program', 'model_dir=x']) == 1
  assert "unexpected argument 'model_dir=x'" in capsys.readouterr().err


@pytest.fixture
def own_flags():
  values = flags.FlagValues()
  flags.DEFINE_string('color', None, 'which one', flag_values=values)
  flags.DEFINE_integer('count', 1, 'how many', flag_values=values)
  flags.mark_flag_as_required('color', values)
  return values


def test_a_program_has_its_own_flags_and_can_be_called_again(own_flags):
  seen = []
  for color in ('red', 'blue'):
    assert command_line.call(lambda argv: seen.append(own_flags.color), ['program', f'--color={color}'], own_flags) == 0
  assert seen == ['red', 'blue']


@pytest.mark.parametrize('arguments, message', [
    ([], 'color'), (['--color=red', '--colour=red'], 'colour'), (['--color=red', '--count=x'], 'count')])
def test_wrong_flags_are_one_line(own_flags, arguments, message, capsys):
  assert command_line.call(lambda argv: None, ['program', *arguments], own_flags) == 1
  error = capsys.readouterr().err
  assert error.startswith('error: ') and message in error and error.endswith('see --help\n') and error.count('\n') == 1


def test_a_flag_that_is_no_number_is_refused_in_spite_of_bounds(own_flags, capsys):
  flags.DEFINE_float('kept', 1., 'share', 0., 1., flag_values=own_flags)
  assert command_line.call(lambda argv: None, ['program', '--color=red', '--kept=nan'], own_flags) == 1
  assert capsys.readouterr().err == 'error: --kept=nan: it must be a number\n'


@pytest.mark.parametrize('default, status', [(None, 1), ('', 0)])
def test_an_empty_output_is_refused_unless_it_is_the_default(own_flags, default, status, capsys):
  """It would be the working folder, and what lies there would be replaced."""
  flags.DEFINE_string('output', default, 'folder', flag_values=own_flags)
  assert command_line.call(lambda argv: None, ['program', '--color=red', '--output='], own_flags) == status
  assert ('error: --output is empty' in capsys.readouterr().err) == bool(status)


def test_a_folder_that_tensorflow_cannot_write_is_refused(own_flags, capsys):
  flags.DEFINE_string('model_dir', None, 'folder', flag_values=own_flags)
  assert command_line.call(lambda argv: None, ['program', '--color=red', '--model_dir=\udcff'], own_flags) == 1
  assert 'error: --model_dir=\\xff holds bytes that are no UTF-8' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['', '.', '.x', 'no_such_module', 'a\0b'])
def test_an_import_that_cannot_be_is_named(own_flags, name, capsys):
  command_line.define_import_flag(own_flags)
  assert command_line.call(lambda argv: None, ['program', '--color=red', f'--import={name}'], own_flags) == 1
  assert capsys.readouterr().err.startswith('error: --import=')


def test_a_setting_without_a_default_is_named(capsys):
  def main(argv):
    del argv
    configuration.load()
    Experiment()
  assert command_line.call(main, ['program']) == 1
  error = capsys.readouterr().err
  assert error.startswith('error: configuration: Required bindings for `Experiment`') and 'method' in error
  assert error.count('\n') == 1 and error.endswith('set them by --gin_file or --gin_param\n')


def test_help_names_every_flag(own_flags, capsys):
  assert command_line.call(raising(ValueError()), ['program', '--help'], own_flags) == 0
  out = capsys.readouterr().out
  assert 'which one' in out and 'how many' in out


def test_interruption_is_status_130():
  assert command_line.call(raising(KeyboardInterrupt()), ['program']) == 130


def test_tensorflow_errors_about_files_and_memory_are_told_plainly(capsys):
  import tensorflow as tf
  error = tf.errors.DataLossError(None, None, 'truncated record at 17')
  assert command_line.call(raising(error), ['program']) == 1
  assert capsys.readouterr().err == (
      'error: a record file is damaged or cut off; make it again (truncated record at 17)\n')


def test_faults_of_the_program_keep_their_traceback():
  with pytest.raises(ZeroDivisionError):
    command_line.call(raising(ZeroDivisionError()), ['program'])


def test_a_command_says_nothing_but_its_own_words(tmp_path):
  environment = {name: value for name, value in os.environ.items() if name != 'TF_CPP_MIN_LOG_LEVEL'}
  done = subprocess.run([sys.executable, '-m', 'data_tools.validate', f'--records={tmp_path}/none'], text=True,
                        capture_output=True, env=environment, cwd=os.path.dirname(os.path.dirname(__file__)))
  assert done.returncode == 1 and done.stdout == ''
  assert done.stderr.startswith(f'error: no record set {tmp_path}/none') and done.stderr.count('\n') == 1
