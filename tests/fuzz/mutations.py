"""Changes of bytes that find faults in readers; each is a function of a random generator alone."""
import pickle
import pickletools
import random
from collections.abc import Sequence

# Numbers at which sizes, indices and signs go wrong.
_NUMBERS = [b'\x00', b'\xff', b'\x7f', b'\x80', *(number.to_bytes(size, 'little', signed=number < 0) for size in (4, 8)
                                                 for number in (-1, 0, 1, 1 << 16, 1 << 30, (1 << 31) - 1, -(1 << 31)))]
_OPCODES = [opcode.code.encode('latin1') for opcode in pickletools.opcodes]
_NAMES = [b'cnumpy\nndarray\n', b'cnumpy\ndtype\n', b'cnumpy.core.multiarray\n_reconstruct\n',
          b'cnumpy.core.multiarray\nscalar\n', b'cnumpy.core.numeric\n_frombuffer\n', b'c_codecs\nencode\n',
          b'cbuiltins\nset\n', b'cbuiltins\nobject\n', b'ccopyreg\n_reconstructor\n', b'cchumpy.ch\nCh\n',
          b'cscipy.sparse.csc\ncsc_matrix\n', b'ccollections\nOrderedDict\n', b'ctorch._utils\n_rebuild_tensor_v2\n',
          b'cos\nsystem\n', b'cbuiltins\neval\n']


def places(content: bytes) -> list[int]:
  """Where something else than bulk data begins in a pickle, or every place of what is none."""
  try:
    return [place for _, _, place in pickletools.genops(content)]
  except ValueError:
    return list(range(len(content)))


def mutate(content: bytes, spots: Sequence[int], chance: random.Random, others: Sequence[bytes]) -> bytes:
  """A few changes of a file.

  Args:
    content: of the file.
    spots: places near which most changes are made.
    chance: the random generator.
    others: files to take pieces from.
  """
  changed = bytearray(content)
  for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
    if not changed:
      break
    spot = chance.choice(spots) + chance.randrange(12) if chance.random() < .8 else chance.randrange(len(changed))
    _change(changed, min(spot, len(changed) - 1), chance, others)
  return bytes(changed)


def _change(changed: bytearray, spot: int, chance: random.Random, others: Sequence[bytes]) -> None:
  """Makes one change at a place."""
  kind, length = chance.randrange(8), chance.choice((1, 1, 2, 4, 8, 40, 300))
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
    other = chance.choice(others)
    start = chance.randrange(len(other))
    changed[spot:spot + chance.choice((0, length))] = other[start:start + length]
  elif kind == 6:
    changed[spot:spot + chance.choice((0, 1))] = chance.choice(_OPCODES) * chance.choice((1, 1, 2, 9))
  else:
    changed[spot:spot + chance.choice((0, length))] = chance.choice(_NAMES)


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
