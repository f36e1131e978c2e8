"""Record sets on disk, in the layout of TFX.

  ROOT/schema.pbtxt                                  fields of a record (tensorflow_metadata)
  ROOT/dataset.json                                  origin of the records and how they were made
  ROOT/Split-train/train-00000-of-00004.tfrecord.gz  shards of serialized tf.train.Example
  ROOT/Split-train/statistics.json                   counts, ranges, histograms, sizes of the shards

A split is written to a temporary folder and renamed when it is complete.
"""
import contextlib
import functools
import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf import files, json_files
from dhpe_tf.data import shard_checks
from dhpe_tf.data.record_schema import RecordSchema
from dhpe_tf.data.statistics import RecordStatistics
from dhpe_tf.errors import UserError, naming

_HOW_TO_MAKE = 'make it with data_tools/make_synthetic.py or one of data_tools/convert_*.py'
SCHEMA_FILE, DATASET_FILE, STATISTICS_FILE = 'schema.pbtxt', 'dataset.json', 'statistics.json'


class RecordType(NamedTuple):
  """A kind of record.

  Attributes:
    schema: its fields.
    new_statistics: makes empty statistics for a split or shard.
  """

  schema: RecordSchema
  new_statistics: Callable[[], RecordStatistics]


def split_folder(root: str, split: str) -> str:
  """Folder of a split's shards."""
  return os.path.join(root, f'Split-{split}')


def shard_name(split: str, number: int, shards: int) -> str:
  """File name of a shard."""
  return f'{split}-{number:05d}-of-{shards:05d}.tfrecord.gz'


@contextlib.contextmanager
def whole_record_set(root: str) -> Iterator[str]:
  """Yields a temporary folder that replaces the record set `root` if the block succeeds.

  For splits that belong together: a new training split beside an old evaluation split could contain hands that the
  latter holds out.

  Raises:
    UserError: `root` holds files that belong to no record set, or writing fails.
  """
  if os.path.isdir(root):
    strange = [name for name in sorted(os.listdir(root))
               if name not in (SCHEMA_FILE, DATASET_FILE) and not name.startswith('Split-')]
    if strange:
      raise UserError(f'{root} is no record set (it holds {strange[0]}), so it is left alone; choose another --output')
  with files.atomic_path(root) as folder:
    os.makedirs(folder)
    yield folder


def write_split(root: str, split: str, records: Iterable[dict], record_type: RecordType, shards: int = 4,
                compression_level: int = 1) -> int:
  """Writes one split; an existing split of that name is replaced once the new one is complete.

  Args:
    root: folder of the record set; it and its schema are made if they are missing.
    split: name of the split, such as 'train' or 'eval'.
    records: values by field name.
    record_type: kind of the records.
    shards: number of files; records go to them in turn.
    compression_level: of gzip, 0-9; pictures are already compressed, so a low level costs little space.

  Returns:
    The number of records.

  Raises:
    UserError: a bad record, no record at all, or a failed write; nothing is left then.
  """
  gathered = record_type.new_statistics()
  with files.atomic_path(split_folder(root, split)) as folder:
    os.makedirs(folder)
    with contextlib.ExitStack() as stack:
      paths = [os.path.join(folder, shard_name(split, i, shards)) for i in range(shards)]
      writers = [stack.enter_context(_writer(path, compression_level)) for path in paths]
      for number, record in enumerate(records):
        _write(writers[number % shards], record, record_type.schema)
        gathered.add(record)
    _write_statistics(folder, gathered, f'{root}: no record for split {split}; nothing was written')
  write_schema(root, record_type.schema)
  return gathered.count


def write_shard(path: str, records: Iterable[dict], record_type: RecordType,
                compression_level: int = 1) -> RecordStatistics:
  """Writes one shard atomically.

  Args:
    path: of the shard; see `shard_name`.
    records: values by field name; an empty iterable makes an empty shard.
    record_type: kind of the records.
    compression_level: of gzip, 0-9.

  Returns:
    The statistics of its records.

  Raises:
    UserError: a bad record, or a failed write; no shard is left then.
  """
  gathered = record_type.new_statistics()
  with files.atomic_path(path) as temporary, _writer(temporary, compression_level) as writer:
    for record in records:
      _write(writer, record, record_type.schema)
      gathered.add(record)
  return gathered


def adopt_split(root: str, split: str, folder: str, gathered: RecordStatistics, schema: RecordSchema) -> None:
  """Turns a folder of complete shards into the split; an existing split is replaced.

  Args:
    root: folder of the record set.
    split: name of the split.
    folder: holds all shards and nothing else; it is moved.
    gathered: the statistics of all shards together.
    schema: of the records.

  Raises:
    UserError: no record at all, or a failed write.
  """
  _write_statistics(folder, gathered, f'{root}: no record for split {split}; nothing was written')
  write_schema(root, schema)
  with files.atomic_path(split_folder(root, split)) as temporary:
    os.replace(folder, temporary)


def _write_statistics(folder: str, gathered: RecordStatistics, if_empty: str) -> None:
  """Writes statistics.json, with the sizes of the shards, into a folder that holds only the shards.

  Args:
    folder: of the shards.
    gathered: the statistics of all shards.
    if_empty: text of the UserError raised if there is no record.
  """
  if not gathered.count:
    raise UserError(if_empty)
  sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}
  write_json(os.path.join(folder, STATISTICS_FILE), {**gathered.summary(), 'bytes': sizes})


def write_schema(root: str, schema: RecordSchema) -> None:
  """Writes schema.pbtxt into the record set `root`."""
  with files.atomic_path(os.path.join(root, SCHEMA_FILE)) as path, open(path, 'w', encoding='utf-8') as file:
    file.write(schema.to_text())


@contextlib.contextmanager
def _writer(path: str, compression_level: int) -> Iterator[tf.io.TFRecordWriter]:
  """Opens a shard for writing; TensorFlow's errors become OSError, which `atomic_path` turns into a UserError."""
  with _refusals():
    # TensorFlow takes names of any bytes, but only as bytes.
    writer = tf.io.TFRecordWriter(os.fsencode(path), tf.io.TFRecordOptions('GZIP', compression_level=compression_level))
  try:
    yield writer
  except BaseException:
    with contextlib.suppress(tf.errors.OpError):
      writer.close()
    raise
  with _refusals():  # Closing writes the last records to the disk.
    writer.close()


def _write(writer: tf.io.TFRecordWriter, record: dict, schema: RecordSchema) -> None:
  """Encodes and writes one record."""
  encoded = schema.encode(record)
  with _refusals():
    writer.write(encoded)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
  """Turns TensorFlow's write errors into OSError."""
  try:
    yield
  except tf.errors.OpError as error:
    raise OSError(error.message) from error


def write_json(path: str, content: dict) -> None:
  """Writes a JSON file atomically."""
  with files.atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    json.dump(content, file, indent=2)
    file.write('\n')


def list_shards(root: str, split: str) -> list[str]:
  """Returns the paths of a split's shards in order, after checking their number and sizes.

  Raises:
    UserError: the record set or the split does not exist, or a shard is missing or has the wrong size.
  """
  if not os.path.isdir(root):
    raise UserError(f'no record set {root}: {_HOW_TO_MAKE}')
  shards = sorted(glob.glob(os.path.join(glob.escape(split_folder(root, split)), f'{split}-*-of-*.tfrecord.gz')))
  if not shards:
    there = sorted(name[len('Split-'):] for name in os.listdir(root) if name.startswith('Split-'))
    raise UserError(f"record set {root} has no split '{split}' (it has: {', '.join(there) or 'none'}): {_HOW_TO_MAKE}")
  ending = shards[0].rsplit('-', 1)[1].split('.')[0]
  total = int(ending) if ending.isdecimal() else 0
  if len(shards) != total:
    raise UserError(f'{split_folder(root, split)} has {len(shards)} of {total} shards; convert the data again')
  sizes = _read_statistics(root, split)['bytes']
  for path in shards:
    if not os.path.isfile(path):
      raise UserError(f'{path} is no plain file; convert the data again')
    if os.path.getsize(path) != sizes.get(os.path.basename(path)):
      raise UserError(f'{path} has {os.path.getsize(path)} bytes, not {sizes.get(os.path.basename(path))}: it is '
                      'damaged or cut off; convert the data again')
  return shards


def count(root: str, split: str) -> int:
  """Returns the number of records of a split from its statistics."""
  list_shards(root, split)
  return _read_statistics(root, split)['count']


def _read_statistics(root: str, split: str) -> dict:
  """Reads statistics.json of a split; raises a UserError if it is missing or damaged."""
  path = os.path.join(split_folder(root, split), STATISTICS_FILE)
  with naming(f'{path} is missing or damaged', 'convert the data again', ValueError, KeyError, TypeError,
              OverflowError):
    found = json_files.read_object(path, 'convert the data again')
    return {**found, 'count': int(found['count']), 'bytes': dict(found['bytes'])}


def parse_spec(root: str, schema: RecordSchema) -> dict[str, tf.io.FixedLenFeature]:
  """Returns the parse specification of a record set; raises a UserError if its schema is missing or does not fit."""
  path = os.path.join(root, SCHEMA_FILE)
  spec = schema.parse_spec(files.read_text(path, remedy='convert the data again'), path)
  shard_checks.remember(root, spec, schema)
  return spec


def read_serialized(root: str, split: str, seed: Optional[int] = None, places: bool = False) -> tf.data.Dataset:
  """Returns all records of a split, serialized.

  Args:
    root: folder of the record set.
    split: name of the split.
    seed: None for a fixed order from the first record. With a seed the shards come in random order. The first shard
      starts at a random record, and the records before it come last: a training of short epochs, each started anew,
      then sees all records in time.
    places: whether each record comes with its place, a text of shard and number.

  Raises:
    UserError: see `list_shards`.
  """
  shards = list_shards(root, split)
  if seed is None:
    return shard_checks.open_shards(shards, places)
  random = np.random.default_rng(seed)
  first, *others = (str(path) for path in random.permutation(shards))
  start = int(random.integers(-(-_read_statistics(root, split)['count'] // len(shards))))
  opened = functools.partial(shard_checks.open_shards, places=places)
  return opened([first]).skip(start).concatenate(opened(others)).concatenate(opened([first]).take(start))


def read(root: str, split: str, schema: RecordSchema) -> tf.data.Dataset:
  """Returns all records of a split, parsed, in a fixed order.

  Raises:
    UserError: see `list_shards` and `parse_spec`.
  """
  records, spec = read_serialized(root, split), parse_spec(root, schema)
  return records.map(lambda serialized: tf.io.parse_single_example(serialized, spec))
