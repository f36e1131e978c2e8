"""Configuration by gin: finds files, layers them, refuses misspelt names, and saves the settings that were used.

Layers, later ones override earlier ones: the defaults in the signatures, `gin/defaults.gin`, a saved configuration
(when a run resumes), the given files, the given single parameters. Files are looked up in the working folder, beside
the file that includes them, and in `gin/` of the repository (or of the installed package, if there is no repository).
So `rhd.gin`, `gin/rhd.gin` and `include 'models/light.gin'` work from any folder.

A gin file may come from somebody else, with a model for instance. So it may import only what the user imports by
--import.
"""
import difflib
import importlib
import inspect
import io
import logging
import os
import pathlib
import pkgutil
import re
import tokenize
from collections.abc import Iterable
from typing import NamedTuple, Optional, TextIO, Union

import gin

from dhpe_tf import errors, files, renamed_settings, setting_checks

# Packages whose modules register gin configurables. Named and not imported, because they depend on this module.
CONFIGURABLE_PACKAGES = ('geometry', 'hand', 'rendering', 'networks', 'losses', 'metrics', 'data', 'visualization',
                         'optimization', 'synthesis', 'finding', 'tasks', 'methods', 'experiment', 'training')
DEFAULTS = 'defaults.gin'
CONFIG_FILE = 'config.gin'  # the settings as given; pass it as `saved` to resume a run
OPERATIVE_FILE = 'operative_config.gin'  # the settings as used, defaults of the code included

_allowed_imports: frozenset[str] = frozenset()

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


def allow_imports(modules: Iterable[str]) -> None:
  """Sets the modules that gin files may import: those that the user has named."""
  global _allowed_imports
  _allowed_imports = frozenset(modules)


def register_configurables() -> None:
  """Imports every module that registers a gin configurable."""
  for name in CONFIGURABLE_PACKAGES:
    package = importlib.import_module(f'dhpe_tf.{name}')
    for module in pkgutil.walk_packages(getattr(package, '__path__', []), f'{package.__name__}.'):
      importlib.import_module(module.name)


def load(gin_files: Iterable[str] = (), gin_params: Iterable[str] = (), saved: Optional[str] = None,
         saved_text: Optional[str] = None) -> None:
  """Replaces the current gin configuration by the layers listed in the module docstring, and locks it.

  Args:
    gin_files: files in the order in which they are applied.
    gin_params: single bindings such as `train.steps = 100`.
    saved: `config.gin` of the run to resume, applied before `gin_files`; it may use former names.
    saved_text: its content, where it is no file of its own; `saved` then only names it.

  Raises:
    UserError: a missing file, a syntax error, a value of a wrong type or absurd size, an unknown name or parameter, or
      a macro that is undefined or unused. The message names the place and, if there is one, a similar name.
  """
  register_configurables()
  gin.clear_config()
  for prefix in (folder(), folder().parent):  # `rhd.gin` and `gin/rhd.gin`
    _add_search_path(prefix)
  used = _parse_file(DEFAULTS)
  if saved:
    _parse_text(_saved_text(saved) if saved_text is None else renamed_settings.renew(saved_text), saved)
    used |= _read(gin.config_str())[1]
  for name in gin_files:
    used |= _parse_file(name)
  for param in gin_params:
    _parse_text(renamed_settings.renew(param), f'--gin_param {param!r}')
    used |= _read(gin.config_str())[1]
  _check_macros(used)
  setting_checks.check()
  _parse(gin.finalize)


def dead_bindings(apart_from: Iterable[str] = ()) -> list[str]:
  """Returns the given bindings that nothing has used so far; call it after one training step.

  Args:
    apart_from: names of configurables, without module, that are used later.

  Returns:
    Sorted names such as `train/build_dataset.batch_size`. Each is a mistake: a setting without effect.
  """
  alive = _read(gin.operative_config_str())[0]
  return sorted(str(given) for given in _read(gin.config_str())[0]
                if given.selector.rpartition('.')[2] not in apart_from
                and not any(_applies(given, used) for used in alive))


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
  path = _find(name)
  _add_search_path(path.parent)
  _parse(_check_file, str(path), place=str(path))
  _parse(gin.parse_config_file, str(path), place=str(path))
  return _read(gin.config_str())[1]


def _parse_text(text: str, place: str) -> None:
  """Parses settings; `place` names them in errors."""
  _parse(_check_statements, text, place, (), place=place)
  _parse(gin.parse_config, text, place=place)


def _check_file(path: str, above: tuple[str, ...] = ()) -> None:
  """Checks the statements of a gin file; `above` are the files that include it."""
  path = os.path.realpath(path)
  if path in above:
    raise errors.UserError(f'{above[-1]}: includes {path}, which includes it in turn; remove one of the two')
  source = io.StringIO(files.read_text(path))
  source.name = path  # gin names it in errors
  _check_statements(source, path, (*above, path))


def _check_statements(source: Union[str, TextIO], place: str, above: tuple[str, ...]) -> None:
  """Raises a UserError for an import that the user has not asked for, there or in an included file.

  Args:
    source: text or open file.
    place: names it in errors.
    above: paths of the files on the way to it, and its own if it is one.
  """
  for statement in gin.config_parser.ConfigParser(source, _Collector()):
    if isinstance(statement, gin.config_parser.ImportStatement) and statement.module not in _allowed_imports:
      raise errors.UserError(f'{place}:{statement.location.line_num}: import of {statement.module} is refused, because '
                             f'it runs code; if you trust that module, give --import={statement.module} to a command '
                             'that has this flag')
    if isinstance(statement, gin.config_parser.IncludeStatement):
      _check_file(_find_included(statement, place), above)


def _find_included(statement: gin.config_parser.IncludeStatement, place: str) -> str:
  """Returns the path of an included file as gin finds it; raises a UserError if there is none."""
  for prefix in gin.config._LOCATION_PREFIXES:
    path = os.path.join(prefix, statement.filename)
    if os.path.isfile(path):
      return path
  raise errors.UserError(f'{place}:{statement.location.line_num}: no file {statement.filename} to include')


def _saved_text(path: str) -> str:
  """Reads a saved configuration and replaces former names; raises a UserError if the file cannot be read."""
  return renamed_settings.renew(files.read_text(path, remedy='choose another --model_dir'))


def _find(name: str) -> pathlib.Path:
  """Returns the path of a gin file, looked up in the working folder, in `gin/` and in the folder above `gin/`."""
  for prefix in (pathlib.Path(), folder(), folder().parent):
    if os.path.isfile(prefix / name):  # unlike Path.is_file, it takes a name of any length
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


def _parse(function, *arguments, place: str = 'configuration') -> None:
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
  except errors.UserError:
    raise
  except SyntaxError as error:
    where = f'{error.filename}:{error.lineno}' if error.filename else place
    raise errors.UserError(f'{where}: {str(error.msg).splitlines()[0]}: {(error.text or "").strip()}') from error
  except tokenize.TokenError as error:
    fault, (line, _) = error.args
    raise errors.UserError(f'{place}:{line}: {fault}; close what is open there') from error
  except (RecursionError, MemoryError) as error:
    raise errors.UserError(f'{place}: nested too deeply; write it flat') from error
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
