"""Runs packages that cannot be installed beside ours, each in its own virtual environment and process.

Calls of ours and of a peer alternate within one run, so that other load on the machine affects both.
"""
import importlib.util
import json
import os
import subprocess
import sys
from typing import Any, Optional

from absl import logging


def environment(folder: str, packages: list[str]) -> str:
  """Returns the Python of a virtual environment in `folder` with `packages`, which is made if it is missing."""
  python = os.path.join(folder, 'bin', 'python')
  marker = os.path.join(folder, '.packages')
  wanted = '\n'.join(packages)
  if os.path.exists(marker):
    with open(marker, encoding='utf-8') as file:
      if file.read() == wanted:
        return python
  if not os.path.exists(python):
    logging.info('Making a virtual environment in %s', folder)
    subprocess.run([sys.executable, '-m', 'venv', folder], check=True)
  logging.info('Installing %s', ' '.join(packages))
  subprocess.run([python, '-m', 'pip', 'install', '--quiet', *packages], check=True)
  with open(marker, 'w', encoding='utf-8') as file:
    file.write(wanted)
  return python


def here_or_in(folder: str, modules: list[str], packages: list[str]) -> str:
  """Returns this Python if it has the modules (the extra [benchmark] installs them), or else that of `environment`."""
  found = all(importlib.util.find_spec(name) for name in modules)
  return sys.executable if found else environment(folder, packages)


class Peer:
  """A subprocess that answers JSON requests, one a line."""

  def __init__(self, python: str, script: str, arguments: Optional[list[str]] = None):
    self._process = subprocess.Popen([python, script, *(arguments or [])], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
    self._answer()

  def ask(self, **request: Any) -> Any:
    """Sends a request and returns its answer."""
    self._process.stdin.write(json.dumps(request) + '\n')
    self._process.stdin.flush()
    return self._answer()

  def close(self) -> None:
    """Closes the process's input and waits for its end."""
    self._process.stdin.close()
    self._process.wait(timeout=30)

  def _answer(self) -> Any:
    """Reads one answer; raises a RuntimeError if the process has ended."""
    line = self._process.stdout.readline()
    if not line:
      raise RuntimeError(f'the peer process ended with status {self._process.wait()}')
    return json.loads(line)
