"""Checks of shards: sizes before TensorFlow reads one, and after an error which record of which shard is at fault.

A shard is compressed by gzip and holds records: 8 bytes of length, 4 of its checksum, the record, 4 of its checksum.
TensorFlow takes as much memory as a length says, and its errors name no file.
"""
import gzip
import os
import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tqdm import tqdm

from dhpe_tf import files
from dhpe_tf.data import encoded_pictures, record_schema
from dhpe_tf.data.record_schema import RecordSchema
from dhpe_tf.errors import UserError, brief, naming

MOST_SHARD_BYTES = 64 << 30
MOST_RECORD_BYTES = 1 << 27  # the largest picture that the converters take has 50 million pixels
_UNPACKED_ANYWAY, _MOST_RATIO = 1 << 28, 20  # pictures are compressed already
_REMEDY = 'convert the data again'
_CHUNK = 1 << 20
_VALUES = {'bytes': 'bytes_list', 'float': 'float_list', 'int': 'int64_list'}
_LISTS = {tf.string: 'bytes_list', tf.float32: 'float_list', tf.int64: 'int64_list'}
_ASSERTION = re.compile(r'assertion failed: \[(.*?)\]')

_checked: set[tuple] = set()
_opened: dict[str, None] = {}
_kinds: dict[str, tuple[dict[str, tf.io.FixedLenFeature], RecordSchema]] = {}
_uses: dict[str, Callable[[tf.Tensor], Any]] = {}


def open_shards(shards: Sequence[str], places: bool = False) -> tf.data.Dataset:
  """Returns the serialized records of shards, one shard after another; each is checked when its turn comes.

  Args:
    shards: their paths.
    places: whether each record comes with its place, a text of shard and number.
  """
  _opened.update(dict.fromkeys(shards))

  def records(path: tf.Tensor) -> tf.data.Dataset:
    checked = tf.py_function(_checked_path, [path], tf.string)
    found = tf.data.TFRecordDataset(tf.ensure_shape(checked, []), compression_type='GZIP')
    return found.enumerate().map(lambda number, record: (record, _place(path, number))) if places else found

  def _place(path: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    return tf.strings.join([path, tf.strings.as_string(number)], ': record ')

  return tf.data.Dataset.from_tensor_slices(tf.constant(list(map(os.fsencode, shards)), tf.string)).flat_map(records)


def remember(root: str, spec: dict[str, tf.io.FixedLenFeature], schema: RecordSchema) -> None:
  """Keeps parse specification and schema of a record set for `explain`."""
  _kinds[os.path.abspath(root)] = spec, schema


def remember_use(root: str, use: Callable[[tf.Tensor], Any]) -> None:
  """Keeps for `explain` what is made of each serialized record (scalar string) of a record set."""
  _uses[os.path.abspath(root)] = use


def forget() -> None:
  """Forgets what was opened, so that `explain` looks only at what a command opens after this."""
  _opened.clear()
  _uses.clear()


def check(path: str) -> None:
  """Reads a shard through, once in a process while it stays the same.

  Raises:
    UserError: a folder or pipe is in its place, it is damaged or cut off, a record is too large, or it unpacks to far
      more than its size.
  """
  files.check_input(path, MOST_SHARD_BYTES, _REMEDY)
  found = os.stat(path)
  key = path, found.st_size, found.st_mtime_ns
  if key not in _checked:
    _read_through(path)
    _checked.add(key)


def explain() -> None:
  """Looks for the fault in the shards that this process has opened, after TensorFlow reported one without its place.

  Raises:
    UserError: the first record that cannot be read, has a damaged picture, or of which nothing can be made, with shard,
      number and field.
  """
  for path, root in _opened_shards():
    spec, schema = _kinds.get(root, ({}, None))
    for place, record in _places(path):
      features = _check_record(record, spec, place)
      if schema is not None:
        _check_values(features, schema, place)
  for path, root in _opened_shards():
    if root in _uses:
      for place, record in _places(path):
        _try(_uses[root], record, place)


def _opened_shards() -> Iterator[tuple[str, str]]:
  """The shards that were opened and are still there, each with its record set."""
  for path in _opened:
    if os.path.lexists(path):
      yield path, os.path.abspath(os.path.dirname(os.path.dirname(path)))


def _places(path: str) -> Iterator[tuple[str, bytes]]:
  """The records of a shard, each with its place; a bar if it takes long."""
  shown = tqdm(read_records(path), f'looking for the fault in {os.path.basename(path)}', file=sys.stderr,
               unit=' records', leave=False, delay=1)
  for number, record in enumerate(shown):
    yield f'{path}: record {number}', record


def _try(use: Callable[[tf.Tensor], Any], record: bytes, place: str) -> None:
  """Raises a UserError if nothing can be made of a record; in a task's own words if it asserts something."""
  try:
    use(tf.constant(record))
  except tf.errors.OpError as error:
    asserted = _ASSERTION.search(error.message)
    if asserted:
      raise UserError(f'{place}: {asserted[1]}') from error
    raise UserError(f'{place} cannot be used: {brief(error)}; {_REMEDY}') from error


def read_records(path: str) -> Iterator[bytes]:
  """Yields the serialized records of a shard; a UserError as of `check`, or where a checksum does not fit."""
  check(path)
  number, records = 0, iter(tf.data.TFRecordDataset(os.fsencode(path), compression_type='GZIP'))
  while True:
    with naming(f'{path}: record {number} is damaged', _REMEDY, tf.errors.OpError):
      record = next(records, None)
    if record is None:
      return
    yield record.numpy()
    number += 1


def _checked_path(path: tf.Tensor) -> tf.Tensor:
  """The path of a shard after `check`."""
  check(os.fsdecode(path.numpy()))
  return path


def _read_through(path: str) -> None:
  """Reads a shard without keeping a record; a UserError if it is damaged or unpacks to too much."""
  unpacked, most = 0, _UNPACKED_ANYWAY + _MOST_RATIO * os.path.getsize(path)
  with naming(f'{path} is damaged or cut off', _REMEDY, OSError, EOFError, zlib.error, struct.error), \
      gzip.open(path, 'rb') as file:
    number = 0
    while header := file.read(12):
      length, = struct.unpack_from('<Q', header.ljust(12))
      if len(header) < 12 or length > MOST_RECORD_BYTES:
        raise UserError(f'{path}: record {number} is cut off or announces more than {MOST_RECORD_BYTES >> 20} MiB; '
                        f'{_REMEDY}')
      unpacked += length
      if unpacked > most:
        raise UserError(f'{path}: unpacks to more than {_MOST_RATIO} times its size, which pictures never do; '
                        f'{_REMEDY}')
      if not _read_over(file, length) or len(file.read(4)) < 4:
        raise UserError(f'{path}: record {number} is cut off; {_REMEDY}')
      number += 1


def _read_over(file: gzip.GzipFile, length: int) -> bool:
  """Reads over a record in pieces; returns whether it is whole."""
  while length:
    piece = len(file.read(min(length, _CHUNK)))
    if not piece:
      return False
    length -= piece
  return True


def _check_record(record: bytes, spec: dict[str, tf.io.FixedLenFeature], place: str) -> Mapping[str, tf.train.Feature]:
  """Returns the features of a record; a UserError unless it is an Example with the fields of the specification."""
  with naming(f'{place} is no tf.train.Example', _REMEDY, message.DecodeError):
    features = tf.train.Example.FromString(record).features.feature
  for name, field in spec.items():
    kind = features[name].WhichOneof('kind') if name in features else None
    values = getattr(features[name], kind).value if kind else ()
    if not kind and field.default_value is not None:
      continue
    if not kind:
      raise UserError(f'{place}: {name} is missing; {_REMEDY}')
    if kind != _LISTS[field.dtype]:
      raise UserError(f'{place}: {name} is a {kind}, not a {_LISTS[field.dtype]}; {_REMEDY}')
    count = int(tf.TensorShape(field.shape).num_elements())
    if len(values) != count:
      raise UserError(f'{place}: {name} holds {len(values)} values, not {count}; {_REMEDY}')
  # TensorFlow's own parser takes less than that of protocol buffers.
  with naming(f'{place} cannot be parsed', _REMEDY, tf.errors.OpError, UnicodeDecodeError):
    tf.io.parse_single_example(record, spec)
  return features


def _check_values(features: Mapping[str, tf.train.Feature], schema: RecordSchema, place: str) -> None:
  """Raises a UserError if a value of a record is beyond its range or a picture cannot be decoded."""
  name = b''.join(features[schema.name_field].bytes_list.value).decode(errors='replace')
  for field_name, field in schema.fields.items():
    values = list(getattr(features[field_name], _VALUES[field.kind]).value) if field_name in features else []
    wrong = record_schema.fault(values[0] if field.kind == 'bytes' else np.array(values), field) if values else ''
    if wrong:
      raise UserError(f'{place} ({name}): {field_name} {wrong}, and {_REMEDY}')
    if field.is_picture and values and not encoded_pictures.is_sound(values[0], field.default is not None):
      raise UserError(f'{place} ({name}): {field_name} is damaged; {_REMEDY} from a whole copy, or set '
                      'build_dataset.skip_damaged = True to leave such records out')
