"""Reads the pickles in which MANO is distributed without running the code that they contain.

A pickle is a program: it may call any function it names. Here only the names in `_ALLOWED` resolve, and each of them to
something that only holds data. MANO's files name NumPy arrays, a SciPy sparse matrix and chumpy's array classes; the
latter two become stand-ins that keep the pickled attributes, so that neither chumpy nor a certain SciPy is needed.
"""
import os
import pickle
from typing import Any

import numpy as np
import scipy.sparse

from dhpe_tf.errors import UserError


class _Attributes:
  """Keeps the pickled attributes of an object of a foreign class; has no behaviour of that class."""

  def __init__(self, *unused: Any):
    self.attributes: dict = {}

  def __setstate__(self, state: Any) -> None:
    self.attributes = state if isinstance(state, dict) else {}

  def array(self) -> np.ndarray:
    """The values that the pickled object held."""
    raise NotImplementedError


class _ChumpyArray(_Attributes):
  """chumpy.ch.Ch: an array `x`."""

  def array(self) -> np.ndarray:
    return to_array(self.attributes['x'])


class _ChumpySelect(_Attributes):
  """chumpy.reordering.Select: entries `idxs` of the flattened `a`, in `preferred_shape`."""

  def array(self) -> np.ndarray:
    chosen = to_array(self.attributes['a']).ravel()[np.asarray(self.attributes['idxs'])]
    return chosen.reshape(self.attributes.get('preferred_shape', chosen.shape))


class _ChumpyReshape(_Attributes):
  """chumpy.reordering.Reshape: `a` in `newshape`."""

  def array(self) -> np.ndarray:
    return to_array(self.attributes['a']).reshape(self.attributes['newshape'])


class _SparseColumns(_Attributes):
  """scipy.sparse.csc_matrix, of any SciPy version."""

  def array(self) -> np.ndarray:
    parts = self.attributes
    shape = parts['_shape'] if '_shape' in parts else parts['shape']
    return scipy.sparse.csc_matrix((parts['data'], parts['indices'], parts['indptr']), shape=shape).toarray()


def to_array(value: Any) -> np.ndarray:
  """The array in a value of a loaded dictionary: of a stand-in its `array()`, of anything else `np.asarray`."""
  return value.array() if isinstance(value, _Attributes) else np.asarray(value)


def _reconstruct_array(kind: type, shape: tuple, code: Any) -> np.ndarray:
  """numpy.core.multiarray._reconstruct for plain arrays: an empty one, which the pickle's state then fills."""
  del shape, code
  if kind is not np.ndarray:
    raise pickle.UnpicklingError('an array of a class other than numpy.ndarray')
  return np.ndarray.__new__(np.ndarray, (0,), 'b')


def _scalar(dtype: np.dtype, value: bytes = b'') -> Any:
  """numpy.core.multiarray.scalar: one number of a dtype from its bytes."""
  if not isinstance(dtype, np.dtype) or dtype.hasobject:
    raise pickle.UnpicklingError('a NumPy scalar that is not a number')
  return np.frombuffer(value.encode('latin1') if isinstance(value, str) else value, dtype)[0]


def _encode(text: str, encoding: str) -> bytes:
  """_codecs.encode for latin-1, the call by which newer Pythons write bytes into old protocols."""
  if encoding not in ('latin1', 'latin-1'):
    raise pickle.UnpicklingError(f'encoding {encoding!r}')
  return text.encode('latin1')


def _reconstruct_object(kind: type, base: type, state: Any) -> Any:
  """copyreg._reconstructor: an empty stand-in, whose state the pickle then sets; refuses any other class."""
  if not (isinstance(kind, type) and issubclass(kind, _Attributes)) or base is not object or state is not None:
    raise pickle.UnpicklingError('an object of a foreign class')
  return kind()


def _from_buffer(buffer: bytes, dtype: np.dtype, shape: tuple, order: str) -> np.ndarray:
  """numpy.core.numeric._frombuffer: an array of pickle protocol 5 from its bytes."""
  return np.frombuffer(buffer, dtype).reshape(shape, order=order)


_PYTHON_2_NAMES = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}
_ALLOWED = {
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
    ('_codecs', 'encode'): _encode,
    ('copyreg', '_reconstructor'): _reconstruct_object,
    ('builtins', 'object'): object,
    ('builtins', 'set'): set,
    ('chumpy.ch', 'Ch'): _ChumpyArray,
    ('chumpy', 'Ch'): _ChumpyArray,
    ('chumpy.reordering', 'Select'): _ChumpySelect,
    ('chumpy.reordering', 'Reshape'): _ChumpyReshape,
}
for _module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
  _ALLOWED[_module, '_reconstruct'] = _reconstruct_array
  _ALLOWED[_module, 'scalar'] = _scalar
for _module in ('numpy.core.numeric', 'numpy._core.numeric'):
  _ALLOWED[_module, '_frombuffer'] = _from_buffer
for _module in ('scipy.sparse.csc', 'scipy.sparse._csc'):
  _ALLOWED[_module, 'csc_matrix'] = _SparseColumns


class _Unpickler(pickle.Unpickler):
  """An unpickler that resolves the names in `_ALLOWED` and refuses all others."""

  def find_class(self, module: str, name: str) -> Any:
    module = _PYTHON_2_NAMES.get(module, module)
    if (module, name) not in _ALLOWED:
      raise _RefusedError(f'{module}.{name}')
    return _ALLOWED[module, name]

  def persistent_load(self, pid: Any) -> Any:
    raise _RefusedError('a persistent object')


class _RefusedError(pickle.UnpicklingError):
  """The pickle names something that is not in `_ALLOWED`; its text is that name."""


def load(path: str) -> Any:
  """Loads a pickle of arrays and plain containers that any Python version wrote.

  Args:
    path: the file.

  Returns:
    The pickled object; `to_array` reads the arrays inside stand-ins of foreign objects.

  Raises:
    UserError: the file is missing, not a pickle, damaged, or names anything that is not allowed (the message says
      what); none of its code was executed.
  """
  path = os.fspath(path)
  try:
    with open(path, 'rb') as file:
      return _Unpickler(file, encoding='latin1').load()
  except OSError as error:
    raise UserError(f'cannot read {path}: {error.strerror or error}') from error
  except _RefusedError as refused:
    raise UserError(f'{path}: refused to load, because the pickle asks for {refused}, which a hand model has no use '
                    'for; it may be malicious or no hand model. Take the file from its publisher.') from refused
  # Whatever a damaged or hostile stream makes the unpickler raise means the same to the user.
  except Exception as error:
    raise UserError(f'{path}: not a readable pickle of a hand model ({type(error).__name__}: {error}). '
                    'Download it again.') from error
