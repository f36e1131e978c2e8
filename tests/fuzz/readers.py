"""Feeds changed files to the readers of other people's files, and stops at the first that gets a wrong answer.

  python -m tests.fuzz.readers --entry=pickle --seconds=60

Input number i depends on --seed and i alone, so `--first=i --count=1` repeats one. A right answer is numbers, or a
UserError of one line that names the file. Anything else is a fault: another exception, a crash, more than --most_mb of
memory, or a name of the process that is another one afterwards. The last line is a JSON of counts.
"""
import collections
import faulthandler
import json
import os
import pathlib
import pickle
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import gin
import numpy as np
import scipy.sparse
from absl import flags

from data_tools.readers import ho3d
from dhpe_tf import command_line, configuration, plain_arrays
from dhpe_tf.errors import UserError
from dhpe_tf.hand import hand_model, restricted_pickle
from dhpe_tf.networks import torch_weights
from tests.data_tools.readers import ho3d_files
from tests.fuzz import mutations
from tests.hand import hostile_pickles, mano_files
from tests.networks import test_torch_weights

_FLAGS = flags.FlagValues()
flags.DEFINE_string('entry', 'pickle', 'which reader', flag_values=_FLAGS)
flags.DEFINE_float('seconds', 10., 'how long at most', flag_values=_FLAGS)
flags.DEFINE_integer('first', 0, 'number of the first input', flag_values=_FLAGS)
flags.DEFINE_integer('count', 1 << 40, 'how many inputs at most', flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'of all inputs', flag_values=_FLAGS)
flags.DEFINE_integer('most_mb', 2000, 'memory beyond that of the start', flag_values=_FLAGS)


class Entry(NamedTuple):
  """A reader.

  Attributes:
    name: of the file that it reads.
    seeds: good and hostile files to change.
    read: takes the path.
  """

  name: str
  seeds: list[bytes]
  read: Callable[[str], Any]


def _pickle_entry(folder: str) -> Entry:
  values = {'a': np.arange(6.).reshape(2, 3), 'b': [1, (2.5, 'x', None)], 'c': {'d': np.float64(3), 'e': b'bytes'},
            'f': np.asfortranarray(np.arange(4, dtype='>i2').reshape(2, 2)), 'g': {1, 2}, 'h': np.array([True, False]),
            'm': scipy.sparse.random(4, 5, .5, format='csc', random_state=0), 'o': np.array(['x', None], object)}
  seeds = [pickle.dumps(values, protocol) for protocol in range(6)]
  small = [code + b'.' for code in hostile_pickles.FORGED.values() if len(code) < 10_000]

  def read(path: str) -> None:
    loaded = restricted_pickle.load(path)
    for value in loaded.values() if isinstance(loaded, dict) else [loaded]:
      try:
        restricted_pickle.to_floats(value)
      except ValueError:
        pass  # as documented
  return Entry('a.pkl', seeds + small, read)


def _mano_entry(folder: str) -> Entry:
  path = os.path.join(folder, 'seed.pkl')
  seeds = []
  for write in (mano_files.write_pickle, mano_files.write_distributed_pickle):
    write(path, hand_model.load_hand_model())
    with open(path, 'rb') as file:
      seeds.append(file.read())
  return Entry('MANO_RIGHT.pkl', seeds, hand_model.load_hand_model)


def _npz_entry(folder: str) -> Entry:
  path = os.path.join(folder, 'seed.npz')
  small = {'a': np.arange(6.), 'b': np.array('text'), 'c': np.eye(3, dtype='>i4'), 'd': np.zeros([0, 2])}
  seeds = []
  for save in (np.savez, np.savez_compressed):
    save(path, **small)
    with open(path, 'rb') as file:
      seeds.append(file.read())
  return Entry('a.npz', seeds, plain_arrays.read_npz)


def _torch_entry(folder: str) -> Entry:
  path = os.path.join(folder, 'seed.pth')
  seeds = []
  for changes in ({}, {'count': 3}, {'shape': (2, 3), 'strides': (0, 1)}):
    test_torch_weights._write(pathlib.Path(path), **changes)
    with open(path, 'rb') as file:
      seeds.append(file.read())
  return Entry('a.pth', seeds, torch_weights.read_state)


def _ho3d_entry(folder: str) -> Entry:
  ho3d_files.write(folder)
  root = os.path.join(folder, 'HO3D_v3')
  seeds = []
  for frame in ('0000', '0001'):
    with open(os.path.join(root, 'train', 'ABF10', 'meta', f'{frame}.pkl'), 'rb') as file:
      seeds.append(file.read())
  reader = ho3d.Ho3dReader(root, mano_parameters=True)
  return Entry(os.path.join('HO3D_v3', 'train', 'ABF10', 'meta', '0000.pkl'), seeds,
               lambda path: reader.read('train', ho3d.Key('ABF10', '0000', 0)))


def _gin_entry(folder: str) -> Entry:
  shipped = ('defaults.gin', 'rendered.gin', 'models/tiny.gin')
  seeds = [(configuration.folder() / name).read_bytes() for name in shipped]
  seeds += [b'import os\n', b"from os import path as p\ninclude 'a.gin'\ntrain.epochs = 3\n"]
  return Entry('a.gin', seeds, lambda path: configuration.load([path]))


ENTRIES = {'pickle': _pickle_entry, 'mano': _mano_entry, 'npz': _npz_entry, 'torch': _torch_entry, 'ho3d': _ho3d_entry,
           'gin': _gin_entry}


def main(argv: list[str]) -> None:
  """Runs one entry point.

  Raises:
    AssertionError: an input got a wrong answer; its number is printed.
  """
  del argv
  faulthandler.enable()
  with tempfile.TemporaryDirectory() as folder:
    entry = ENTRIES[_FLAGS.entry](folder)
    spots = [mutations.places(seed) for seed in entry.seeds]
    path, counts = os.path.join(folder, entry.name), collections.Counter()
    before, untouched, end = _peak_mb(), _state(), time.monotonic() + _FLAGS.seconds
    for number in range(_FLAGS.first, _FLAGS.first + _FLAGS.count):
      if time.monotonic() > end:
        break
      content = _input(number, entry, spots)
      with open(path, 'wb') as file:
        file.write(content)
      print(number, end='\r', file=sys.stderr, flush=True)
      counts[_answer(entry, path, number)] += 1
      assert _peak_mb() - before < _FLAGS.most_mb, f'input {number}: {_peak_mb() - before} MB'
      assert _state() == untouched, f'input {number}: the process is another one'
    print(json.dumps({'entry': _FLAGS.entry, 'inputs': sum(counts.values()), **counts,
                      'peak_mb': _peak_mb() - before}))


def _input(number: int, entry: Entry, spots: list[list[int]]) -> bytes:
  """The content of an input."""
  chance = random.Random(f'{_FLAGS.seed} {_FLAGS.entry} {number}')
  if _FLAGS.entry in ('pickle', 'torch') and chance.random() < .3:
    return mutations.program(chance)
  chosen = chance.randrange(len(entry.seeds))
  return mutations.mutate(entry.seeds[chosen], spots[chosen], chance, entry.seeds)


def _answer(entry: Entry, path: str, number: int) -> str:
  """'read' or 'refused'; an AssertionError for any other answer."""
  try:
    entry.read(path)
    return 'read'
  except UserError as error:
    text = str(error).split('\n  In call to configurable')[0]
    assert os.path.basename(path) in text or 'configuration: ' in text, f'input {number}: no file in {text!r}'
    assert '\n' not in text and len(text) < 1500, f'input {number}: {text!r}'
    return 'refused'
  except Exception as error:
    raise AssertionError(f'input {number}: {type(error).__name__}: {error}') from error
  finally:
    gin.clear_config()


def _peak_mb() -> int:
  """Largest memory of this process so far."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _state() -> list:
  """What a pickle might change: the functions and classes that its names stand for, and the process itself."""
  called = [call for call in restricted_pickle._CALLS.values() if call is not None]
  return [[(id(call), sorted(vars(call))) for call in called], os.getcwd(), len(os.environ), len(sys.path)]


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
