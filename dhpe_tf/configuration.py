"""Configuration by gin: finds files, layers them, refuses misspelt names, and saves the settings that were used.

Layers, later ones override earlier ones: the defaults in the signatures, `gin/defaults.gin`, a saved configuration
(when a run resumes), the given files, the given single parameters. Files are looked up in the working folder, beside
the file that includes them, and in `gin/` of the repository (or of the installed package, if there is no repository).
So `rhd.gin`, `gin/rhd.gin` and `include 'models/light.gin'` work from any folder.
"""
import difflib
import importlib
import inspect
import logging
import os
import pathlib
import pkgutil
import re
from collections.abc import Iterable
from typing import NamedTuple, Optional

import gin

from dhpe_tf import errors, files, renamed_settings

# Packages whose modules register gin configurables. Named and not imported, because they depend on this module.
CONFIGURABLE_PACKAGES = ('geometry', 'hand', 'rendering', 'networks', 'losses', 'metrics', 'data', 'visualization',
                         'optimization', 'synthesis', 'tasks', 'methods', 'experiment', 'training')
DEFAULTS = 'defaults.gin'
CONFIG_FILE = 'config.gin'  # the settings as given; pass it as `saved` to resume a run
OPERATIVE_FILE = 'operative_config.gin'  # the settings as used, defaults of the code included

_PACKAGE = pathlib.Path(__file__).parent


class Binding(NamedTuple):
  """One `scope/selector.parameter = value` of a configuration; a macro has an empty parameter."""

  scope: str
  selector: str
  parameter: str

  def __str__(self) -> str:
    name = f'{self.scope}/{self.selector}' if self.scope else self.selector
    return f'{name}.{self.parameter}' if self.parameter else name


class _Collector(gin.config_parser.ParserDelegate):
  """Parser delegate that looks nothing up and collects the names of the macros in use."""

  def __init__(self):
    self.macros = set()

  def configurable_reference(self, scoped_name: str, evaluate: bool) -> str:
    """Keeps a reference as its name."""
    return scoped_name

  def macro(self, scoped_name: str) -> str:
    """Records the macro's name and keeps it."""
    self.macros.add(scoped_name)
    return scoped_name


def folder() -> pathlib.Path:
  """Returns the folder that holds `defaults.gin`: the repository's, or else the installed package's.

  Raises:
    UserError: neither folder holds that file.
  """
  # In site-packages the first candidate is the gin library itself, which has no such file.
  for candidate in (_PACKAGE.parent / 'gin', _PACKAGE / 'gin'):
    if (candidate / DEFAULTS).is_file():
      return candidate
  raise errors.UserError(f'no gin/{DEFAULTS} beside {_PACKAGE} nor inside it; install the package again')


def register_configurables() -> None:
  """Imports every module that registers a gin configurable."""
  for name in CONFIGURABLE_PACKAGES:
    package = importlib.import_module(f'dhpe_tf.{name}')
    for module in pkgutil.walk_packages(getattr(package, '__path__', []), f'{package.__name__}.'):
      importlib.import_module(module.name)


def load(gin_files: Iterable[str] = (), gin_params: Iterable[str] = (), saved: Optional[str] = None) -> None:
  """Replaces the current gin configuration by the layers listed in the module docstring, and locks it.

  Args:
    gin_files: files in the order in which they are applied.
    gin_params: single bindings such as `train.steps = 100`.
    saved: `config.gin` of the run to resume, applied before `gin_files`; it may use former names.

  Raises:
    UserError: a missing file, a syntax error, an unknown name or parameter, or a macro that is undefined or unused. The
      message names the place and, if there is one, a similar name.
  """
  register_configurables()
  gin.clear_config()
  for prefix in (folder(), folder().parent):  # `rhd.gin` and `gin/rhd.gin`
    _add_search_path(prefix)
  used = _parse_file(DEFAULTS)
  if saved:
    _parse(gin.parse_config, _saved_text(saved), place=saved)
    used |= _read(gin.config_str())[1]
  for name in gin_files:
    used |= _parse_file(name)
  for param in gin_params:
    _parse(gin.parse_config, renamed_settings.renew(param), place=f'--gin_param {param!r}')
    used |= _read(gin.config_str())[1]
  _check_macros(used)
  _parse(gin.finalize)


def dead_bindings() -> list[str]:
  """Returns the given bindings that nothing has used so far; call it after one training step.

  Returns:
    Sorted names such as `train/build_dataset.batch_size`. Each is a mistake: a setting without effect.
  """
  alive = _read(gin.operative_config_str())[0]
  return sorted(str(given) for given in _read(gin.config_str())[0] if not any(_applies(given, used) for used in alive))


def save(directory: str) -> None:
  """Writes `config.gin` (settings as given) and `operative_config.gin` (as used) into a folder, each atomically."""
  for name, text in ((CONFIG_FILE, gin.config_str(max_line_length=120)),
                     (OPERATIVE_FILE, gin.operative_config_str(max_line_length=120))):
    with files.atomic_path(os.path.join(directory, name)) as path, open(path, 'w', encoding='utf-8') as file:
      file.write(text)


def _applies(given: Binding, used: Binding) -> bool:
  """Whether the operative binding `used` may take its value from `given`; gin scopes match by prefix."""
  scope = given.scope.split('/') if given.scope else []
  return given[1:] == used[1:] and used.scope.split('/')[:len(scope)] == scope


def _read(text: str) -> tuple[set[Binding], set[str]]:
  """Parses a configuration text into its bindings and the names of the macros used in it."""
  collector = _Collector()
  bindings = {Binding(s.scope, s.selector, s.arg_name or '')
              for s in gin.config_parser.ConfigParser(text, collector)
              if isinstance(s, gin.config_parser.BindingStatement)}
  return bindings, collector.macros


def _parse_file(name: str) -> set[str]:
  """Parses a gin file; returns the names of the macros used so far."""
  _add_search_path(_find(name).parent)
  _parse(gin.parse_config_file, str(_find(name)))
  return _read(gin.config_str())[1]


def _saved_text(path: str) -> str:
  """Reads a saved configuration and replaces former names; raises a UserError if the file cannot be read."""
  try:
    with open(path, encoding='utf-8') as file:
      return renamed_settings.renew(file.read())
  except (OSError, UnicodeDecodeError) as error:
    raise errors.UserError(f'{path}: cannot be read ({error}); choose another --model_dir') from error


def _find(name: str) -> pathlib.Path:
  """Returns the path of a gin file, looked up in the working folder, in `gin/` and in the folder above `gin/`."""
  for prefix in (pathlib.Path(), folder(), folder().parent):
    if (prefix / name).is_file():
      return (prefix / name).resolve()
  known = sorted(str(path.relative_to(folder())) for path in folder().rglob('*.gin'))
  raise errors.UserError(f'no gin file {name} here or in {folder()}{_suggest(name.removeprefix("gin/"), known)}')


def _add_search_path(path: pathlib.Path) -> None:
  """Adds a folder to those in which gin looks for included files."""
  if str(path) not in gin.config._LOCATION_PREFIXES:  # gin has no public way to read its search path
    gin.add_config_file_search_path(str(path))


def _check_macros(used: set[str]) -> None:
  """Raises a UserError for a macro that is used but not defined, or defined but not used: both are misspelt names."""
  defined = {str(binding) for binding in _read(gin.config_str())[0] if not binding.parameter}
  used_now = _read(gin.config_str())[1]
  for name in sorted(used_now - defined):
    raise errors.UserError(f'configuration: %{name} is used but never defined{_suggest(name, defined)}')
  for name in sorted(defined - used):
    raise errors.UserError(f'configuration: macro {name} is set but nothing uses it{_suggest(name, used)}')


def _parse(function, *arguments: str, place: str = 'configuration') -> None:
  """Calls a parsing function of gin and turns its errors into a one-line UserError.

  Args:
    function: the parsing function.
    *arguments: passed to it.
    place: names the source in errors where gin names no file and line.

  Raises:
    UserError: names the place, the fault and, if there is one, a similar name.
  """
  # gin logs an error for every folder in which an include is not found.
  logging.getLogger().addFilter(_without_search_notes)
  try:
    function(*arguments)
  except SyntaxError as error:
    where = f'{error.filename}:{error.lineno}' if error.filename else place
    raise errors.UserError(f'{where}: {str(error.msg).splitlines()[0]}: {(error.text or "").strip()}') from error
  except (ValueError, TypeError, KeyError, OSError, ImportError, NameError, AttributeError) as error:
    message = str(error)
    match = re.search(r'In file "(.*?)", line (\d+)', message)
    where = f'{match[1]}:{match[2]}' if match else place
    fault = message.splitlines()[0].strip('".')
    raise errors.UserError(f'{where}: {fault}{_suggest_for(message)}') from error
  finally:
    logging.getLogger().removeFilter(_without_search_notes)


def _without_search_notes(record: logging.LogRecord) -> bool:
  """Log filter that drops gin's messages about folders in which a file was not found."""
  return not str(record.msg).startswith('Path not found')


def _suggest_for(message: str) -> str:
  """Suggests a similar name for the unknown name in one of gin's error messages; empty if there is none."""
  unknown = re.match(r"No configurable matching (?:reference )?'@?([\w./]+)", message)
  if unknown:
    registered = [name for selector, _ in gin.config._REGISTRY.items()  # gin has no public list of its configurables
                  for name in {selector, selector.rpartition('.')[2]}]
    return _suggest(unknown[1].rpartition('/')[2], registered)
  unknown = re.match(r"Configurable '([\w./]+)' doesn't have a parameter named '(\w+)'", message)
  if unknown:
    return _suggest(unknown[2], inspect.signature(gin.get_configurable(unknown[1])).parameters)
  return ''


def _suggest(name: str, candidates: Iterable[str]) -> str:
  """Returns '; did you mean X?', or an empty text if no candidate is similar to `name`."""
  close = difflib.get_close_matches(name, sorted(set(candidates)), n=1)
  return f'; did you mean {close[0]}?' if close else ''
