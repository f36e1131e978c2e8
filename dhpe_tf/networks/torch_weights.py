"""Reads weights that PyTorch saved (the format before 1.6), without PyTorch and without executing the pickle.

The file holds five pickles (magic number, protocol, machine, state dictionary, storage keys) and then, for each key,
the number of elements and the raw values. `plain_pickle` reads them; only the names that a state dictionary needs are
let through, and a tensor is a record of its place until that is checked against its storage.
"""
import math
from typing import Any

import numpy as np

from dhpe_tf import errors, files, plain_arrays
from dhpe_tf.pickles import plain_pickle

MOST_BYTES = 1 << 30  # of a file
_MAGIC = 0x1950a86a20f9469cfc6c
_DTYPES = {'FloatStorage': '<f4', 'LongStorage': '<i8'}
# Tensors may share a storage, as tied weights do; all of them together may be so many times the file.
_SHARING = 4


class _Storage:
  """A block of values [n]; they follow the pickles in the file and are filled in after the state dictionary."""

  def __init__(self, dtype: np.dtype, size: int):
    self.dtype = dtype
    self.size = size
    self.values = np.zeros([0], dtype)


class _Tensor(plain_pickle.Record):
  """A strided view of a storage: its offset, shape and strides in elements."""

  __slots__ = ('storage', 'offset', 'shape', 'strides')

  def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any, *unused: Any):
    super().__init__()
    plain_arrays.check_shape(shape)
    plain_arrays.check_shape(strides)
    plain_arrays.check_shape((offset,))
    if not isinstance(storage, _Storage) or len(strides) != len(shape):
      raise ValueError('a tensor that is damaged')
    self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

  @property
  def size(self) -> int:
    """Number of elements."""
    return math.prod(self.shape)

  def to_numpy(self) -> np.ndarray:
    """A copy of the tensor's values; a ValueError if it reaches beyond its storage or repeats it."""
    values = self.storage.values
    last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))
    if self.size > len(values) or (self.size and last >= len(values)):
      raise ValueError('a tensor reaches beyond its storage')
    if not self.size:
      return np.zeros(self.shape, values.dtype)
    places = np.full([1] * len(self.shape), self.offset, np.int64)
    for axis, (size, stride) in enumerate(zip(self.shape, self.strides)):
      places = places + (stride * np.arange(size)).reshape([-1 if i == axis else 1 for i in range(len(self.shape))])
    return values[places]


class _StateReader:
  """Reads the pickles of a file one after another."""

  def __init__(self, content: bytes):
    self.content = content
    self.position = 0
    self.storages: dict[Any, _Storage] = {}

  def next_pickle(self) -> Any:
    """The next pickle."""
    value, self.position = plain_pickle.read(self.content, _CALLS, self.position, self._storage)
    return value

  def fill(self, key: Any) -> None:
    """Fills the storage of a key with the values at this place of the file."""
    storage = self.storages[key]
    start = self.position + 8
    count = int.from_bytes(self.content[self.position:start], 'little')
    self.position = start + count * storage.dtype.itemsize
    if count != storage.size or self.position > len(self.content):
      raise ValueError('a storage has another size than it says')
    storage.values = np.frombuffer(self.content, storage.dtype, count, start)

  def _storage(self, identifier: Any) -> _Storage:
    """The storage of ('storage', type, key, device, number of elements, ...)."""
    if type(identifier) is not tuple or len(identifier) < 5:
      raise ValueError('a storage that is damaged')
    _, kind, key, _, size = identifier[:5]
    code = _DTYPES.get(kind.name) if isinstance(kind, plain_pickle.Name) and kind.module == 'torch' else None
    if code is None or type(key) not in (str, int):
      raise ValueError('a storage that is damaged')
    plain_arrays.check_shape((size,))
    return self.storages.setdefault(key, _Storage(np.dtype(code), size))


def _new_dictionary(*pairs: Any) -> dict:
  """collections.OrderedDict, empty; its items follow in the pickle."""
  if pairs:
    raise ValueError('a dictionary made from a list')
  return {}


_CALLS: plain_pickle.Calls = {
    ('collections', 'OrderedDict'): _new_dictionary,
    ('torch._utils', '_rebuild_tensor_v2'): _Tensor,
    **{('torch', name): None for name in _DTYPES},
}


def read_state(path: str) -> dict[str, np.ndarray]:
  """Reads a state dictionary.

  Args:
    path: a file written by `torch.save(model.state_dict())` of PyTorch before 1.6.

  Returns:
    Arrays by parameter name, in PyTorch's layouts (convolutions [out, in, height, width]).

  Raises:
    UserError: the file is missing, of another kind, truncated, too large, or asks for more than weights.
  """
  content = files.read_within(path, MOST_BYTES)
  try:
    return _read_state(content)
  # Whatever a damaged or hostile file makes the reader raise means the same to the user.
  except Exception as error:
    raise errors.UserError(f'{path} is no file of PyTorch weights that can be read here: {error}; download it again, '
                           'or save the state dictionary alone') from error


def _read_state(content: bytes) -> dict[str, np.ndarray]:
  """Reads a state dictionary from the content of a file; raises a ValueError or the like if it is none."""
  reader = _StateReader(content)
  if reader.next_pickle() != _MAGIC:
    raise ValueError('its first entry is not the magic number of that format')
  reader.next_pickle()
  reader.next_pickle()
  state, keys = reader.next_pickle(), reader.next_pickle()
  if type(state) is not dict or type(keys) is not list or not all(
      type(name) is str and isinstance(tensor, _Tensor) for name, tensor in state.items()):
    raise ValueError('it holds something else than named tensors')
  if sum(tensor.size * tensor.storage.dtype.itemsize for tensor in state.values()) > _SHARING * len(content):
    raise ValueError('its tensors repeat their storages')
  for key in keys:
    reader.fill(key)
  return {name: tensor.to_numpy() for name, tensor in state.items()}
