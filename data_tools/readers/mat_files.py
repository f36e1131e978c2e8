"""Arrays of numbers from MATLAB's .mat files (level 5), read as plain bytes: sizes are checked before memory is taken.

A file is a header of 128 bytes and elements, each a type, a size and that many bytes. An element of type 15 holds
another one compressed by zlib; one of type 14 is an array: flags, dimensions, name and numbers, again elements
(MathWorks, "MAT-File Format").
"""
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from dhpe_tf import files, plain_arrays
from dhpe_tf.errors import UserError, naming

MOST_BYTES = 1 << 26  # of a file, and of an array when unpacked
_HEADER = 128
_ARRAY, _COMPRESSED = 14, 15
_TYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 9: 'f8', 12: 'i8', 13: 'u8'}
_NUMBER_CLASSES = range(6, 16)  # double, single, and integers of 8 to 64 bits
_COMPLEX = 0x800
_MOST_VARIABLES = 1000


def read(path: str, name: str) -> np.ndarray:
  """Reads one real array of numbers.

  Args:
    path: the file.
    name: of the variable.

  Returns:
    The array, float64.

  Raises:
    UserError: the file is missing, too large, damaged or of another format, or holds no such array.
  """
  content = files.read_within(path, MOST_BYTES)
  with naming(f'{path}: not a .mat file of level 5 with an array of numbers {name}', 'download it again', ValueError,
              KeyError, struct.error, zlib.error):
    order = {b'IM': '<', b'MI': '>'}[content[126:_HEADER]]
    for number, (kind, data) in enumerate(_elements(content[_HEADER:], order)):
      if number == _MOST_VARIABLES:
        raise ValueError('too many variables')
      if kind == _COMPRESSED:
        kind, data = next(_elements(_unpack(data), order))
      parts = _elements(data, order)
      if kind == _ARRAY and _is_named(parts_of := [next(parts) for _ in range(3)], name):
        return _numbers(parts_of, parts, order)
  raise UserError(f'{path}: holds no array {name}; download it again')


def _unpack(data: bytes) -> bytes:
  """Decompresses an element; a ValueError if it is longer than MOST_BYTES."""
  unpacker = zlib.decompressobj()
  content = unpacker.decompress(data, MOST_BYTES)
  if unpacker.unconsumed_tail:
    raise ValueError(f'more than {MOST_BYTES >> 20} MiB when unpacked')
  return content


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
  """Yields type and bytes of the elements; a ValueError where one is cut off."""
  at = 0
  while at < len(content):
    kind, size = struct.unpack_from(f'{order}II', content, at)
    if kind >> 16:  # a short element: size and type in four bytes, then up to four bytes
      kind, size, start, step = kind & 0xffff, kind >> 16, at + 4, 8
    else:
      start, step = at + 8, 8 + size + (-size % 8 if kind != _COMPRESSED else 0)
    if start + size > len(content) or (start == at + 4 and size > 4):
      raise ValueError('cut off')
    yield kind, content[start:start + size]
    at += step
  raise ValueError('it ends too early')


def _is_named(parts: list[tuple[int, bytes]], name: str) -> bool:
  """Whether flags, dimensions and name of an array are of that name."""
  return parts[2][1] == name.encode()


def _numbers(parts: list[tuple[int, bytes]], rest: Iterator[tuple[int, bytes]], order: str) -> np.ndarray:
  """The array of flags, dimensions and name, and the elements after them; a ValueError if it is not of numbers."""
  flags = struct.unpack_from(f'{order}I', parts[0][1])[0]
  if flags & 0xff not in _NUMBER_CLASSES or flags & _COMPLEX:
    raise ValueError('another class than real numbers')
  shape = struct.unpack(f'{order}{len(parts[1][1]) // 4}i', parts[1][1])
  kind, data = next(rest)
  if kind not in _TYPES:
    raise ValueError(f'an unknown type {kind}')
  return plain_arrays.from_bytes(data, plain_arrays.number_type(_TYPES[kind], order), shape, True).astype(np.float64)
