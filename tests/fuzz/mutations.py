"""Changes of files that find faults in readers; each is a function of a random generator alone."""
import gzip
import io
import json
import pickle
import pickletools
import random
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

# Numbers at which sizes, indices and signs go wrong.
_NUMBERS = [b'\x00', b'\xff', b'\x7f', b'\x80', *(number.to_bytes(size, order, signed=number < 0)
                                                 for size in (4, 8) for order in ('little', 'big')
                                                 for number in (-1, 0, 1, 1 << 16, 1 << 30, (1 << 31) - 1, -(1 << 31)))]
_OPCODES = [opcode.code.encode('latin1') for opcode in pickletools.opcodes]
_NAMES = [b'cnumpy\nndarray\n', b'cnumpy\ndtype\n', b'cnumpy.core.multiarray\n_reconstruct\n',
          b'cnumpy.core.multiarray\nscalar\n', b'cnumpy.core.numeric\n_frombuffer\n', b'c_codecs\nencode\n',
          b'cbuiltins\nset\n', b'cbuiltins\nobject\n', b'ccopyreg\n_reconstructor\n', b'cchumpy.ch\nCh\n',
          b'cscipy.sparse.csc\ncsc_matrix\n', b'ccollections\nOrderedDict\n', b'ctorch._utils\n_rebuild_tensor_v2\n',
          b'cos\nsystem\n', b'cbuiltins\neval\n']
PICKLE_TOKENS = (*_NAMES, *(code * count for code in _OPCODES for count in (1, 2)))
TEXT_TOKENS = (b'\0', b'\n', b'\r\n', b'\xff\xfe', b'\xef\xbb\xbf', b'\xe2\x80\xa8', b'nan', b'inf', b'-1', b'1e400',
               b'"', b"'", b'[' * 100, b'{', b'}', b']', b'(', b')', b',', b';', b'/', b'..', b'/dev/zero', b'9' * 400,
               b'%', b'@', b'\x1b[2J', b'None', b'true', b'0x1', b'1_0', b' ' * 300)
_DEEP = 'lists in lists'  # replaced by them, because Python refuses to write them
# A value of JSON in whose place something else comes.
_VALUES = (None, True, False, 0, -1, 1, 21, 1 << 31, 1 << 63, -(1 << 63) - 1, 10**400, .5, -0., 1e308, 1e39,
           float('nan'), float('inf'), '', 'x', 'x' * 5000, '\0', '\ud800', '../../x', '/dev/zero', '/', '.', 'a\nb',
           'right', '1', '\x1b[2J', 'e\u0301', [], {}, [[]], [None], [[1]], {'a': 1}, [0] * 42, [0.] * 63,
           [[0., 0., 0.]] * 21, '\u2028', _DEEP)


def places(content: bytes) -> list[int]:
  """Where something else than bulk data begins in a pickle, or every place of what is none."""
  try:
    return [place for _, _, place in pickletools.genops(content)]
  except (ValueError, UnicodeDecodeError):
    return list(range(max(len(content), 1)))


def mutate(content: bytes, spots: Sequence[int], chance: random.Random, others: Sequence[bytes],
           tokens: Sequence[bytes] = ()) -> bytes:
  """A few changes of a file.

  Args:
    content: of the file.
    spots: places near which most changes are made.
    chance: the random generator.
    others: files to take pieces from.
    tokens: pieces of the format.
  """
  changed = bytearray(content)
  for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
    if not changed:
      break
    spot = chance.choice(spots) + chance.randrange(12) if chance.random() < .8 else chance.randrange(len(changed))
    _change(changed, min(spot, len(changed) - 1), chance, others, tokens)
  return bytes(changed)


def _change(changed: bytearray, spot: int, chance: random.Random, others: Sequence[bytes],
            tokens: Sequence[bytes]) -> None:
  """Makes one change at a place."""
  kind, length = chance.randrange(9), chance.choice((1, 1, 2, 4, 8, 40, 300))
  if kind == 0:
    changed[spot] ^= 1 << chance.randrange(8)
  elif kind == 1:
    changed[spot] = chance.randrange(256)
  elif kind == 2:
    del changed[spot:spot + length]
  elif kind == 3:
    number = chance.choice(_NUMBERS)
    changed[spot:spot + len(number)] = number
  elif kind == 4:
    changed[spot:spot] = changed[spot:spot + length] * chance.choice((1, 1, 2, 20))
  elif kind == 5:
    other = chance.choice(others) or b'\0'
    start = chance.randrange(len(other))
    changed[spot:spot + chance.choice((0, length))] = other[start:start + length]
  elif kind == 6 and chance.random() < .3:
    del changed[spot:]
  elif tokens:
    changed[spot:spot + chance.choice((0, 1, length))] = chance.choice(tokens) * chance.choice((1, 1, 2, 9))


def program(chance: random.Random) -> bytes:
  """A pickle of random opcodes with fitting arguments, most of which keep the stack alive."""
  parts = [pickle.PROTO + bytes([chance.randrange(6)])]
  for _ in range(chance.randrange(3, 60)):
    choice = chance.randrange(10)
    if choice < 2:
      parts.append(chance.choice(_NAMES))
    elif choice < 5:
      value = chance.choice((None, True, 0, 3, -1, 1 << 31, 1 << 62, 2.5, 'f8', 'O', '<', 'b', 'x' * 9, b'A' * 8, b''))
      parts.append(pickle.dumps(value, 4)[2:-1].removeprefix(pickle.FRAME))
    elif choice < 6:
      parts.append(chance.choice((b'q', b'h')) + bytes([chance.randrange(4)]))
    else:
      parts.append(chance.choice((b'(', b'(', b'(', b')', b']', b'}', b'\x8f', b't', b'l', b'd', b'e', b'u', b'a', b's',
                                  b'\x85', b'\x86', b'\x87', b'R', b'R', b'b', b'b', b'\x81', b'\x90', b'\x93', b'Q')))
  return b''.join(parts) + pickle.STOP


def change_json(content: bytes, chance: random.Random) -> bytes:
  """A JSON text in which values are others, gone, twice there, or nested deep."""
  value = json.loads(content)
  for _ in range(chance.choice((1, 1, 1, 2, 4))):
    value = _change_value(value, chance)
  text = json.dumps(value, ensure_ascii=chance.random() < .8).replace(f'"{_DEEP}"', '[' * 3000 + ']' * 3000)
  return text.encode('utf-8', 'surrogatepass')


def change_json_line(content: bytes, chance: random.Random) -> bytes:
  """The same for one line of a file with an object a line."""
  lines = content.splitlines()
  number = chance.randrange(len(lines))
  lines[number] = change_json(lines[number], chance)
  if chance.random() < .1:
    lines.insert(number, chance.choice(lines))
  return b'\n'.join(lines)


def _change_value(value: Any, chance: random.Random) -> Any:
  """Changes a value, or one inside it."""
  if isinstance(value, dict) and value and chance.random() < .93:
    key = chance.choice(list(value))
    changed = dict(value)
    kind = chance.random()
    if kind < .1:
      del changed[key]
    elif kind < .15:
      changed[chance.choice(('', 'x' * 300, '\0', 'a\nb', '-1', *map(str, value)))] = changed.pop(key)
    else:
      changed[key] = _change_value(value[key], chance)
    return changed
  if isinstance(value, list) and value and chance.random() < .93:
    number = chance.randrange(len(value))
    kind = chance.random()
    if kind < .08:
      return value[:number] + value[number + 1:]
    if kind < .14:
      return value[:number] + [value[number]] * chance.choice((2, 3, 100)) + value[number + 1:]
    return value[:number] + [_change_value(value[number], chance)] + value[number + 1:]
  return _other(value, chance)


def _other(value: Any, chance: random.Random) -> Any:
  """Something else in the place of a value."""
  kind = chance.random()
  if kind < .15 and isinstance(value, (int, float)) and not isinstance(value, bool) and -1e300 < value < 1e300:
    return chance.choice((-value, value * 1e6, value + .5, str(value), [value]))
  if kind < .25:
    for _ in range(chance.choice((1, 2, 70))):
      value = [value] if chance.random() < .9 else {'a': value}
    return value
  return chance.choice(_VALUES)


def inside_gzip(change: Callable[[bytes, random.Random], bytes]) -> Callable[[bytes, random.Random], bytes]:
  """Applies a change to the content of a gzip file, or at times to several copies of it."""
  def changed(content: bytes, chance: random.Random) -> bytes:
    return gzip.compress(change(gzip.decompress(content), chance), 1)
  return changed


def inside_zip(change: Callable[[bytes, random.Random], bytes]) -> Callable[[bytes, random.Random], bytes]:
  """Applies a change to the content of a member of a zip file, or to its name."""
  def changed(content: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
      members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    number = chance.randrange(len(members))
    name, data = members[number]
    if chance.random() < .1:
      members[number] = chance.choice(('x', '../x', '/x', 'a\nb.npy', name + name)), data
    else:
      members[number] = name, change(data, chance)
    if chance.random() < .1:
      members.append(chance.choice(members))
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))) as archive:
      for name, data in members:
        archive.writestr(name, data)
    return file.getvalue()
  return changed
