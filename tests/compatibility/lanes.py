"""The other lane of the package: an interpreter of another Python and TensorFlow (README.md, Install)."""
import functools
import glob
import json
import os
import pathlib
import subprocess
import sys

VARIABLE = 'DHPE_OTHER_PYTHON'
ROOT = pathlib.Path(__file__).parents[2]
_ABOUT = 'import json, tensorflow as tf, numpy as np; print(json.dumps([tf.__version__, np.__version__]))'


@functools.lru_cache
def other_python() -> tuple[str, str]:
  """The interpreter of the other lane, or an empty text, and why there is none.

  It is the one that DHPE_OTHER_PYTHON names, or that of a virtual environment `.venv*` beside this repository's
  README.md whose TensorFlow is of another version than ours.
  """
  named = os.environ.get(VARIABLE)
  found = [named] if named else sorted(glob.glob(str(ROOT / '.venv*' / 'bin' / 'python')))
  ours, reasons = versions(sys.executable), []
  for python in found:
    try:
      theirs = versions(python)
    except (OSError, subprocess.CalledProcessError) as error:
      reasons.append(f'{python}: {error}')
      continue
    if theirs[0] != ours[0]:
      return python, ''
    reasons.append(f'{python} has TensorFlow {theirs[0]} too')
  tried = f' ({"; ".join(reasons)})' if reasons else ''
  return '', f'needs an interpreter with another TensorFlow; name it by {VARIABLE}{tried}'


def versions(python: str) -> list[str]:
  """The versions of TensorFlow and NumPy that an interpreter imports."""
  done = subprocess.run([python, '-c', _ABOUT], capture_output=True, text=True, check=True, cwd=ROOT)
  return json.loads(done.stdout.splitlines()[-1])


def run(python: str, *command: str) -> str:
  """Runs a command of this repository by an interpreter; returns what it printed.

  Raises:
    AssertionError: it failed.
  """
  done = subprocess.run([python, '-m', *command], capture_output=True, text=True, cwd=ROOT)
  assert done.returncode == 0, f'{python} -m {" ".join(command)}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}'
  return done.stdout
