"""Finds a task by the name of its class; imports no TensorFlow itself, so that --help is fast."""
import importlib
from types import ModuleType
from typing import Any

from dhpe_tf.errors import UserError

# Class -> package with the modules `task` (the class) and `task_flags` (its flags).
_SHIPPED = {'HandTask': 'dhpe_tf.tasks.hand'}
# Task of exported models whose cards name none, because they are older.
DEFAULT = 'HandTask'


def find(name: str) -> Any:
  """Returns the class of a task: a shipped one, or one that an imported module has registered with gin.

  Raises:
    UserError: there is no such class.
  """
  if name in _SHIPPED:
    return getattr(importlib.import_module(f'{_SHIPPED[name]}.task'), name)
  import gin
  try:
    return gin.get_configurable(name)
  except (ValueError, SyntaxError) as error:
    raise UserError(f'the task {name} is not known here; name the module that defines it by --import=...') from error


def flag_modules() -> dict[str, ModuleType]:
  """Returns the modules that define the flags of the shipped tasks, by class name."""
  return {name: importlib.import_module(f'{package}.task_flags') for name, package in _SHIPPED.items()}
