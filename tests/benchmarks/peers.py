"""Peers that cannot live beside our packages: each in a virtual environment of its own, in a process of its own.

Ours and the peer's calls take turns within one run, so that whatever else the machine does falls on both.
"""
import importlib.util
import json
import os
import subprocess
import sys
from typing import Any, Optional

from absl import logging


def environment(folder: str, packages: list[str]) -> str:
  """The Python of a virtual environment in `folder` with `packages`, made if it is not there."""
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
  """This Python if it has the modules, as the extra [benchmark] installs them, or else that of `environment`."""
  found = all(importlib.util.find_spec(name) for name in modules)
  return sys.executable if found else environment(folder, packages)


class Peer:
  """A process that answers JSON requests, one a line."""

  def __init__(self, python: str, script: str, arguments: Optional[list[str]] = None):
    self._process = subprocess.Popen([python, script, *(arguments or [])], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
    self._answer()

  def ask(self, **request: Any) -> Any:
    """Sends a request and waits for the answer."""
    self._process.stdin.write(json.dumps(request) + '\n')
    self._process.stdin.flush()
    return self._answer()

  def close(self) -> None:
    """Ends the process."""
    self._process.stdin.close()
    self._process.wait(timeout=30)

  def _answer(self) -> Any:
    line = self._process.stdout.readline()
    if not line:
      raise RuntimeError(f'the peer process ended with status {self._process.wait()}')
    return json.loads(line)
