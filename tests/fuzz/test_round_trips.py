"""What pickle writes, of any protocol, comes back as it was: the reader is ours, so every form needs trying."""
import pickle
import random

import numpy as np

from dhpe_tf.hand import restricted_pickle

_COUNT = 400


def _value(chance: random.Random, depth: int = 0):
  """A random value of the kinds that the reader knows."""
  return _leaf(chance) if depth > 4 or chance.random() < .5 else _container(chance, depth)


def _leaf(chance: random.Random):
  kind = chance.randrange(6)
  if kind == 0:
    return chance.choice([None, True, False, 0, -1, 255, 256, 65535, 1 << 31, -(1 << 31), 1 << 70, -(1 << 200)])
  if kind == 1:
    return chance.choice([0., -0., 1e-300, 1.5, -2.25e100, float('inf'), chance.random()])
  if kind == 2:
    return ''.join(chance.choice('ab\'"\\\n\r\0é€😀') for _ in range(chance.choice((0, 1, 5, 300))))
  if kind == 3:
    return chance.randbytes(chance.choice((0, 1, 5, 300)))
  if kind == 4:
    return np.dtype(chance.choice('<>') + chance.choice(('f4', 'f8', 'i2', 'u4', 'i8'))).type(chance.randrange(100))
  shape = [chance.randrange(4) for _ in range(chance.randrange(4))]
  made = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(chance.choice(('<f8', '>i4', '|u1', '?', '<f2')))
  return np.asfortranarray(made) if chance.random() < .5 else made


def _container(chance: random.Random, depth: int):
  kind = chance.randrange(5)
  items = [_value(chance, depth + 1) for _ in range(chance.choice((0, 1, 2, 3, 4, 5)))]
  if kind == 0:
    return items
  if kind == 1:
    return tuple(items)
  if kind == 2:
    return {_key(chance): item for item in items}
  if kind == 3:
    return {_key(chance) for _ in items}
  return [items, items]  # shared: the memo brings it back


def _key(chance: random.Random):
  return chance.choice(['name', chance.randrange(1000), b'bytes', None, 2.5, True])


def _same(found, wanted) -> bool:
  """Whether two values agree in kind and content."""
  if isinstance(wanted, (np.ndarray, np.generic)):
    return found.dtype == wanted.dtype and np.shape(found) == np.shape(wanted) and np.array_equal(found, wanted)
  if type(found) is not type(wanted):
    return False
  if isinstance(wanted, (list, tuple)):
    return len(found) == len(wanted) and all(map(_same, found, wanted))
  if isinstance(wanted, dict):
    return found.keys() == wanted.keys() and all(_same(found[key], wanted[key]) for key in wanted)
  return found == wanted


def test_random_values_of_every_protocol(tmp_path):
  path = tmp_path / 'a.pkl'
  for number in range(_COUNT):
    wanted = _value(random.Random(number))
    for protocol in range(6):
      path.write_bytes(pickle.dumps(wanted, protocol))
      assert _same(restricted_pickle.load(path), wanted), (number, protocol)
