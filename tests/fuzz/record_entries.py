"""Entries of record sets: a shard, statistics.json, schema.pbtxt or dataset.json is changed, and commands read them."""
import glob
import json
import os
import random
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dhpe_tf.data import input_pipeline, shard_checks, tfrecords
from dhpe_tf.tasks.hand.record import HAND_RECORD
from dhpe_tf.tasks.hand.task import HandTask
from tests.data import records
from tests.fuzz import mutations
from tests.fuzz.cases import Changed, Entry, command, seed_of

_NUMBERS = (0., -1., .5, 2., 1e6, -1e6, 1e38, float('nan'), float('inf'), -float('inf'))
_TEXTS = (b'', b'up', b'left', b'\xff\xfe', b'x' * 100_000, b'\0', b'a\nb', b'\x89PNG\r\n\x1a\n')


def _change_records(content: bytes, chance: random.Random) -> bytes:
  """Changes a field of a record; the checksums of the shard are right."""
  del content  # a good shard is written anew
  made = [HAND_RECORD.schema.encode(records.record(number)) for number in range(2)]
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


def _record_set(read: Callable[[str], None]) -> Callable[[str], Entry]:
  """An entry that reads a changed record set; `read` takes its folder."""
  def make(folder: str) -> Entry:
    root = os.path.join(folder, 'records')
    records.write(root, 4)
    tfrecords.write_json(os.path.join(root, 'dataset.json'), {
        'converter': 'x', 'version': '0', 'source': 'rhd', 'licence': '', 'options': {},
        'published_counts': {'train': 4}, 'counts': {'train': 4}, 'skipped': {'train': []}})
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
      read(root)
    tokens = (*mutations.TEXT_TOKENS, b'feature {', b'type: BYTES', b'dim {', b'size: 21')
    return Changed(seeds, read_set, also=(root,), tokens=tokens)
  return make


def _parse(root: str) -> None:
  """Reads and parses all records."""
  command(lambda argv: [None for _ in tfrecords.read(root, 'train', HAND_RECORD.schema).as_numpy_iterator()])


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
  from data_tools import validate
  command(lambda argv: validate.validate(HandTask(), root))


def _view(root: str) -> None:
  from data_tools import view_records
  command(view_records.main, [f'--records={root}', f'--output={root}/../sheet.png', '--count=4', '--cell=32'],
          view_records._FLAGS)


ENTRIES = {'records': _record_set(_parse), 'evaluation_batches': _record_set(_pipeline(False)),
           'training_batches': _record_set(_pipeline(True)), 'validate': _record_set(_validate),
           'view_records': _record_set(_view)}
ABOUT = {'records': '`tfrecords.read`', 'evaluation_batches': '`build_dataset`, `training=False`',
         'training_batches': '`build_dataset`, `training=True`', 'validate': '`data_tools.validate`',
         'view_records': '`data_tools.view_records`'}
SLOW = {'evaluation_batches': 10, 'training_batches': 10, 'validate': 10, 'view_records': 10}
