"""Reads pickles as data: a small interpreter of pickle's opcodes that runs nothing of what a pickle asks for.

A pickle is a program. This reader understands the opcodes that make numbers, texts, bytes and plain containers. Where
a pickle calls something by name, a function of ours gets the plain arguments, or the reading ends; nothing is imported,
and no object that exists outside of the reading can be reached or changed. What a pickle may cost is limited too: the
number of opcodes, the bytes of what they make, the depth of the result, and its size when every shared part is counted
as often as it is used.
"""
from collections.abc import Callable
from typing import Any, Optional

from dhpe_tf.pickles import extent, opcodes
from dhpe_tf.pickles.machine import Calls, Machine, Name, Record, RefusedError, key_of

__all__ = ['Calls', 'Name', 'Record', 'RefusedError', 'encode', 'make_set', 'no_bytes', 'read']

MOST_OPCODES = 20_000_000
_FREE_EXTENT = 4_000_000  # parts that even a short pickle may have when shared ones are counted again


def read(data: bytes, calls: Calls, start: int = 0,
         persistent: Optional[Callable[[Any], Any]] = None) -> tuple[Any, int]:
  """Reads one pickle.

  Args:
    data: the bytes of a file.
    calls: the names that are let through; the function that gets the arguments where the pickle calls it, or None for a
      name that may only be an argument itself. Functions must check all that they get.
    start: where the pickle begins.
    persistent: gets the identifiers of objects outside of the pickle; None to refuse them.

  Returns:
    The value, made of plain values, what `calls` return, and `Name`s; and the position behind the pickle.

  Raises:
    RefusedError: the pickle asks for something that is not let through.
    ValueError, LookupError, TypeError: it is damaged, or larger than the limits of this folder's modules.
  """
  machine = Machine(data, calls, start, persistent)
  functions = opcodes.OPCODES
  for _ in range(MOST_OPCODES):
    code = data[machine.position]
    machine.position += 1
    if code == opcodes.STOP:
      value = machine.stack.pop()
      extent.check(value, _FREE_EXTENT + len(data) // 2)
      return value, machine.position
    functions[code](machine)
  raise ValueError(f'more than {MOST_OPCODES} opcodes')


def make_set(items: Any) -> set:
  """A set from a list, which earlier protocols write as a call: for the name ('builtins', 'set')."""
  if type(items) is not list:
    raise ValueError('a set of something that is no list')
  return set(map(key_of, items))


def encode(text: Any, encoding: Any) -> bytes:
  """Bytes, which newer Pythons write into old protocols as a call: for the name ('_codecs', 'encode')."""
  if type(text) is not str or encoding not in ('latin1', 'latin-1'):
    raise RefusedError('another encoding than latin1')
  return text.encode('latin1')


def no_bytes() -> bytes:
  """Empty bytes, which newer Pythons write into old protocols as a call: for the name ('builtins', 'bytes')."""
  return b''
