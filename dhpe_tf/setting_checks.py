"""Checks of the values in a gin configuration against the signatures that they are for: type and absurd sizes."""
import collections.abc
import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any, Optional

import gin

from dhpe_tf.errors import UserError

# Largest values of parameters that memory depends on, far beyond any that was used.
_MOST = {'image_size': 4096, 'mask_size': 4096, 'batch_size': 1 << 16, 'shuffle_buffer': 1 << 24, 'pool_size': 1 << 16,
         'pool_side_px': 4096}
_MOST_WHOLE = 2**31 - 1  # of every whole number: larger ones do not fit into the tensors that they become
_WORDS = {bool: 'True or False', int: 'a whole number', float: 'a number', str: 'a text'}
_MACRO = 'gin.macro'
_UNIONS = (typing.Union, getattr(types, 'UnionType', typing.Union))


def check() -> None:
  """Checks all bindings of the loaded configuration.

  Raises:
    UserError: a value is of another type than its parameter, or far too large.
  """
  for selector, parameter, value in _bindings():
    expected = _parameter(selector, parameter)
    name = f'{selector.rpartition(".")[2]}.{parameter}'
    if expected is not None and not fits(value, expected):
      raise UserError(f'configuration: {name} is {_short(value)}, but must be {_words(expected)}')
    most = _MOST.get(parameter)
    if most is not None and isinstance(value, (int, float)) and not 0 <= value <= most:
      raise UserError(f'configuration: {name} is {_short(value)}, but must be from 0 to {most}')
    if not _is_moderate(value):
      raise UserError(f'configuration: {name} holds a whole number beyond {_MOST_WHOLE}: {_short(value)}; correct it')


def fits(value: Any, expected: Any) -> bool:
  """Whether a value is of a type as a signature states it; references of gin and types not known here always fit."""
  if isinstance(value, gin.config.ConfigurableReference):
    return True
  origin, parts = typing.get_origin(expected), typing.get_args(expected)
  if origin in _UNIONS:
    return any(fits(value, part) for part in parts)
  if expected is type(None):
    return value is None
  if expected in (bool, str):
    return isinstance(value, expected)
  if expected in (int, float):
    return isinstance(value, (int,) if expected is int else (int, float)) and not isinstance(value, bool)
  if origin is tuple or origin is collections.abc.Sequence or origin is list:
    return isinstance(value, (list, tuple)) and all(fits(item, part) for item, part in _paired(value, parts))
  return True


def _is_moderate(value: Any) -> bool:
  """Whether the whole numbers in a value are not beyond _MOST_WHOLE."""
  if isinstance(value, (list, tuple)):
    return all(map(_is_moderate, value))
  return not isinstance(value, int) or abs(value) <= _MOST_WHOLE


def _paired(values: Any, parts: tuple) -> Iterator[tuple[Any, Any]]:
  """Pairs the items of a sequence with their types; all have the same one unless a tuple's are given one by one."""
  if len(parts) == len(values) and Ellipsis not in parts:
    return zip(values, parts)
  return ((value, parts[0]) for value in values) if parts else iter(())


def _bindings() -> Iterator[tuple[str, str, Any]]:
  """Yields selector, parameter and value of each binding; a macro's value is that of the parameter it is used for."""
  macros = {scope: bound.get('value') for (scope, selector), bound in gin.config._CONFIG.items() if selector == _MACRO}
  for (_, selector), bound in gin.config._CONFIG.items():
    for parameter, value in bound.items():
      if selector == _MACRO:
        continue
      scoped = getattr(value, 'scoped_selector', '')
      yield selector, parameter, macros.get(scoped[:-len(_MACRO) - 1], value) if scoped.endswith(_MACRO) else value


def _parameter(selector: str, parameter: str) -> Optional[Any]:
  """The type of a parameter by its annotation or, without one, its default; None if neither tells."""
  found = inspect.signature(gin.get_configurable(selector)).parameters.get(parameter)
  if found is None:
    return None
  if found.annotation is not inspect.Parameter.empty:
    return found.annotation
  return type(found.default) if type(found.default) in _WORDS else None


def _words(expected: Any) -> str:
  """A type in words."""
  if typing.get_origin(expected) in _UNIONS:
    return ' or '.join(_words(part) for part in typing.get_args(expected))
  if typing.get_origin(expected) is not None:
    return f'a list of the form {expected}'.replace('typing.', '').replace('collections.abc.', '')
  return 'None' if expected is type(None) else _WORDS.get(expected, str(expected))


def _short(value: Any) -> str:
  """A value as the user wrote it, at most 60 characters."""
  text = ' '.join(repr(value).split())
  return text if len(text) <= 60 else f'{text[:57]}...'
