"""The state of the interpreter of pickles: what it reads, makes and remembers, and what all of that may cost."""
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Optional

import numpy as np

MOST_BYTES = 1 << 30  # of all that the opcodes make
ENTRY_BYTES = 100  # of a place in a container or in the memo
_CONTAINER_BYTES = 64
_TOO_MUCH = f'more than {MOST_BYTES >> 20} MiB of content'
_UNSIGNED = {4: struct.Struct('<I'), 8: struct.Struct('<Q')}
_PYTHON_2_MODULES = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}
_KEYS = (str, bytes, int, float, bool, type(None))


class RefusedError(ValueError):
  """The pickle asks for something that is not let through; the text names it."""


class Name:
  """A name of the pickle, such as numpy.ndarray; a mere text."""

  __slots__ = ('module', 'name')

  def __init__(self, module: str, name: str):
    self.module = module
    self.name = name

  @property
  def key(self) -> tuple[str, str]:
    """Module and name."""
    return self.module, self.name


class Record:
  """Something that a pickle asks for and gives a state to; functions for `read` may return one."""

  __slots__ = ('places',)

  def __init__(self):
    self.places: list[int] = []  # where the memo of the reader has it

  def set_state(self, state: Any) -> Any:
    """Takes the state and returns what takes the place of this record; plain records take none."""
    raise ValueError('a state for something that has none')

  def parts(self) -> Iterable[Any]:
    """The values inside, for the limits of depth and size."""
    return ()


# The names that a pickle may use, by module and name; what is called there, or None for what may not be called.
Calls = Mapping[tuple[str, str], Optional[Callable[..., Any]]]


class Machine:
  """The state of the interpreter."""

  __slots__ = ('data', 'end', 'position', 'stack', 'marks', 'memo', 'calls', 'persistent', 'left')

  def __init__(self, data: bytes, calls: Calls, position: int, persistent: Optional[Callable[[Any], Any]]):
    self.data = data
    self.end = len(data)
    self.position = position
    self.stack: list[Any] = []
    self.marks: list[int] = []
    self.memo: dict[int, Any] = {}
    self.calls = calls
    self.persistent = persistent
    self.left = MOST_BYTES

  def charge(self, size: int) -> None:
    """Counts bytes that are about to be used."""
    self.left -= size
    if self.left < 0:
      raise ValueError(_TOO_MUCH)

  def take(self, size: int) -> bytes:
    """The next bytes of the file; an error if there are fewer."""
    end = self.position + size
    if end > self.end:
      raise ValueError('it ends too early')
    content = self.data[self.position:end]
    self.position = end
    return content

  def take_byte(self) -> int:
    """The next byte as a number."""
    number = self.data[self.position]
    self.position += 1
    return number

  def take_number(self, size: int) -> int:
    """The next bytes as an unsigned number."""
    if size == 1:
      return self.take_byte()
    number, = _UNSIGNED[size].unpack_from(self.data, self.position)
    self.position += size
    return number

  def take_line(self, most: int) -> bytes:
    """The bytes to the end of the line, which is left out."""
    end = self.data.find(b'\n', self.position, self.position + most + 1)
    if end < 0:
      raise ValueError('a line without end')
    line = self.data[self.position:end]
    self.position = end + 1
    return line

  def pop_marked(self) -> list[Any]:
    """Removes and returns all values above the last mark."""
    start = self.marks.pop()
    items = self.stack[start:]
    del self.stack[start:]
    return items

  def remember(self, place: int) -> None:
    """Stores the top value in the memo."""
    self.left -= ENTRY_BYTES  # as `charge`; most of a pickle are such stores
    if self.left < 0:
      raise ValueError(_TOO_MUCH)
    value = self.stack[-1]
    if isinstance(value, Record):
      value.places.append(place)
    self.memo[place] = value

  def push_made(self, value: Any, size: int = 0) -> None:
    """Pushes a container, or what a function made, of so many bytes beside those of any container."""
    self.charge(_CONTAINER_BYTES + size)
    self.stack.append(value)

  def resolve(self, module: str, name: str) -> Name:
    """The name, if it is let through."""
    module = _PYTHON_2_MODULES.get(module, module)
    if (module, name) not in self.calls:
      raise RefusedError(f'{module}.{name}'[:100].encode('unicode_escape').decode())
    return Name(module, name)

  def call(self, function: Any, arguments: Any) -> Any:
    """The answer to a call in the pickle."""
    if not isinstance(function, Name) or type(arguments) is not tuple:
      raise ValueError('a call of something that is no name')
    answer = self.calls[function.key]
    if answer is None:
      raise RefusedError(f'a call of {function.module}.{function.name}')
    return answer(*arguments)


def size_of(value: Any) -> int:
  """Bytes of a value, roughly, without those of its parts."""
  if isinstance(value, np.ndarray):
    return value.nbytes
  if isinstance(value, (bytes, str)):
    return len(value)
  return ENTRY_BYTES * len(value) if isinstance(value, (list, dict, set)) else 0


def key_of(value: Any) -> Any:
  """The value, if it may be a key: hashing one that is made of others may end the process."""
  if type(value) not in _KEYS:
    raise ValueError('a key that is neither text nor number')
  return value
