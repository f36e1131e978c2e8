"""Finding a task by the name of its class; light, so that --help needs no TensorFlow."""
import importlib
from types import ModuleType
from typing import Any

from dhpe_tf.errors import UserError

# Class -> package with the modules `task`, which holds it, and `task_flags`, which defines its flags.
_SHIPPED = {'HandTask': 'dhpe_tf.tasks.hand'}
# What exported models answer whose cards are older than the naming of tasks.
DEFAULT = 'HandTask'


def find(name: str) -> Any:
  """The class of a task: a shipped one, or one that an imported module has registered with gin.

  Raises:
    UserError: there is none.
  """
  if name in _SHIPPED:
    return getattr(importlib.import_module(f'{_SHIPPED[name]}.task'), name)
  import gin
  try:
    return gin.get_configurable(name)
  except ValueError as error:
    raise UserError(f'the task {name} is not known here; name the module that defines it by --import=...') from error


def flag_modules() -> dict[str, ModuleType]:
  """By class the modules that define the flags of the shipped tasks."""
  return {name: importlib.import_module(f'{package}.task_flags') for name, package in _SHIPPED.items()}
