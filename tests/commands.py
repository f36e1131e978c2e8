"""Running a program's main in this process, as the command line would."""
from types import ModuleType

import gin

from dhpe_tf import command_line


def call(module: ModuleType, *arguments: str) -> int:
  """The exit status of a module's `main` with these arguments; leaves no gin configuration behind."""
  try:
    return command_line.call(module.main, [module.__name__, *arguments], module._FLAGS)
  finally:
    gin.clear_config()
