"""What each opcode of a pickle does to the machine; those that are not in use here end the reading."""
import codecs
import pickle
import pickletools
import struct
from collections.abc import Callable
from typing import Any

from dhpe_tf.pickles.machine import ENTRY_BYTES, MOST_BYTES, Machine, Record, RefusedError, key_of, size_of

STOP = pickle.STOP[0]
_SET_BYTES = 200
_LONGEST_NUMBER = 256  # characters or bytes of one number

# One function for each opcode, by its byte.
OPCODES: list[Callable[[Machine], None]] = []


def _refuse_opcode(code: int) -> Callable[[Machine], None]:
  """The function for an opcode that is not in use here."""
  known = pickletools.code2op.get(chr(code))

  def refuse(machine: Machine) -> None:
    raise ValueError(f'no pickle at byte {machine.position - 1}' if known is None else f'the opcode {known.name}')
  return refuse


OPCODES += [_refuse_opcode(code) for code in range(256)]


def _opcode(*codes: bytes) -> Callable:
  """Decorator: makes a function that of the opcodes."""
  def register(function: Callable[[Machine], None]) -> Callable[[Machine], None]:
    for code in codes:
      OPCODES[code[0]] = function
    return function
  return register


def _define_constant(code: bytes, value: Any) -> None:
  """An opcode that pushes a value."""
  OPCODES[code[0]] = lambda machine: machine.stack.append(value)


def _define_integer(code: bytes, form: str) -> None:
  """An opcode that pushes a number of a fixed form, see `struct`."""
  size, unpack = struct.calcsize(form), struct.Struct(form).unpack
  OPCODES[code[0]] = lambda machine: machine.stack.append(unpack(machine.take(size))[0])


def _define_block(code: bytes, size: int, convert: Callable[[bytes], Any]) -> None:
  """An opcode with a length of `size` bytes and as many bytes of content."""
  def block(machine: Machine) -> None:
    content = machine.take(machine.take_number(size))
    machine.charge(len(content))
    machine.stack.append(convert(content))
  OPCODES[code[0]] = block


def _define_line(code: bytes, most: int, convert: Callable[[bytes], Any]) -> None:
  """An opcode with a line of content."""
  def line(machine: Machine) -> None:
    content = machine.take_line(most)
    machine.charge(len(content))
    machine.stack.append(convert(content))
  OPCODES[code[0]] = line


def _define_memo(put: bytes, get: bytes, place: Callable[[Machine], int]) -> None:
  """The opcodes that store the top value in the memo and push one from there."""
  OPCODES[put[0]] = lambda machine: machine.remember(place(machine))
  OPCODES[get[0]] = lambda machine: machine.stack.append(machine.memo[place(machine)])


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
OPCODES[pickle.BININT1[0]] = lambda machine: machine.stack.append(machine.take_byte())
_define_memo(pickle.PUT, pickle.GET, lambda machine: int(machine.take_line(_LONGEST_NUMBER)))
_define_memo(pickle.LONG_BINPUT, pickle.LONG_BINGET, lambda machine: machine.take_number(4))


# The two most frequent opcodes, without the calls that they would share with others.
@_opcode(pickle.BINPUT)
def _put(machine: Machine) -> None:
  place = machine.data[machine.position]
  machine.position += 1
  machine.remember(place)


@_opcode(pickle.BINGET)
def _get(machine: Machine) -> None:
  machine.stack.append(machine.memo[machine.data[machine.position]])
  machine.position += 1


@_opcode(pickle.MEMOIZE)
def _memoize(machine: Machine) -> None:
  machine.remember(len(machine.memo))


@_opcode(pickle.PROTO)
def _protocol(machine: Machine) -> None:
  if machine.take(1)[0] > 5:
    raise ValueError('a protocol later than 5')


@_opcode(pickle.FRAME)
def _frame(machine: Machine) -> None:
  machine.take(8)


@_opcode(pickle.MARK)
def _mark(machine: Machine) -> None:
  machine.marks.append(len(machine.stack))


@_opcode(pickle.EMPTY_LIST)
def _empty_list(machine: Machine) -> None:
  machine.push_made([])


@_opcode(pickle.EMPTY_DICT)
def _empty_dict(machine: Machine) -> None:
  machine.push_made({})


@_opcode(pickle.EMPTY_SET)
def _empty_set(machine: Machine) -> None:
  machine.push_made(set(), _SET_BYTES)


@_opcode(pickle.LIST)
def _list(machine: Machine) -> None:
  items = machine.pop_marked()
  machine.push_made(items, 8 * len(items))


@_opcode(pickle.TUPLE)
def _tuple(machine: Machine) -> None:
  items = tuple(machine.pop_marked())
  machine.push_made(items, 8 * len(items))


def _define_tuple(code: bytes, count: int) -> None:
  """An opcode that makes a tuple of the top values."""
  def make(machine: Machine) -> None:
    items = tuple(machine.stack[-count:])
    if len(items) < count:
      raise ValueError('a tuple of nothing')
    del machine.stack[-count:]
    machine.push_made(items)
  OPCODES[code[0]] = make


for _code, _count in ((pickle.TUPLE1, 1), (pickle.TUPLE2, 2), (pickle.TUPLE3, 3)):
  _define_tuple(_code, _count)


def _update(machine: Machine, target: Any, items: list[Any]) -> None:
  """Sets items, keys and values in turn, of a dictionary."""
  if type(target) is not dict or len(items) % 2:
    raise ValueError('items for something that is no dictionary')
  machine.charge(ENTRY_BYTES * len(items) // 2)
  for key, value in zip(items[::2], items[1::2]):
    target[key_of(key)] = value


@_opcode(pickle.DICT)
def _dict(machine: Machine) -> None:
  items, made = machine.pop_marked(), {}
  _update(machine, made, items)
  machine.push_made(made)


@_opcode(pickle.SETITEM)
def _set_item(machine: Machine) -> None:
  value, key = machine.stack.pop(), machine.stack.pop()
  _update(machine, machine.stack[-1], [key, value])


@_opcode(pickle.SETITEMS)
def _set_items(machine: Machine) -> None:
  items = machine.pop_marked()
  _update(machine, machine.stack[-1], items)


def _extend(machine: Machine, items: list[Any]) -> None:
  """Appends to the list on top."""
  target = machine.stack[-1]
  if type(target) is not list:
    raise ValueError('items for something that is no list')
  machine.charge(8 * len(items))
  target.extend(items)


@_opcode(pickle.APPEND)
def _append(machine: Machine) -> None:
  _extend(machine, [machine.stack.pop()])


@_opcode(pickle.APPENDS)
def _appends(machine: Machine) -> None:
  _extend(machine, machine.pop_marked())


@_opcode(pickle.ADDITEMS)
def _add_items(machine: Machine) -> None:
  items = machine.pop_marked()
  target = machine.stack[-1]
  if type(target) is not set:
    raise ValueError('items for something that is no set')
  machine.charge(ENTRY_BYTES * len(items))
  target.update(map(key_of, items))


@_opcode(pickle.GLOBAL)
def _global(machine: Machine) -> None:
  module, name = machine.take_line(1000).decode(), machine.take_line(1000).decode()
  machine.push_made(machine.resolve(module, name))


@_opcode(pickle.STACK_GLOBAL)
def _stack_global(machine: Machine) -> None:
  name, module = machine.stack.pop(), machine.stack.pop()
  if type(name) is not str or type(module) is not str:
    raise ValueError('a name that is no text')
  machine.push_made(machine.resolve(module, name))


@_opcode(pickle.REDUCE, pickle.NEWOBJ)
def _call(machine: Machine) -> None:
  arguments, function = machine.stack.pop(), machine.stack.pop()
  made = machine.call(function, arguments)
  machine.push_made(made, size_of(made))


@_opcode(pickle.BUILD)
def _build(machine: Machine) -> None:
  state, record = machine.stack.pop(), machine.stack.pop()
  if type(record) is dict:  # an ordered one; its attributes are dropped
    machine.stack.append(record)
    return
  if not isinstance(record, Record):
    raise ValueError('a state for something that has none')
  made = record.set_state(state)
  for place in record.places:
    machine.memo[place] = made
  machine.push_made(made, size_of(made))


@_opcode(pickle.BINPERSID)
def _persistent(machine: Machine) -> None:
  if machine.persistent is None:
    raise RefusedError('a persistent object')
  machine.push_made(machine.persistent(machine.stack.pop()))
