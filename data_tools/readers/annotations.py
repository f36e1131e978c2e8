"""Checks of what the annotations of a dataset hold, for all readers: a wrong entry is named, not stumbled over."""
from typing import Any

import numpy as np

from dhpe_tf import json_files, plain_arrays
from dhpe_tf.errors import UserError
from dhpe_tf.hand import restricted_pickle

_KINDS = {dict: 'an object', list: 'a list', str: 'a text', int: 'a whole number'}


def of_kind(value: Any, kind: type, place: str) -> Any:
  """Returns the value; a UserError that begins with `place` unless it is a dict, list, str or int, as `kind` says."""
  if not isinstance(value, kind) or kind is int and isinstance(value, bool):
    raise UserError(f'{place} must be {_KINDS[kind]}; download it again')
  return value


def entry(entries: dict, name: str, kind: type, place: str) -> Any:
  """Returns an entry of an object; a UserError with place and name unless it is there and of that kind."""
  if name not in entries:
    raise UserError(f'{place}: {name} is missing; take all files from one release')
  return of_kind(entries[name], kind, f'{place}: {name}')


def objects(entries: dict, name: str, place: str) -> list[dict]:
  """Returns an entry of an object that is a list of objects; a UserError if it is anything else."""
  found = entry(entries, name, list, place)
  if not all(isinstance(each, dict) for each in found):
    raise UserError(f'{place}: {name} must be a list of objects; download it again')
  return found


def name_of(value: Any, place: str) -> Any:
  """Returns a text or a whole number, with which something can be looked up; a UserError for anything else."""
  if not isinstance(value, (str, int)):
    raise UserError(f'{place} must be a text or a whole number; download it again')
  return value


def read_json(path: str, kind: type, remedy: str = 'download it again') -> Any:
  """Reads a label file of a dataset; a UserError if it is missing, no JSON, or not a list or object as `kind` says."""
  return of_kind(json_files.read(path, remedy, json_files.MOST_DATASET_BYTES), kind, path)


def pickled_numbers(value: Any, shape: tuple[int, ...], place: str) -> np.ndarray:
  """Returns a value of `restricted_pickle` as a float64 array; a UserError unless it is finite and of this shape."""
  try:
    return numbers(restricted_pickle.to_floats(value), shape, place)
  except UserError:
    raise
  except ValueError as error:
    raise UserError(f'{place} must be {list(shape)} finite numbers') from error


def numbers(value: Any, shape: tuple[int, ...], place: str) -> np.ndarray:
  """Returns a value as a float64 array; a UserError unless it is finite numbers of this shape."""
  try:
    array = plain_arrays.to_floats(value)
  except ValueError:
    array = np.zeros([0])
  if array.shape != shape or not np.isfinite(array).all():
    raise UserError(f'{place} must be {list(shape)} finite numbers')
  return array
