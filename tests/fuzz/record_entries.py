"""Entries of record sets: a shard, statistics.json, schema.pbtxt or dataset.json is changed, and commands read them.

The input pipeline takes half a second to start, most of it for TensorFlow to optimize its functions. So the functions
run on their own, and only one changed file in _SHARE goes through the pipeline.
"""
import functools
import glob
import json
import os
import random
from collections.abc import Callable
from typing import Any, Optional
from unittest import mock

import tensorflow as tf

from data_tools import validate, view_records
from dhpe_tf.data import input_pipeline, shard_checks, tfrecords
from dhpe_tf.tasks.hand.record import HAND_RECORD
from dhpe_tf.tasks.hand.task import HandTask
from tests.data import records
from tests.fuzz import mutations, remembered
from tests.fuzz.cases import Changed, Entry, command, seed_of

_NUMBERS = (0., -1., .5, 2., 1e6, -1e6, 1e38, float('nan'), float('inf'), -float('inf'))
_SHARE = 200
_RECORDS = 2
_TEXTS = (b'', b'up', b'left', b'\xff\xfe', b'x' * 100_000, b'\0', b'a\nb', b'\x89PNG\r\n\x1a\n')


def _change_records(content: bytes, chance: random.Random) -> bytes:
  """Changes a field of a record; the checksums of the shard are right."""
  del content  # a good shard is written anew
  made = list(_good_records())
  example = tf.train.Example.FromString(made[0])
  for _ in range(chance.choice((1, 1, 2, 5))):
    _change_feature(example.features.feature, chance)
  made[0] = example.SerializeToString()
  if chance.random() < .1:
    made[0] = mutations.mutate(made[0], range(len(made[0])), chance, made)
  path = os.path.join(os.getcwd(), f'.{os.getpid()}.tfrecord.gz')
  try:
    with tf.io.TFRecordWriter(path, 'GZIP') as writer:
      for record in made:
        writer.write(record)
    with open(path, 'rb') as file:
      return file.read()
  finally:
    os.remove(path)


@functools.cache
def _good_records() -> tuple[bytes, ...]:
  """Serialized records without fault."""
  return tuple(HAND_RECORD.schema.encode(records.record(number)) for number in range(_RECORDS))


def _change_feature(features: Any, chance: random.Random) -> None:
  """Changes a feature of an Example: its values, their number, their type, or whether it is there."""
  name = chance.choice(sorted(features))
  kind = features[name].WhichOneof('kind')
  if kind is None:
    return
  values = getattr(features[name], kind).value
  choice = chance.random()
  if choice < .1:
    del features[name]
  elif choice < .2:
    del values[len(values) // 2:]
  elif choice < .3:
    values.extend(list(values) * chance.choice((1, 3)))
  elif choice < .4:
    features[name].Clear()
    features[name].int64_list.value.append(chance.choice((0, -1, 1 << 62)))
  elif kind == 'bytes_list' and values:
    text = values[0]
    values[0] = chance.choice(_TEXTS) if chance.random() < .5 else mutations.mutate(
        text, range(max(len(text), 1)), chance, [text, *_TEXTS])
  elif kind == 'int64_list' and values:
    values[0] = chance.choice((0, -1, 1, 1 << 31, 1 << 62, -(1 << 62)))
  elif values:
    values[chance.randrange(len(values))] = chance.choice(_NUMBERS)


def _record_set(read: Callable[[str], None], quickly: Optional[Callable[[str], None]] = None
                ) -> Callable[[str], Entry]:
  """An entry that reads a changed record set.

  Args:
    read: takes its folder.
    quickly: reads all that are no samples; `read` if it is None.
  """
  def make(folder: str) -> Entry:
    root = os.path.join(folder, 'records')
    tfrecords.write_split(root, 'train', map(records.record, range(_RECORDS)), HAND_RECORD, 1)
    tfrecords.write_json(os.path.join(root, 'dataset.json'), {
        'converter': 'x', 'version': '0', 'source': 'rhd', 'licence': '', 'options': {},
        'published_counts': {'train': _RECORDS}, 'counts': {'train': _RECORDS}, 'skipped': {'train': []}})
    shard = sorted(glob.glob(f'{root}/Split-train/*.gz'))[0]
    statistics = os.path.join(root, 'Split-train', 'statistics.json')
    good = seed_of(statistics)
    seeds = [seed_of(shard), *[seed_of(shard, _change_records)] * 5, seed_of(shard, mutations.inside_gzip(
        lambda content, chance: mutations.mutate(content, range(len(content)), chance, [content])))]
    seeds += [seed_of(statistics, mutations.change_json),
              seed_of(os.path.join(root, 'dataset.json'), mutations.change_json),
              seed_of(os.path.join(root, 'schema.pbtxt'))]

    def read_set(path: str) -> None:
      if path == shard:  # its size is checked first, so a shard of another size gets no further
        content = json.loads(good.content)
        content['bytes'][os.path.basename(shard)] = os.path.getsize(shard) if os.path.isfile(shard) else 0
        with open(statistics, 'w', encoding='utf-8') as file:
          json.dump(content, file)
      shard_checks._kinds.clear()
      (read if quickly is None or remembered.is_sample(path, _SHARE) else quickly)(root)
    tokens = (*mutations.TEXT_TOKENS, b'feature {', b'type: BYTES', b'dim {', b'size: 21')
    return Changed(seeds, read_set, also=(root,), tokens=tokens)
  return make


def _parse(root: str) -> None:
  """Reads and parses all records."""
  command(lambda argv: [None for _ in tfrecords.read(root, 'train', HAND_RECORD.schema).as_numpy_iterator()])


def _quickly(size: Optional[int] = None, seed: Optional[tuple[int, int]] = None,
             use: Callable[[Any], Any] = lambda record: None) -> Callable[[str], None]:
  """Reads all records by functions that are traced once, see `remembered.records`; `use` takes each."""
  def read(root: str) -> None:
    command(lambda argv: [use(record) for record in remembered.records(root, 'train', size, seed)])
  return read


def _pipeline(training: bool) -> Callable[[str], None]:
  """Makes batches, for evaluation or for training."""
  def read(root: str) -> None:
    def main(argv: list[str]) -> None:
      del argv
      dataset = input_pipeline.build_dataset(HandTask(), [(root, 'train', 1.)], batch_size=2, image_size=32,
                                             training=training, shuffle_buffer=4)
      for _ in dataset.take(3).as_numpy_iterator():
        pass
    command(main)
  return read


def _validate(root: str) -> None:
  command(lambda argv: validate.validate(HandTask(), root))


def _validate_quickly(root: str) -> None:
  """The same with records that `remembered` has read."""
  with mock.patch.object(tfrecords, 'read', lambda root, split, schema: remembered.dataset(root, split)):
    _validate(root)


def _view(root: str) -> None:
  command(view_records.main, [f'--records={root}', f'--output={root}/../sheet.png', '--count=4', '--cell=32'],
          view_records._FLAGS)


ENTRIES = {'records': _record_set(_parse, _quickly()),
           'evaluation_batches': _record_set(_pipeline(False), _quickly(32)),
           'training_batches': _record_set(_pipeline(True), _quickly(32, (3, 4))),
           'validate': _record_set(_validate, _validate_quickly),
           'view_records': _record_set(_view, _quickly(
               32, use=lambda instance: view_records.draw_cell(HandTask(), instance)))}
ABOUT = {'records': f'`tfrecords.read`, 1 in {_SHARE} as a whole',
         'evaluation_batches': f'`build_dataset`, `training=False`, 1 in {_SHARE} as a whole',
         'training_batches': f'`build_dataset`, `training=True`, 1 in {_SHARE} as a whole',
         'validate': f'`data_tools.validate`, 1 in {_SHARE} as a whole',
         'view_records': f'`data_tools.view_records`, 1 in {_SHARE} as a whole'}
SLOW = ('evaluation_batches', 'training_batches', 'validate', 'view_records')
