"""What every command line shares: quiet start, and one-line errors in place of tracebacks."""
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
      heads the text of --help.
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
    rest = flag_values(argv)
    if len(rest) > 1:
      raise UserError(f'unexpected argument {rest[1]!r}; every option is a flag, see --help')
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
  return f'{text}\n\nflags:\n{listed}'


def _fail(message: str) -> int:
  # gin adds lines that tell through which configurable an error came.
  message = message.split('\n  In call to configurable')[0]
  print('error:', ' '.join(message.split()), file=sys.stderr)
  return 1
