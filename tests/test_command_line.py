import pytest

from dhpe_tf import command_line
from dhpe_tf.errors import UserError


def raising(error):
  def main(argv):
    raise error
  return main


def test_success_is_status_zero():
  assert command_line.call(lambda argv: None, ['program']) == 0


def test_what_the_user_can_mend_is_one_line_and_status_one(capsys):
  assert command_line.call(raising(UserError('a.jpg: not\na picture')), ['program']) == 1
  assert capsys.readouterr().err == 'error: a.jpg: not a picture\n'


def test_a_misspelt_flag_without_dashes_is_refused(capsys):
  assert command_line.call(lambda argv: None, ['program', 'model_dir=x']) == 1
  assert "unexpected argument 'model_dir=x'" in capsys.readouterr().err


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
