"""What all command lines share: quiet start, parsing of flags, and one-line errors in place of tracebacks."""
import importlib
import io
import math
import os
import sys
import warnings
from collections.abc import Callable
from typing import Optional

from absl import flags

from dhpe_tf import quiet_import
from dhpe_tf.errors import UserError, brief, one_line
from dhpe_tf.files import printable

# TensorFlow's own errors that the user can repair: class name -> the text to print.
_TENSORFLOW_ERRORS = {
    'DataLossError': 'a record file is damaged or cut off; make it again',
    'ResourceExhaustedError': 'out of memory or disk space; lower the batch size, or free some space',
    'NotFoundError': 'a file is missing',
    'PermissionDeniedError': 'a file may not be read or written; check its permissions',
}
# Those that a damaged record may cause.
# The last one is raised in their place where the message of TensorFlow quotes bytes of the record.
_ERRORS_OF_RECORDS = ('DataLossError', 'InvalidArgumentError', 'UnknownError', 'UnicodeDecodeError')
_MOST_SHARDS = 10_000
# Names of flags for what is written; checkpoints and exports are written by TensorFlow.
_OUTPUTS = ('output', 'output_dir', 'report', 'sheet', 'model_dir', 'export_dir')
_OF_TENSORFLOW = ('model_dir', 'export_dir')
_NOT_BOUND = 'Required bindings'  # begins gin's error about a setting that has no default
# Modules that remember what a command reads; not imported here, because they import TensorFlow.
_REMEMBER = ('dhpe_tf.data.shard_checks', 'dhpe_tf.data.damaged_pictures')


def define_configuration_flags(values: flags.FlagValues) -> None:
  """Defines --gin_file, --gin_param and --import, for every command that builds a task and a method."""
  flags.DEFINE_multi_string('gin_file', [], 'Configuration file, looked up here and in gin/; later ones win.',
                            flag_values=values)
  flags.DEFINE_multi_string('gin_param', [], 'Single setting such as "train.epochs = 5"; wins over the files.',
                            flag_values=values)
  define_import_flag(values)


def define_shards_flag(values: flags.FlagValues, default: int) -> None:
  """Defines --shards, the number of files of a split; their names have five digits."""
  flags.DEFINE_integer('shards', default, 'files a split', lower_bound=1, upper_bound=_MOST_SHARDS,
                       flag_values=values)


def define_import_flag(values: flags.FlagValues) -> None:
  """Defines --import, for tasks and methods that are not part of this package."""
  flags.DEFINE_multi_string('import', [], 'Module of yours that defines a task or a method for gin, such as '
                            'my_package.my_task. Gin files may import no other.', flag_values=values)


def task_flags(define: Callable[[str, flags.FlagValues], None], command: str, argv: list[str]) -> flags.FlagValues:
  """Parses the arguments that a command did not recognise itself as flags of a task.

  Args:
    define: `Task.define_flags`.
    command: 'predict', 'evaluate' or 'validate'.
    argv: the program's name, followed by the arguments that are left.

  Returns:
    The parsed flags.

  Raises:
    UserError: an argument is not a flag.
    flags.Error: an unknown flag, or an invalid value.
  """
  values = flags.FlagValues()
  define(command, values)
  _refuse_arguments(values(argv))
  _check_numbers(values)
  return values


def quiet() -> None:
  """Silences TensorFlow's start-up messages and other packages' warnings; call before importing them."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  if os.environ['TF_CPP_MIN_LOG_LEVEL'] != '0':
    quiet_import.install()
  os.environ.setdefault('GRPC_VERBOSITY', 'ERROR')
  if not sys.warnoptions:
    warnings.simplefilter('ignore')


def run(main: Callable[[list[str]], None], flag_values: flags.FlagValues = flags.FLAGS) -> None:
  """Runs a program and exits; the entry point of each command line.

  Errors that the user can repair (`UserError`, wrong flags, and the like from TensorFlow) are printed as `error: ...`
  on stderr, with exit status 1; an interruption gives status 130. Any other exception is a fault of the program and
  keeps its traceback.

  Args:
    main: called after the flags are parsed, with a list that holds the program's name. The docstring of its module is
      the first part of --help. If the module sets TASK_COMMAND, the list also holds the flags that the program does not
      know, for `task_flags`.
    flag_values: the program's flags. A separate `flags.FlagValues()` for each program lets one process hold several.
  """
  quiet()
  sys.exit(call(main, sys.argv, flag_values))


def call(main: Callable[[list[str]], None], argv: list[str], flag_values: flags.FlagValues = flags.FLAGS) -> int:
  """Parses `argv`, calls `main` and returns the exit status: 0, 1 or 130; see `run`."""
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors='backslashreplace')  # names of files may be of any bytes
  for module in map(sys.modules.get, _REMEMBER):
    if module:
      module.forget()
  try:
    return _call(main, argv, flag_values)
  finally:
    damaged = sys.modules.get('dhpe_tf.data.damaged_pictures')
    if damaged and damaged.summary():
      print(damaged.summary(), file=sys.stderr)


def _call(main: Callable[[list[str]], None], argv: list[str], flag_values: flags.FlagValues) -> int:
  """Does the work of `call`."""
  try:
    if any(argument in ('--help', '-help', '-h') for argument in argv[1:]):
      print(_help(main, flag_values))
      return 0
    flag_values.unparse_flags()
    leaves_some = bool(_task_command(main))
    rest = flag_values(argv, known_only=leaves_some)
    if not leaves_some:
      _refuse_arguments(rest)
    _check_numbers(flag_values)
    _check_outputs(flag_values)
    _import_modules(flag_values)
    main(rest)
  except flags.Error as error:
    return _fail(f'{str(error).rstrip(".")}; see --help')
  except UserError as error:
    return _fail(str(error))
  except KeyboardInterrupt:
    print('\ninterrupted', file=sys.stderr)
    return 130
  except Exception as error:
    if isinstance(error, RuntimeError) and str(error).startswith(_NOT_BOUND):
      return _fail(f'configuration: {brief(error)}; set them by --gin_file or --gin_param')
    advice = _TENSORFLOW_ERRORS.get(type(error).__name__)
    if not type(error).__module__.startswith('tensorflow') and not isinstance(error, UnicodeDecodeError):
      raise
    place = _fault_in_records(error)
    if place is None and advice is None:
      raise
    return _fail(place or f'{advice} ({brief(error)})')
  return 0


def _fault_in_records(error: Exception) -> Optional[str]:
  """The message about the record at which TensorFlow failed; None if all that were opened can be read."""
  if type(error).__name__ not in _ERRORS_OF_RECORDS:
    return None
  from dhpe_tf.data import shard_checks
  try:
    shard_checks.explain()
  except UserError as found:
    return str(found)
  return None


def _help(main: Callable, flag_values: flags.FlagValues) -> str:
  """Text of --help: the module's docstring, the program's flags, and the flags of the shipped tasks."""
  text = (sys.modules[main.__module__].__doc__ or '').strip()
  listed = flag_values.main_module_help() if flag_values is flags.FLAGS else flag_values.get_help()
  return f'{text}\n\nflags:\n{listed}{_help_of_tasks(_task_command(main))}'


def _help_of_tasks(command: str) -> str:
  """Help text of the flags that the shipped tasks add to a command; empty if `command` is empty."""
  if not command:
    return ''
  from dhpe_tf.tasks import registry
  parts = []
  for name, module in registry.flag_modules().items():
    values = flags.FlagValues()
    module.define(command, values)
    parts.append(f'\n\nflags of {name}:\n{values.get_help()}')
  return ''.join(parts)


def _task_command(main: Callable) -> str:
  """The module's TASK_COMMAND, by which tasks know the program; empty for programs without task flags."""
  return getattr(sys.modules[main.__module__], 'TASK_COMMAND', '')


def _refuse_arguments(rest: list[str]) -> None:
  """Raises a UserError if any argument is left beside the program's name."""
  if len(rest) > 1:
    raise UserError(f'unexpected argument {rest[1]!r}; every option is a flag, see --help')


def _check_numbers(flag_values: flags.FlagValues) -> None:
  """Raises a UserError for a flag that is NaN, which is within any bounds."""
  for name in flag_values:
    value = flag_values[name].value
    if isinstance(value, float) and math.isnan(value):
      raise UserError(f'--{name}=nan: it must be a number')


def _check_outputs(flag_values: flags.FlagValues) -> None:
  """Raises a UserError for names of outputs that would do harm, or that TensorFlow could not write at the end."""
  for name in _OUTPUTS:
    if name in flag_values and flag_values[name].present:
      value = flag_values[name].value
      # An empty name would mean the working folder and all that lies there.
      if value == '' and flag_values[name].default != '':
        raise UserError(f'--{name} is empty; name a file or folder')
      if name in _OF_TENSORFLOW and printable(value) != value:
        raise UserError(f'--{name}={value} holds bytes that are no UTF-8, which TensorFlow cannot write; choose '
                        'another name')


def _import_modules(flag_values: flags.FlagValues) -> None:
  """Imports the modules named by --import, which register tasks and methods with gin; gin files may import them too."""
  if 'import' not in flag_values:
    return
  from dhpe_tf import configuration
  configuration.allow_imports(flag_values['import'].value)
  for name in flag_values['import'].value:
    try:
      importlib.import_module(name)
    except (ImportError, ValueError, TypeError) as error:
      raise UserError(f'--import={name}: {brief(error)}; run from the folder that holds it, or install it') from error


def _fail(message: str) -> int:
  """Prints an error as one line on stderr; returns the exit status 1."""
  print('error:', ' '.join(one_line(message).split()), file=sys.stderr)
  return 1
