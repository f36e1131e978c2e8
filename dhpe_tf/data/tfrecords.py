"""Record sets on disk, in the layout of TFX.

  ROOT/schema.pbtxt                                  what a record is (tensorflow_metadata)
  ROOT/dataset.json                                  where the records come from and how they were made
  ROOT/Split-train/train-00000-of-00004.tfrecord.gz  shards of serialized tf.train.Example
  ROOT/Split-train/statistics.json                   counts and ranges

A split is written aside and renamed when it is whole.
"""
import contextlib
import glob
import json
import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from dhpe_tf import files
from dhpe_tf.data import example_schema
from dhpe_tf.errors import UserError

_HOW_TO_MAKE = 'make it with data_tools/make_synthetic.py or one of data_tools/convert_*.py'
SCHEMA_FILE, DATASET_FILE, STATISTICS_FILE = 'schema.pbtxt', 'dataset.json', 'statistics.json'


def split_folder(root: str, split: str) -> str:
  """Where a split's shards lie."""
  return os.path.join(root, f'Split-{split}')


class _Statistics:
  """Counts and ranges of the records that pass by."""

  def __init__(self):
    self._count, self._sides, self._ranges, self._present = 0, {}, {}, {}
    self._seen_joints = np.zeros(example_schema.NUM_KEYPOINTS)

  def add(self, record: dict) -> None:
    """Takes note of one record."""
    self._count += 1
    self._sides[record['hand/side']] = self._sides.get(record['hand/side'], 0) + 1
    self._seen_joints += np.asarray(record.get('hand/visibility', 1.0)) * np.asarray(record['hand/joints_2d_valid'])
    for name, value in record.items():
      self._present[name] = self._present.get(name, 0) + 1
      if example_schema.FIELDS[name].kind != 'bytes':
        low, high = self._ranges.get(name, (np.inf, -np.inf))
        self._ranges[name] = (min(low, float(np.min(value))), max(high, float(np.max(value))))

  def summary(self) -> dict:
    """What statistics.json holds."""
    return {'count': self._count, 'sides': self._sides, 'records_with_field': self._present,
            'range': {name: list(pair) for name, pair in self._ranges.items()},
            'share_of_records_with_visible_joint': (self._seen_joints / max(self._count, 1)).round(4).tolist()}


def write_split(root: str, split: str, records: Iterable[dict], shards: int = 4, compression_level: int = 1) -> int:
  """Writes one split; a split of that name that is there already is replaced once the new one is whole.

  Args:
    root: the record set's folder; made, with its schema, if need be.
    split: its name, such as 'train' or 'eval'.
    records: see `example_schema.FIELDS`.
    shards: number of files, filled in turn.
    compression_level: of gzip, 0-9; pictures are compressed already, so a low one loses little.

  Returns:
    The number of records.

  Raises:
    UserError: a bad record, no record at all, or a write that fails; nothing is left then.
  """
  statistics = _Statistics()
  with files.atomic_path(split_folder(root, split)) as folder:
    os.makedirs(folder)
    options = tf.io.TFRecordOptions('GZIP', compression_level=compression_level)
    with contextlib.ExitStack() as stack:
      writers = [stack.enter_context(tf.io.TFRecordWriter(
          os.path.join(folder, f'{split}-{i:05d}-of-{shards:05d}.tfrecord.gz'), options)) for i in range(shards)]
      count = 0
      for count, record in enumerate(records, 1):
        _write(writers[(count - 1) % shards], record, root)
        statistics.add(record)
    if not count:
      raise UserError(f'{root}: no record for split {split}; nothing was written')
    sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}
    write_json(os.path.join(folder, STATISTICS_FILE), {**statistics.summary(), 'bytes': sizes})
  with files.atomic_path(os.path.join(root, SCHEMA_FILE)) as path, open(path, 'w', encoding='utf-8') as file:
    file.write(example_schema.schema_text())
  return count


def _write(writer: tf.io.TFRecordWriter, record: dict, root: str) -> None:
  """Writes one record; what TensorFlow says of a full disk becomes an OSError, which `atomic_path` explains."""
  try:
    writer.write(example_schema.encode(record))
  except tf.errors.OpError as error:
    raise OSError(f'writing records to {root} failed: {error.message}') from error


def write_json(path: str, content: dict) -> None:
  """Writes a JSON file in one move."""
  with files.atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    json.dump(content, file, indent=2)
    file.write('\n')


def list_shards(root: str, split: str) -> list[str]:
  """The shards of a split, in order.

  Raises:
    UserError: the record set or the split is not there, or a shard is missing or has not its size.
  """
  if not os.path.isdir(root):
    raise UserError(f'no record set {root}: {_HOW_TO_MAKE}')
  shards = sorted(glob.glob(os.path.join(glob.escape(split_folder(root, split)), f'{split}-*-of-*.tfrecord.gz')))
  if not shards:
    there = sorted(name[len('Split-'):] for name in os.listdir(root) if name.startswith('Split-'))
    raise UserError(f"record set {root} has no split '{split}' (it has: {', '.join(there) or 'none'}): {_HOW_TO_MAKE}")
  total = int(shards[0].rsplit('-', 1)[1].split('.')[0])
  if len(shards) != total:
    raise UserError(f'{split_folder(root, split)} has {len(shards)} of {total} shards; convert the data again')
  sizes = _read_statistics(root, split)['bytes']
  for path in shards:
    if os.path.getsize(path) != sizes.get(os.path.basename(path)):
      raise UserError(f'{path} has {os.path.getsize(path)} bytes, not {sizes.get(os.path.basename(path))}: it is '
                      'damaged or cut off; convert the data again')
  return shards


def count(root: str, split: str) -> int:
  """Number of records of a split, from its statistics."""
  list_shards(root, split)
  return _read_statistics(root, split)['count']


def _read_statistics(root: str, split: str) -> dict:
  """What statistics.json of a split says."""
  path = os.path.join(split_folder(root, split), STATISTICS_FILE)
  try:
    with open(path, encoding='utf-8') as file:
      statistics = json.load(file)
    return {**statistics, 'count': int(statistics['count']), 'bytes': dict(statistics['bytes'])}
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError(f'{path} is missing or damaged; convert the data again') from error


def parse_spec(root: str) -> dict[str, tf.io.FixedLenFeature]:
  """The parse specification that a record set's schema gives; raises UserError if there is none that fits."""
  path = os.path.join(root, SCHEMA_FILE)
  try:
    with open(path, encoding='utf-8') as file:
      return example_schema.parse_spec(file.read(), path)
  except OSError as error:
    raise UserError(f'{path} cannot be read ({error.strerror}); convert the data again') from error


def read(root: str, split: str) -> tf.data.Dataset:
  """All records of a split in a fixed order, parsed.

  Raises:
    UserError: see `list_shards` and `parse_spec`.
  """
  shards = list_shards(root, split)
  spec = parse_spec(root)
  records = tf.data.TFRecordDataset(shards, compression_type='GZIP')
  return records.map(lambda serialized: tf.io.parse_single_example(serialized, spec))
