"""What every command line shares: quiet start, and one-line errors in place of tracebacks."""
import os
import sys
import warnings
from collections.abc import Callable

from absl import app

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


def run(main: Callable[[list[str]], None]) -> None:
  """Runs a program's `main(argv)` under absl: the entry point of each command line.

  What the user can mend (`UserError`, and the like from TensorFlow) ends as `error: ...` on stderr with exit status 1;
  an interruption with status 130. Anything else is a fault of the program and keeps its traceback.

  Args:
    main: gets the arguments left after the flags, the program's name first.
  """
  quiet()
  app.run(lambda argv: sys.exit(call(main, argv)))


def call(main: Callable[[list[str]], None], argv: list[str]) -> int:
  """Calls `main(argv)`, which takes flags only, and returns the exit status; see `run`."""
  try:
    if len(argv) > 1:
      raise UserError(f'unexpected argument {argv[1]!r}; every option is a flag, see --help')
    main(argv)
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


def _fail(message: str) -> int:
  print('error:', ' '.join(message.split()), file=sys.stderr)
  return 1
