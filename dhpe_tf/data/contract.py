"""Contracts: the named tensors of a batch or of a method's outputs, with shape, type and meaning."""
from collections.abc import Mapping
from typing import NamedTuple, Union

import tensorflow as tf

from dhpe_tf.errors import UserError


class Entry(NamedTuple):
  """One tensor of a contract.

  Attributes:
    shape: one item for each axis: a number; a letter, which stands for the same size throughout the contract ('B' the
      batch, 'S' the image side); or None for any size.
    dtype: its name, such as 'float32'.
    about: meaning, unit and axes.
    optional: whether it may be missing.
  """

  shape: tuple[Union[int, str, None], ...]
  dtype: str
  about: str
  optional: bool = False


Contract = Mapping[str, Entry]


def check(found: Mapping[str, tf.TensorSpec], contract: Contract, what: str, strict: bool = False) -> None:
  """Compares tensors with a contract.

  Args:
    found: tensors or their specifications by name. Unknown sizes (None) match any size.
    contract: the entries that are expected.
    what: names the source of the tensors in errors, such as 'the batch of task hand'.
    strict: whether names outside the contract are refused.

  Raises:
    UserError: a name is missing (or, if `strict`, unknown), or a tensor has another shape or type.
  """
  missing = [name for name, entry in contract.items() if not entry.optional and name not in found]
  if missing:
    raise UserError(f'{what} lacks {", ".join(missing)}; it has {", ".join(sorted(found)) or "nothing"}')
  unknown = sorted(set(found) - set(contract))
  if strict and unknown:
    raise UserError(f'{what} holds {unknown[0]}, which its contract does not know; it knows {", ".join(contract)}')
  sizes: dict[str, int] = {}
  for name, entry in contract.items():
    if name in found:
      _check_entry(found[name], entry, f'{what}: {name}', sizes)


def describe(entry: Entry) -> str:
  """Returns shape, type and meaning of an entry as one line."""
  return f'{_shape_text(entry.shape)} {entry.dtype}: {entry.about}'


def _check_entry(found: tf.TensorSpec, entry: Entry, place: str, sizes: dict[str, int]) -> None:
  """Compares one tensor with its entry; raises a UserError if type or shape differ.

  Args:
    found: the tensor or its specification.
    entry: of the contract.
    place: names the tensor in errors.
    sizes: sizes of the contract's letters so far; letters that are met first are added.
  """
  if tf.as_dtype(found.dtype) != tf.as_dtype(entry.dtype):
    raise UserError(f'{place} is of type {tf.as_dtype(found.dtype).name}, not {entry.dtype}')
  if found.shape.rank is None:
    return
  shape = tuple(found.shape)
  fits = len(shape) == len(entry.shape)
  for size, wanted in zip(shape, entry.shape) if fits else ():
    if isinstance(wanted, str) and size is not None:
      wanted = sizes.setdefault(wanted, size)
    fits = fits and (size is None or not isinstance(wanted, int) or size == wanted)
  if not fits:
    known = ', '.join(f'{letter} = {size}' for letter, size in sizes.items() if letter in entry.shape)
    raise UserError(f'{place} has shape {_shape_text(shape)}, not {_shape_text(entry.shape)}'
                    + (f' with {known}' if known else ''))


def _shape_text(shape: tuple) -> str:
  """Returns a shape as text, such as '[B, 21, ?]'."""
  return f'[{", ".join("?" if size is None else str(size) for size in shape)}]'
