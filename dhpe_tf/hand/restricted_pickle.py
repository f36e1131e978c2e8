"""Reads the pickles in which MANO and some datasets are distributed without running the code that they contain.

`plain_pickle` reads the opcodes. Here is what the names in such files mean: NumPy arrays are made from their bytes once
type, shape and size agree; a SciPy sparse matrix and chumpy's array classes become records of their arrays, so neither
SciPy nor chumpy is needed, and none of their code, nor NumPy's for pickles, is ever called. Arrays that hold no numbers
become records without content.
"""
import os
from collections.abc import Iterable
from typing import Any, Optional

import numpy as np

from dhpe_tf import files, plain_arrays
from dhpe_tf.errors import UserError
from dhpe_tf.pickles import plain_pickle

MOST_BYTES = 1 << 29  # of a file; RHD's annotations are 86 MB
_MOST_DENSE = 1 << 22  # entries of a sparse matrix written out; those of a body model are 0.6 million
_NUMBERS = (bool, int, float, np.bool_, np.number)


class _Type(plain_pickle.Record):
  """numpy.dtype: a code, and the order of bytes in its state."""

  __slots__ = ('code', 'order', 'plain')

  def __init__(self, code: Any, *unused: Any):
    super().__init__()
    self.code, self.order, self.plain = code, '', True

  def set_state(self, state: Any) -> plain_pickle.Record:
    """Takes (version, order of bytes, subtype, names, fields, ...)."""
    if type(state) is not tuple or len(state) < 5 or type(state[1]) is not str:
      raise ValueError('a type of numbers that is damaged')
    self.order, self.plain = state[1], state[2] is state[3] is state[4] is None
    return self

  def dtype(self) -> Optional[np.dtype]:
    """The type, or None if it is no plain type of numbers."""
    return plain_arrays.number_type(self.code, self.order) if self.plain else None


class _Array(plain_pickle.Record):
  """numpy.ndarray before its state is known, or one that holds no numbers."""

  __slots__ = ()

  def set_state(self, state: Any) -> Any:
    """Takes (version, shape, type, whether in Fortran's order, bytes) and returns the array."""
    if type(state) is not tuple or len(state) != 5 or not isinstance(state[2], _Type):
      raise ValueError('an array that is damaged')
    _, shape, kind, fortran_order, content = state
    return _make_array(content, kind, shape, bool(fortran_order is True or fortran_order == 1))


class _Attributes(plain_pickle.Record):
  """An object of a foreign class: keeps the attributes in `KEPT`; has no behaviour of that class."""

  __slots__ = ('attributes',)
  KEPT: tuple[str, ...] = ()

  def __init__(self, *unused: Any):
    super().__init__()
    self.attributes: dict[str, Any] = {}

  def set_state(self, state: Any) -> plain_pickle.Record:
    """Takes the attributes of the object."""
    if type(state) is dict:
      self.attributes = {name: state[name] for name in self.KEPT if name in state}
    return self

  def parts(self) -> Iterable[Any]:
    """The attributes."""
    return self.attributes.values()

  def numbers(self, name: str, kinds: str) -> np.ndarray:
    """An attribute that must be an array of one of the kinds ('i' integers, 'u' unsigned, 'f' floats)."""
    value = self.attributes.get(name)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
      raise ValueError(f'{name} is no array of numbers')
    return value

  def array(self) -> np.ndarray:
    """The values that the pickled object held."""
    raise NotImplementedError


class _ChumpyArray(_Attributes):
  """chumpy.ch.Ch: an array `x`."""

  __slots__ = ()
  KEPT = ('x',)

  def array(self) -> np.ndarray:
    return to_array(self.attributes.get('x'))


class _ChumpySelect(_Attributes):
  """chumpy.reordering.Select: entries `idxs` of the flattened `a`, in `preferred_shape`."""

  __slots__ = ()
  KEPT = ('a', 'idxs', 'preferred_shape')

  def array(self) -> np.ndarray:
    values, places = to_array(self.attributes.get('a')).ravel(), self.numbers('idxs', 'iu')
    if places.size and not 0 <= places.min() <= places.max() < len(values):
      raise ValueError('idxs lie outside of the array')
    chosen = values[places.astype(np.int64)]
    return _reshape(chosen, self.attributes.get('preferred_shape', chosen.shape))


class _ChumpyReshape(_Attributes):
  """chumpy.reordering.Reshape: `a` in `newshape`."""

  __slots__ = ()
  KEPT = ('a', 'newshape')

  def array(self) -> np.ndarray:
    return _reshape(to_array(self.attributes.get('a')), self.attributes.get('newshape'))


class _SparseColumns(_Attributes):
  """scipy.sparse.csc_matrix, of any SciPy version."""

  __slots__ = ()
  KEPT = ('_shape', 'shape', 'data', 'indices', 'indptr')

  def array(self) -> np.ndarray:
    shape = self.attributes.get('_shape', self.attributes.get('shape'))
    plain_arrays.check_shape(shape)
    if len(shape) != 2 or shape[0] * shape[1] > _MOST_DENSE:
      raise ValueError(f'a sparse matrix of shape {list(shape)}')
    data, rows, starts = self.numbers('data', 'fiu'), self.numbers('indices', 'iu'), self.numbers('indptr', 'iu')
    starts = starts.astype(np.int64)
    if not data.ndim == rows.ndim == starts.ndim == 1 or len(starts) != shape[1] + 1 or starts[0] != 0 or (
        np.diff(starts) < 0).any() or starts[-1] > min(len(data), len(rows)):
      raise ValueError('indptr of a sparse matrix does not fit its data')
    rows, data = rows[:starts[-1]], data[:starts[-1]]
    if rows.size and not 0 <= rows.min() <= rows.max() < shape[0]:
      raise ValueError('indices of a sparse matrix lie outside of it')
    dense = np.zeros(shape, data.dtype.newbyteorder('='))
    np.add.at(dense, (rows.astype(np.int64), np.repeat(np.arange(shape[1]), np.diff(starts))), data)
    return dense


def _reshape(values: np.ndarray, shape: Any) -> np.ndarray:
  """The array in another shape of as many entries."""
  shape = tuple(shape) if type(shape) is list else shape
  plain_arrays.check_shape(shape)
  return values.reshape(shape)


def to_array(value: Any) -> np.ndarray:
  """Returns the array in a value of a loaded file: an array, a number, lists of them, or a record of an array.

  Raises:
    ValueError: the value holds anything but numbers, or its parts do not fit together.
  """
  if isinstance(value, _Attributes):
    return value.array()
  waiting = [value]
  while waiting:
    part = waiting.pop()
    if isinstance(part, (list, tuple)):
      waiting += part
    elif not isinstance(part, (*_NUMBERS, np.ndarray)):
      raise ValueError(f'{type(part).__name__} where numbers were expected')
  return np.asarray(value)


def to_floats(value: Any) -> np.ndarray:
  """Returns the array in a value of a loaded file, see `to_array`, as float64.

  Raises:
    ValueError: as `to_array`, or a number is too large.
  """
  try:
    return to_array(value).astype(np.float64)
  except (TypeError, OverflowError) as error:
    raise ValueError(str(error)) from error


def _make_array(content: Any, kind: _Type, shape: Any, fortran_order: bool) -> Any:
  """The array, or a record without content for types that are no numbers."""
  dtype = kind.dtype()
  if dtype is None:
    return _Array()
  if type(content) is str:  # Python 2
    content = content.encode('latin1')
  if type(content) is not bytes:
    raise ValueError('an array without bytes')
  return plain_arrays.from_bytes(content, dtype, shape, fortran_order)


def _reconstruct_array(kind: Any, shape: Any, code: Any) -> _Array:
  """numpy.core.multiarray._reconstruct: an empty array, which the pickle's state then fills."""
  del shape, code
  if not isinstance(kind, plain_pickle.Name) or kind.key != ('numpy', 'ndarray'):
    raise plain_pickle.RefusedError('an array of a class other than numpy.ndarray')
  return _Array()


def _scalar(kind: Any, content: Any = b'') -> Any:
  """numpy.core.multiarray.scalar: one number of a type from its bytes."""
  if not isinstance(kind, _Type):
    raise ValueError('a number without a type')
  made = _make_array(content, kind, (), False)
  return made[()] if isinstance(made, np.ndarray) else made


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> Any:
  """numpy.core.numeric._frombuffer: an array of pickle protocol 5 from its bytes."""
  if not isinstance(kind, _Type) or order not in ('C', 'F'):
    raise ValueError('an array that is damaged')
  return _make_array(content, kind, shape, order == 'F')


def _reconstruct_object(kind: Any, base: Any, state: Any) -> plain_pickle.Record:
  """copyreg._reconstructor: an empty record, whose state the pickle then sets; refuses any other class."""
  made = _RECORDS.get(kind.key) if isinstance(kind, plain_pickle.Name) else None
  if made is None or not isinstance(base, plain_pickle.Name) or base.key != ('builtins', 'object') or state is not None:
    raise plain_pickle.RefusedError('an object of a foreign class')
  return made()


_RECORDS = {
    ('chumpy.ch', 'Ch'): _ChumpyArray,
    ('chumpy', 'Ch'): _ChumpyArray,
    ('chumpy.reordering', 'Select'): _ChumpySelect,
    ('chumpy.reordering', 'Reshape'): _ChumpyReshape,
    ('scipy.sparse.csc', 'csc_matrix'): _SparseColumns,
    ('scipy.sparse._csc', 'csc_matrix'): _SparseColumns,
}
_CALLS: plain_pickle.Calls = {
    **_RECORDS,
    ('numpy', 'ndarray'): None,
    ('numpy', 'dtype'): _Type,
    ('numpy.core.multiarray', '_reconstruct'): _reconstruct_array,
    ('numpy._core.multiarray', '_reconstruct'): _reconstruct_array,
    ('numpy.core.multiarray', 'scalar'): _scalar,
    ('numpy._core.multiarray', 'scalar'): _scalar,
    ('numpy.core.numeric', '_frombuffer'): _from_buffer,
    ('numpy._core.numeric', '_frombuffer'): _from_buffer,
    ('_codecs', 'encode'): plain_pickle.encode,
    ('copyreg', '_reconstructor'): _reconstruct_object,
    ('builtins', 'bytes'): plain_pickle.no_bytes,
    ('builtins', 'object'): None,
    ('builtins', 'set'): plain_pickle.make_set,
}


def load(path: str) -> Any:
  """Loads a pickle of arrays and plain containers that any Python version wrote.

  Args:
    path: the file.

  Returns:
    The pickled object; `to_array` and `to_floats` read the arrays inside records of foreign objects.

  Raises:
    UserError: the file is missing, not a pickle, damaged, too large, or names anything that is not allowed (the message
      says what); none of its code was executed.
  """
  path = os.fspath(path)
  content = files.read_within(path, MOST_BYTES)
  try:
    return plain_pickle.read(content, _CALLS)[0]
  except plain_pickle.RefusedError as refused:
    raise UserError(f'{path}: refused to load, because the pickle asks for {refused}, which a hand model has no use '
                    'for; it may be malicious or no hand model. Take the file from its publisher.') from refused
  # Whatever a damaged or hostile stream makes the reader raise means the same to the user.
  except Exception as error:
    raise UserError(f'{path}: not a readable pickle of a hand model ({type(error).__name__}: {error}). '
                    'Download it again.') from error
