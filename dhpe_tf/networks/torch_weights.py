"""Reads weights that PyTorch saved (the format before 1.6), without PyTorch and without executing the pickle.

The file holds five pickles (magic number, protocol, machine, state dictionary, storage keys) and then, for each key,
the number of elements and the raw values. Only the four names that a state dictionary needs are let through.
"""
import collections
import pickle
from typing import Any

import numpy as np

from dhpe_tf import errors

_MAGIC = 0x1950a86a20f9469cfc6c
_DTYPES = {'FloatStorage': np.dtype('<f4'), 'LongStorage': np.dtype('<i8')}


class _Storage:
  """A block of values [n]; they follow the pickles in the file and are filled in after the state dictionary."""

  def __init__(self, dtype: np.dtype):
    self.dtype = dtype
    self.values = None


class _Tensor:
  """A strided view of a storage: its offset, shape and strides in elements."""

  def __init__(self, storage: _Storage, offset: int, shape: tuple, strides: tuple, *unused):
    self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

  def to_numpy(self) -> np.ndarray:
    """A copy of the tensor's values; a ValueError if it reaches beyond its storage."""
    values = self.storage.values[self.offset:]
    last = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))
    if last >= len(values) or min(self.strides, default=0) < 0:
      raise ValueError('a tensor reaches beyond its storage')
    return np.lib.stride_tricks.as_strided(
        values, self.shape, [stride * values.itemsize for stride in self.strides]).copy()


class _Unpickler(pickle.Unpickler):
  """An unpickler that resolves the four names of a state dictionary and refuses all others."""

  def __init__(self, file):
    super().__init__(file)
    self.storages = {}

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
      return _Tensor
    if module == 'torch' and name in _DTYPES:
      return _DTYPES[name]
    raise pickle.UnpicklingError(f'it asks for {module}.{name}, which no table of weights needs')

  def persistent_load(self, pid: tuple) -> _Storage:
    _, dtype, key, *_ = pid
    return self.storages.setdefault(key, _Storage(dtype))


def read_state(path: str) -> dict[str, np.ndarray]:
  """Reads a state dictionary.

  Args:
    path: a file written by `torch.save(model.state_dict())` of PyTorch before 1.6.

  Returns:
    Arrays by parameter name, in PyTorch's layouts (convolutions [out, in, height, width]).

  Raises:
    UserError: the file is missing, of another kind, truncated, or asks for more than weights.
  """
  try:
    with open(path, 'rb') as file:
      if _Unpickler(file).load() != _MAGIC:
        raise ValueError('its first entry is not the magic number of that format')
      _Unpickler(file).load()
      _Unpickler(file).load()
      reader = _Unpickler(file)
      state = reader.load()
      for key in _Unpickler(file).load():
        storage = reader.storages[key]
        count = int(np.frombuffer(file.read(8), '<i8')[0])
        storage.values = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype, count)
    return {name: tensor.to_numpy() for name, tensor in state.items()}
  except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError,
          pickle.UnpicklingError) as error:
    raise errors.UserError(f'{path} is no file of PyTorch weights that can be read here: {error}') from error
