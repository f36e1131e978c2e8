"""Arrays of numbers from the bytes of a file: type, shape and size are checked before NumPy sees them."""
import math
import re
import zipfile
from typing import Any, Optional, Union

import numpy as np

from dhpe_tf import files
from dhpe_tf.errors import UserError

MOST_NPZ_BYTES = 1 << 28  # of all arrays of a file together, unpacked
_MOST_MEMBERS = 1000
_MOST_AXES = 8
_LONGEST_AXIS = 1 << 31
_LONGEST_HEADER = 10_000
_LONGEST_TEXT = 10_000  # characters
_LONGEST_NAME = 100
_LONGEST_FAULT = 200  # characters; zipfile quotes what it found
_NUMBER = re.compile(r'([<>=|]?)([biuf])([1248])')
_TEXT = re.compile(r'([<>]?)U(\d{1,5})')
_HEADER = re.compile(r"""\{\s*'descr':\s*'([<>=|]?\w{1,6})',\s*'fortran_order':\s*(True|False),\s*"""
                     r"""'shape':\s*\(([\d,\s]{0,200})\),?\s*\}\s*""")


def number_type(code: Any, order: str = '') -> Optional[np.dtype]:
  """Returns the type of booleans, integers or floats with a code such as '<f8' or 'u4', or None for any other code.

  Args:
    code: as NumPy writes it.
    order: '<', '>', '=' or '|' if it stands elsewhere.
  """
  found = _NUMBER.fullmatch(code) if type(code) is str else None
  known = found and (found[2] != 'b' or found[3] == '1') and (found[2] != 'f' or found[3] != '1')
  if not known or order not in ('', '<', '>', '=', '|'):
    return None
  return np.dtype(('>' if (order or found[1]) == '>' else '<') + found[2] + found[3])


def from_bytes(content: bytes, dtype: np.dtype, shape: Any, fortran_order: bool = False) -> np.ndarray:
  """Makes an array.

  Args:
    content: all bytes of the array.
    dtype: of `number_type`.
    shape: of the array, still unchecked.
    fortran_order: whether the first axis is the one that runs fastest.

  Raises:
    ValueError: `shape` is no shape, or does not fit the number of bytes.
  """
  check_shape(shape)
  if math.prod(shape) * dtype.itemsize != len(content):
    raise ValueError(f'{len(content)} bytes for an array of shape {list(shape)}')
  if dtype.kind == 'b':
    # A boolean with another byte than 0 or 1 is neither true nor false to NumPy.
    return (np.frombuffer(content, np.uint8) != 0).reshape(shape, order='F' if fortran_order else 'C')
  return np.frombuffer(content, dtype).reshape(shape, order='F' if fortran_order else 'C').copy(order='K')


def check_shape(shape: Any) -> None:
  """Raises a ValueError unless `shape` is a tuple of a few numbers that can be the lengths of axes."""
  if type(shape) is not tuple or len(shape) > _MOST_AXES or not all(
      type(size) is int and 0 <= size < _LONGEST_AXIS for size in shape):
    raise ValueError('a shape that is no shape')


def to_floats(value: Any) -> np.ndarray:
  """Converts nested lists of numbers, as JSON gives them, to a float64 array.

  Raises:
    ValueError: they hold anything but numbers, or are no array.
  """
  array = np.asarray(value)
  if array.dtype.kind not in 'biuf':
    raise ValueError('something that is not a number')
  return array.astype(np.float64)


def read_npz(path: str) -> dict[str, Union[np.ndarray, str]]:
  """Reads the arrays of numbers, and the texts, of an npz file.

  Raises:
    UserError: the file is missing, damaged, holds anything else, or unpacks to more than MOST_NPZ_BYTES.
  """
  files.check_input(path, MOST_NPZ_BYTES)
  try:
    with zipfile.ZipFile(path) as archive:
      members = archive.infolist()
      if len(members) > _MOST_MEMBERS or sum(member.file_size for member in members) > MOST_NPZ_BYTES:
        raise ValueError(f'more than {_MOST_MEMBERS} arrays or {MOST_NPZ_BYTES >> 20} MiB when unpacked')
      # NumPy writes no others, and lzma takes memory as the file asks.
      if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise ValueError('another compression than deflate')
      left, found = MOST_NPZ_BYTES, {}
      for member in members:
        with archive.open(member) as file:
          content = files.read_member(file, left)
        left -= len(content)
        name = member.filename.removesuffix('.npy')[:_LONGEST_NAME]
        if name in found:
          raise ValueError(f'{name} is there twice')
        found[name] = _parse_npy(content, name)
      return found
  except UserError:
    raise
  # Whatever zipfile raises for a damaged archive means the same to the user.
  except Exception as error:
    raise UserError(f'{path}: not a readable npz file of plain arrays ({str(error)[:_LONGEST_FAULT]}); make it or '
                    'download it again') from error


def _parse_npy(content: bytes, name: str) -> Union[np.ndarray, str]:
  """Parses an array or a single text in NumPy's format; a ValueError with its name if it is another thing."""
  major = content[6] if content[:6] == b'\x93NUMPY' and len(content) > 12 else 0
  start = {1: 10, 2: 12, 3: 12}.get(major)
  if start is None:
    raise ValueError(f'{name} is no array')
  size = int.from_bytes(content[8:start], 'little')
  header = _HEADER.fullmatch(content[start:start + size].decode('latin1')) if size <= _LONGEST_HEADER else None
  if header is None:
    raise ValueError(f'{name} is no plain array of numbers')
  content, shape = content[start + size:], tuple(int(text) for text in header[3].split(',') if text.strip())
  text = _TEXT.fullmatch(header[1])
  if text and shape == () and len(content) == 4 * int(text[2]) <= 4 * _LONGEST_TEXT:
    return content.decode('utf-32-be' if text[1] == '>' else 'utf-32-le').rstrip('\0')
  dtype = number_type(header[1])
  if dtype is None:
    raise ValueError(f'{name} is no array of numbers, but of {header[1]}')
  try:
    return from_bytes(content, dtype, shape, header[2] == 'True')
  except ValueError as error:
    raise ValueError(f'{name}: {error}') from error
