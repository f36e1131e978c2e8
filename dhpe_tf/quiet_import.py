"""Imports TensorFlow without its start-up messages, which from 2.16 on pay no attention to TF_CPP_MIN_LOG_LEVEL."""
import contextlib
import importlib.abc
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Optional

# Its messages of the level INFO, and what it says about their way to stderr.
_START_UP = re.compile(rb'I\d{4} |WARNING: All log messages before absl::InitializeLog')
_STDERR = 2


def install() -> None:
  """Leaves the start-up messages out when TensorFlow is imported, if it has not been yet."""
  if 'tensorflow' not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
  """Finds TensorFlow, once, with a loader that filters what is written to stderr while it runs."""

  def find_spec(self, name: str, path: Optional[Sequence[str]] = None,
                target: Optional[ModuleType] = None) -> Optional[ModuleSpec]:
    """The specification of the module, or None for all others."""
    del path, target
    if name != 'tensorflow':
      return None
    sys.meta_path.remove(self)
    spec = importlib.util.find_spec(name)
    if spec and spec.loader:
      execute = spec.loader.exec_module

      def execute_quietly(module: ModuleType) -> None:
        with _without_start_up_messages():
          execute(module)
      spec.loader.exec_module = execute_quietly
    return spec


@contextlib.contextmanager
def _without_start_up_messages() -> Iterator[None]:
  """Context after which stderr gets what was written to it, but for the messages; C++ writes these to the file."""
  try:
    stderr = os.dup(_STDERR)
  except OSError:  # closed
    yield
    return
  with tempfile.TemporaryFile() as written:
    os.dup2(written.fileno(), _STDERR)
    try:
      yield
    finally:
      os.dup2(stderr, _STDERR)
      os.close(stderr)
      written.seek(0)
      for line in written:
        if not _START_UP.match(line):
          os.write(_STDERR, line)
