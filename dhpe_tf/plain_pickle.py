"""Reads pickles as data: a small interpreter of pickle's opcodes that runs nothing of what a pickle asks for.

A pickle is a program. This reader understands the opcodes that make numbers, texts, bytes and plain containers. Where
a pickle calls something by name, a function of ours gets the plain arguments, or the reading ends; nothing is imported,
and no object that exists outside of the reading can be reached or changed. What a pickle may cost is limited too: the
number of opcodes, the bytes of what they make, the depth of the result, and its size when every shared part is counted
as often as it is used.
"""
import codecs
import pickle
import pickletools
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Optional

import numpy as np

MOST_OPCODES = 20_000_000
MOST_BYTES = 1 << 30  # of all that the opcodes make
MOST_DEPTH = 50
_FREE_EXTENT = 4_000_000  # parts that even a short pickle may have when shared ones are counted again
_CONTAINER_BYTES, _ENTRY_BYTES, _SET_BYTES = 64, 100, 200
_LONGEST_NUMBER = 256  # characters or bytes of one number
_TOO_MUCH = f'more than {MOST_BYTES >> 20} MiB of content'
_TOO_DEEP = f'more than {MOST_DEPTH} containers in each other'
_KEYS = (str, bytes, int, float, bool, type(None))
_UNSIGNED = {4: struct.Struct('<I'), 8: struct.Struct('<Q')}
_PYTHON_2_MODULES = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}


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


Calls = Mapping[tuple[str, str], Optional[Callable[..., Any]]]


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
    ValueError, LookupError, TypeError: it is damaged, or larger than the limits of this module.
  """
  reader = _Reader(data, calls, start, persistent)
  opcodes = _OPCODES
  for _ in range(MOST_OPCODES):
    code = data[reader.position]
    reader.position += 1
    if code == _STOP:
      value = reader.stack.pop()
      _check_extent(value, _FREE_EXTENT + len(data) // 2)
      return value, reader.position
    opcodes[code](reader)
  raise ValueError(f'more than {MOST_OPCODES} opcodes')


class _Reader:
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
    self.left -= _ENTRY_BYTES  # as `charge`; most of a pickle are such stores
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


def _size(value: Any) -> int:
  """Bytes of a value, roughly, without those of its parts."""
  if isinstance(value, np.ndarray):
    return value.nbytes
  if isinstance(value, (bytes, str)):
    return len(value)
  return _ENTRY_BYTES * len(value) if isinstance(value, (list, dict, set)) else 0


def _check_extent(root: Any, most: int) -> None:
  """Raises a ValueError for a value that is deeper than MOST_DEPTH, contains itself or, counted in full, is too large.

  Shared parts count as often as they are used, because printing or converting a value visits them as often. Each part
  counts by its bytes / 8, at least 1.
  """
  known: dict[int, Optional[tuple[int, int]]] = {}  # depth and extent by identity; None while its parts are counted
  waiting, opened = [root], 0
  while waiting:
    value = waiting[-1]
    parts = _parts(value)
    if parts is None or known.get(id(value)) is not None:
      waiting.pop()
    elif id(value) not in known:
      known[id(value)] = None
      opened += 1
      if opened > MOST_DEPTH:
        raise ValueError(_TOO_DEEP)
      inner = [part for part in parts if _parts(part) is not None]
      if any(id(part) in known and known[id(part)] is None for part in inner):
        raise ValueError('a container that contains itself')
      waiting += inner
    else:
      measured = [known.get(id(part)) or (0, 1 + _size(part) // 8) for part in parts]
      depth = 1 + max((deep for deep, _ in measured), default=0)
      extent = 1 + sum(wide for _, wide in measured)
      if depth > MOST_DEPTH:
        raise ValueError(_TOO_DEEP)
      if extent > most:
        raise ValueError('parts that use each other again and again')
      known[id(value)] = depth, extent
      opened -= 1
      waiting.pop()


def _parts(value: Any) -> Optional[Iterable[Any]]:
  """What is in a container, without the keys; None for anything else."""
  if isinstance(value, (list, tuple, set)):
    return value
  if isinstance(value, dict):
    return value.values()
  return value.parts() if isinstance(value, Record) else None


def _update(reader: _Reader, target: Any, items: list[Any]) -> None:
  """Sets items, keys and values in turn, of a dictionary."""
  if type(target) is not dict or len(items) % 2:
    raise ValueError('items for something that is no dictionary')
  reader.charge(_ENTRY_BYTES * len(items) // 2)
  for key, value in zip(items[::2], items[1::2]):
    target[_key(key)] = value


def _key(value: Any) -> Any:
  """The value, if it may be a key: hashing one that is made of others may end the process."""
  if type(value) not in _KEYS:
    raise ValueError('a key that is neither text nor number')
  return value


# One function for each opcode, by its byte.
_OPCODES: list[Callable[[_Reader], None]] = []
_STOP = pickle.STOP[0]


def _refuse_opcode(code: int) -> Callable[[_Reader], None]:
  """The function for an opcode that is not in use here."""
  known = pickletools.code2op.get(chr(code))

  def refuse(reader: _Reader) -> None:
    raise ValueError(f'no pickle at byte {reader.position - 1}' if known is None else f'the opcode {known.name}')
  return refuse


_OPCODES += [_refuse_opcode(code) for code in range(256)]


def _opcode(*codes: bytes) -> Callable:
  """Decorator: makes a function that of the opcodes."""
  def register(function: Callable[[_Reader], None]) -> Callable[[_Reader], None]:
    for code in codes:
      _OPCODES[code[0]] = function
    return function
  return register


def _define_constant(code: bytes, value: Any) -> None:
  """An opcode that pushes a value."""
  _OPCODES[code[0]] = lambda reader: reader.stack.append(value)


def _define_integer(code: bytes, form: str) -> None:
  """An opcode that pushes a number of a fixed form, see `struct`."""
  size, unpack = struct.calcsize(form), struct.Struct(form).unpack
  _OPCODES[code[0]] = lambda reader: reader.stack.append(unpack(reader.take(size))[0])


def _define_block(code: bytes, size: int, convert: Callable[[bytes], Any]) -> None:
  """An opcode with a length of `size` bytes and as many bytes of content."""
  def block(reader: _Reader) -> None:
    content = reader.take(reader.take_number(size))
    reader.charge(len(content))
    reader.stack.append(convert(content))
  _OPCODES[code[0]] = block


def _define_line(code: bytes, most: int, convert: Callable[[bytes], Any]) -> None:
  """An opcode with a line of content."""
  def line(reader: _Reader) -> None:
    content = reader.take_line(most)
    reader.charge(len(content))
    reader.stack.append(convert(content))
  _OPCODES[code[0]] = line


def _define_memo(put: bytes, get: bytes, place: Callable[[_Reader], int]) -> None:
  """The opcodes that store the top value in the memo and push one from there."""
  _OPCODES[put[0]] = lambda reader: reader.remember(place(reader))
  _OPCODES[get[0]] = lambda reader: reader.stack.append(reader.memo[place(reader)])


def _text(content: bytes) -> str:
  return content.decode('utf-8', 'surrogatepass')


def _python_2_text(content: bytes) -> str:
  return content.decode('latin1')


def _quoted(content: bytes) -> str:
  """A Python 2 string as its source has it."""
  content = content.strip()
  if len(content) < 2 or content[:1] not in b'"\'' or content[:1] != content[-1:]:
    raise ValueError('a string without quotes')
  return codecs.escape_decode(content[1:-1])[0].decode('latin1')


def _long(content: bytes) -> int:
  if len(content) > _LONGEST_NUMBER:
    raise ValueError('a number that is too long')
  return int.from_bytes(content, 'little', signed=True)


def _int_or_bool(content: bytes) -> Any:
  return {b'00': False, b'01': True}[content] if content in (b'00', b'01') else int(content)


for _code, _value in ((pickle.NONE, None), (pickle.NEWTRUE, True), (pickle.NEWFALSE, False), (pickle.EMPTY_TUPLE, ())):
  _define_constant(_code, _value)
for _code, _form in ((pickle.BININT, '<i'), (pickle.BININT2, '<H'), (pickle.BINFLOAT, '>d')):
  _define_integer(_code, _form)
for _code, _count, _convert in (
    (pickle.SHORT_BINUNICODE, 1, _text), (pickle.BINUNICODE, 4, _text), (pickle.BINUNICODE8, 8, _text),
    (pickle.SHORT_BINSTRING, 1, _python_2_text), (pickle.BINSTRING, 4, _python_2_text),
    (pickle.SHORT_BINBYTES, 1, bytes), (pickle.BINBYTES, 4, bytes), (pickle.BINBYTES8, 8, bytes),
    (pickle.BYTEARRAY8, 8, bytes), (pickle.LONG1, 1, _long), (pickle.LONG4, 4, _long)):
  _define_block(_code, _count, _convert)
for _code, _most, _convert in (
    (pickle.INT, _LONGEST_NUMBER, _int_or_bool), (pickle.LONG, _LONGEST_NUMBER, lambda line: int(line.rstrip(b'L'))),
    (pickle.FLOAT, _LONGEST_NUMBER, float), (pickle.STRING, MOST_BYTES, _quoted),
    (pickle.UNICODE, MOST_BYTES, lambda line: str(line, 'raw-unicode-escape'))):
  _define_line(_code, _most, _convert)
_OPCODES[pickle.BININT1[0]] = lambda reader: reader.stack.append(reader.take_byte())
_define_memo(pickle.PUT, pickle.GET, lambda reader: int(reader.take_line(_LONGEST_NUMBER)))
_define_memo(pickle.LONG_BINPUT, pickle.LONG_BINGET, lambda reader: reader.take_number(4))


# The two most frequent opcodes, without the calls that they would share with others.
@_opcode(pickle.BINPUT)
def _put(reader: _Reader) -> None:
  place = reader.data[reader.position]
  reader.position += 1
  reader.remember(place)


@_opcode(pickle.BINGET)
def _get(reader: _Reader) -> None:
  reader.stack.append(reader.memo[reader.data[reader.position]])
  reader.position += 1


@_opcode(pickle.MEMOIZE)
def _memoize(reader: _Reader) -> None:
  reader.remember(len(reader.memo))


@_opcode(pickle.PROTO)
def _protocol(reader: _Reader) -> None:
  if reader.take(1)[0] > 5:
    raise ValueError('a protocol later than 5')


@_opcode(pickle.FRAME)
def _frame(reader: _Reader) -> None:
  reader.take(8)


@_opcode(pickle.MARK)
def _mark(reader: _Reader) -> None:
  reader.marks.append(len(reader.stack))


@_opcode(pickle.EMPTY_LIST)
def _empty_list(reader: _Reader) -> None:
  reader.push_made([])


@_opcode(pickle.EMPTY_DICT)
def _empty_dict(reader: _Reader) -> None:
  reader.push_made({})


@_opcode(pickle.EMPTY_SET)
def _empty_set(reader: _Reader) -> None:
  reader.push_made(set(), _SET_BYTES)


@_opcode(pickle.LIST)
def _list(reader: _Reader) -> None:
  items = reader.pop_marked()
  reader.push_made(items, 8 * len(items))


@_opcode(pickle.TUPLE)
def _tuple(reader: _Reader) -> None:
  items = tuple(reader.pop_marked())
  reader.push_made(items, 8 * len(items))


def _define_tuple(code: bytes, count: int) -> None:
  """An opcode that makes a tuple of the top values."""
  def make(reader: _Reader) -> None:
    items = tuple(reader.stack[-count:])
    if len(items) < count:
      raise ValueError('a tuple of nothing')
    del reader.stack[-count:]
    reader.push_made(items)
  _OPCODES[code[0]] = make


for _code, _count in ((pickle.TUPLE1, 1), (pickle.TUPLE2, 2), (pickle.TUPLE3, 3)):
  _define_tuple(_code, _count)


@_opcode(pickle.DICT)
def _dict(reader: _Reader) -> None:
  items, made = reader.pop_marked(), {}
  _update(reader, made, items)
  reader.push_made(made)


@_opcode(pickle.SETITEM)
def _set_item(reader: _Reader) -> None:
  value, key = reader.stack.pop(), reader.stack.pop()
  _update(reader, reader.stack[-1], [key, value])


@_opcode(pickle.SETITEMS)
def _set_items(reader: _Reader) -> None:
  items = reader.pop_marked()
  _update(reader, reader.stack[-1], items)


def _extend(reader: _Reader, items: list[Any]) -> None:
  """Appends to the list on top."""
  target = reader.stack[-1]
  if type(target) is not list:
    raise ValueError('items for something that is no list')
  reader.charge(8 * len(items))
  target.extend(items)


@_opcode(pickle.APPEND)
def _append(reader: _Reader) -> None:
  _extend(reader, [reader.stack.pop()])


@_opcode(pickle.APPENDS)
def _appends(reader: _Reader) -> None:
  _extend(reader, reader.pop_marked())


@_opcode(pickle.ADDITEMS)
def _add_items(reader: _Reader) -> None:
  items = reader.pop_marked()
  target = reader.stack[-1]
  if type(target) is not set:
    raise ValueError('items for something that is no set')
  reader.charge(_ENTRY_BYTES * len(items))
  target.update(map(_key, items))


def make_set(items: Any) -> set:
  """A set from a list, which earlier protocols write as a call: for the name ('builtins', 'set')."""
  if type(items) is not list:
    raise ValueError('a set of something that is no list')
  return set(map(_key, items))


def encode(text: Any, encoding: Any) -> bytes:
  """Bytes, which newer Pythons write into old protocols as a call: for the name ('_codecs', 'encode')."""
  if type(text) is not str or encoding not in ('latin1', 'latin-1'):
    raise RefusedError('another encoding than latin1')
  return text.encode('latin1')


def no_bytes() -> bytes:
  """Empty bytes, which newer Pythons write into old protocols as a call: for the name ('builtins', 'bytes')."""
  return b''


@_opcode(pickle.GLOBAL)
def _global(reader: _Reader) -> None:
  module, name = reader.take_line(1000).decode(), reader.take_line(1000).decode()
  reader.push_made(reader.resolve(module, name))


@_opcode(pickle.STACK_GLOBAL)
def _stack_global(reader: _Reader) -> None:
  name, module = reader.stack.pop(), reader.stack.pop()
  if type(name) is not str or type(module) is not str:
    raise ValueError('a name that is no text')
  reader.push_made(reader.resolve(module, name))


@_opcode(pickle.REDUCE, pickle.NEWOBJ)
def _call(reader: _Reader) -> None:
  arguments, function = reader.stack.pop(), reader.stack.pop()
  made = reader.call(function, arguments)
  reader.push_made(made, _size(made))


@_opcode(pickle.BUILD)
def _build(reader: _Reader) -> None:
  state, record = reader.stack.pop(), reader.stack.pop()
  if type(record) is dict:  # an ordered one; its attributes are dropped
    reader.stack.append(record)
    return
  if not isinstance(record, Record):
    raise ValueError('a state for something that has none')
  made = record.set_state(state)
  for place in record.places:
    reader.memo[place] = made
  reader.push_made(made, _size(made))


@_opcode(pickle.BINPERSID)
def _persistent(reader: _Reader) -> None:
  if reader.persistent is None:
    raise RefusedError('a persistent object')
  reader.push_made(reader.persistent(reader.stack.pop()))
