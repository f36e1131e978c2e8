"""What every command line shares: quiet start, and one-line errors in place of tracebacks."""
import importlib
import os
import sys
import warnings
from collections.abc import Callable

from absl import flags

from dhpe_tf.errors import UserError

# Errors that TensorFlow raises on its own for what the user can mend, with what to say.
_TENSORFLOW_ERRORS = {
    'DataLossError': 'a record file is damaged or cut off; make it again',
    'ResourceExhaustedError': 'out of memory or disk space; lower the batch size, or free some space',
    'NotFoundError': 'a file is missing',
    'PermissionDeniedError': 'a file may not be read or written; check its permissions',
}


def define_configuration_flags(values: flags.FlagValues) -> None:
  """Defines --gin_file, --gin_param and --import, alike for all commands that build a task and a method."""
  flags.DEFINE_multi_string('gin_file', [], 'Configuration file, looked up here and in gin/; later ones win.',
                            flag_values=values)
  flags.DEFINE_multi_string('gin_param', [], 'Single setting such as "train.epochs = 5"; wins over the files.',
                            flag_values=values)
  define_import_flag(values)


def define_import_flag(values: flags.FlagValues) -> None:
  """Defines --import, for tasks and methods that are not part of this package."""
  flags.DEFINE_multi_string('import', [], 'Module of yours that defines a task or a method for gin, such as '
                            'my_package.my_task.', flag_values=values)


def task_flags(define: Callable[[str, flags.FlagValues], None], command: str, argv: list[str]) -> flags.FlagValues:
  """Parses what a command has left of its arguments as the flags of a task.

  Args:
    define: `Task.define_flags`.
    command: 'predict', 'evaluate' or 'validate'.
    argv: the program's name and what is left.

  Raises:
    UserError: an argument that is no flag.
    flags.Error: an unknown flag, or a value that it may not have.
  """
  values = flags.FlagValues()
  define(command, values)
  _refuse_arguments(values(argv))
  return values


def quiet() -> None:
  """Keeps TensorFlow's start-up messages and other packages' warnings off the screen; call before importing them."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('GRPC_VERBOSITY', 'ERROR')
  if not sys.warnoptions:
    warnings.simplefilter('ignore')


def run(main: Callable[[list[str]], None], flag_values: flags.FlagValues = flags.FLAGS) -> None:
  """Runs a program: the entry point of each command line.

  What the user can mend (`UserError`, wrong flags, and the like from TensorFlow) ends as `error: ...` on stderr with
  exit status 1; an interruption with status 130. Anything else is a fault of the program and keeps its traceback.

  Args:
    main: is called once the flags are parsed, with the program's name as the only argument. The docstring of its module
      heads the text of --help. Where the module sets TASK_COMMAND, flags that the program does not know are left in
      the argument, for `task_flags`.
    flag_values: the program's flags. A `flags.FlagValues()` of its own lets one process hold several programs.
  """
  quiet()
  sys.exit(call(main, sys.argv, flag_values))


def call(main: Callable[[list[str]], None], argv: list[str], flag_values: flags.FlagValues = flags.FLAGS) -> int:
  """Parses `argv`, calls `main` and returns the exit status; see `run`."""
  try:
    if any(argument in ('--help', '-help', '-h') for argument in argv[1:]):
      print(_help(main, flag_values))
      return 0
    flag_values.unparse_flags()
    leaves_some = bool(_task_command(main))
    rest = flag_values(argv, known_only=leaves_some)
    if not leaves_some:
      _refuse_arguments(rest)
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
    advice = _TENSORFLOW_ERRORS.get(type(error).__name__)
    if advice is None or not type(error).__module__.startswith('tensorflow'):
      raise
    return _fail(f'{advice} ({error.message})')
  return 0


def _help(main: Callable, flag_values: flags.FlagValues) -> str:
  text = (sys.modules[main.__module__].__doc__ or '').strip()
  listed = flag_values.main_module_help() if flag_values is flags.FLAGS else flag_values.get_help()
  return f'{text}\n\nflags:\n{listed}{_help_of_tasks(_task_command(main))}'


def _help_of_tasks(command: str) -> str:
  """The flags that shipped tasks add to a command."""
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
  """The command by which tasks know the program, empty for programs without flags of tasks."""
  return getattr(sys.modules[main.__module__], 'TASK_COMMAND', '')


def _refuse_arguments(rest: list[str]) -> None:
  if len(rest) > 1:
    raise UserError(f'unexpected argument {rest[1]!r}; every option is a flag, see --help')


def _import_modules(flag_values: flags.FlagValues) -> None:
  """Imports the modules of --import."""
  for name in flag_values['import'].value if 'import' in flag_values else ():
    try:
      importlib.import_module(name)
    except ImportError as error:
      raise UserError(f'--import={name}: {error}; run from the folder that holds it, or install it') from error


def _fail(message: str) -> int:
  # gin adds lines that tell through which configurable an error came.
  message = message.split('\n  In call to configurable')[0]
  print('error:', ' '.join(message.split()), file=sys.stderr)
  return 1
