"""Hostile shards end with one line that names shard, record and field, in little memory."""
import gzip
import json
import os
import struct
import tracemalloc
import types

import pytest
import tensorflow as tf
from absl import flags

from data_tools import validate
from dhpe_tf import command_line
from dhpe_tf.data import input_pipeline, shard_checks, tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand.record import HAND_RECORD, SCHEMA
from tests import commands
from tests.data import records


def _frame(record):
  """A record as TensorFlow writes it, with its checksums."""
  path = os.path.join(os.environ.get('TMPDIR', '/tmp'), f'frame-{os.getpid()}')
  with tf.io.TFRecordWriter(path) as writer:
    writer.write(record)
  with open(path, 'rb') as file:
    content = file.read()
  os.remove(path)
  return content


def _changed(change):
  """A record of the hand task after a change of its features."""
  example = tf.train.Example.FromString(SCHEMA.encode(records.record(3)))
  change(example.features.feature)
  return example.SerializeToString()


# The name of a field is no UTF-8, so that TensorFlow's message about it is no text.
_NOT_UTF8 = SCHEMA.encode(records.record(3)).replace(b'hand/side', b'hand/s\xffde')


@pytest.fixture(name='root')
def _root(tmp_path):
  return records.write(tmp_path / 'set', 4)


def _put(root, content, packed=True):
  """Puts content in the place of the second shard, and its size into the statistics."""
  path = tfrecords.list_shards(root, 'train')[1]
  with open(path, 'wb') as file:
    file.write(gzip.compress(content) if packed else content)
  statistics = os.path.join(os.path.dirname(path), 'statistics.json')
  with open(statistics, encoding='utf-8') as file:
    found = json.load(file)
  found['bytes'][os.path.basename(path)] = os.path.getsize(path)
  with open(statistics, 'w', encoding='utf-8') as file:
    json.dump(found, file)
  return path


@pytest.mark.parametrize('record, fault', [
    (b'no example', 'record 1 is no tf.train.Example'),
    (_changed(lambda fields: fields.pop('hand/side')), 'record 1: hand/side is missing'),
    (_changed(lambda fields: fields['hand/joints_2d_px'].float_list.value.pop()),
     'record 1: hand/joints_2d_px holds 41 values, not 42'),
    (_changed(lambda fields: fields['image/height'].float_list.value.append(3.)),
     'record 1: image/height is a float_list, not a int64_list'),
    (_changed(lambda fields: fields['hand/pose'].float_list.value.append(3.)), 'record 1: hand/pose holds 46 values'),
    (_changed(lambda fields: fields['group'].bytes_list.ClearField('value')), 'record 1: group holds 0 values, not 1'),
    (_NOT_UTF8, 'record 1 is no tf.train.Example')])
def test_the_record_is_named(root, record, fault, capsys):
  _put(root, _frame(SCHEMA.encode(records.record(0))) + _frame(record))
  assert commands.call(validate, f'--records={root}') == 1
  error = capsys.readouterr().err.splitlines()[-1]
  assert error.startswith(f'error: {root}/Split-train/train-00001-of-00002.tfrecord.gz: {fault}'), error
  assert error.endswith('; convert the data again')


@pytest.mark.parametrize('content, packed, fault', [
    (b'no gzip', False, 'is damaged or cut off'), (b'', True, None), (b'abc', True, 'record 0 is cut off'),
    (struct.pack('<QI', 1 << 40, 0), True, 'record 0 is cut off or announces more than'),
    (struct.pack('<QI', 1000, 0) + bytes(3), True, 'record 0 is cut off')])
def test_a_damaged_shard_is_named(root, content, packed, fault, capsys):
  path = _put(root, content, packed)
  status = commands.call(validate, f'--records={root}')
  error = capsys.readouterr()
  assert status == 1 and (fault is None or fault in error.err.splitlines()[-1]), error
  assert fault is None or os.path.basename(path) in error.err.splitlines()[-1]


def test_a_flipped_byte_within_a_record_is_named(root, capsys):
  content = bytearray(_frame(SCHEMA.encode(records.record(0))))
  content[200] ^= 1
  _put(root, bytes(content))
  assert commands.call(validate, f'--records={root}') == 1
  assert 'train-00001-of-00002.tfrecord.gz: record 0 is damaged' in capsys.readouterr().err


def test_a_bomb_takes_no_memory(root, monkeypatch):
  monkeypatch.setattr(shard_checks, '_UNPACKED_ANYWAY', 1 << 22)
  path = _put(root, (struct.pack('<QI', 1 << 20, 0) + bytes((1 << 20) + 4)) * 100)
  assert os.path.getsize(path) < 200_000
  tracemalloc.start()
  with pytest.raises(UserError, match='train-00001-of-00002.tfrecord.gz: unpacks to more than 20 times its size'):
    shard_checks.check(path)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 1 << 23
  with pytest.raises(tf.errors.OpError):
    list(tfrecords.read(root, 'train', SCHEMA))


def test_a_folder_in_the_place_of_a_shard(root):
  path = tfrecords.list_shards(root, 'train')[1]
  os.remove(path)
  os.mkdir(path)
  with pytest.raises(UserError, match='train-00001-of-00002.tfrecord.gz is no plain file; convert'):
    tfrecords.read(root, 'train', SCHEMA)
  os.rmdir(path)
  os.mkfifo(path)
  with pytest.raises(UserError, match='is no plain file'):
    tfrecords.read(root, 'train', SCHEMA)


def test_a_shard_is_read_through_once(root, monkeypatch):
  list(tfrecords.read(root, 'train', SCHEMA))
  monkeypatch.setattr(shard_checks, '_read_through', None)
  assert len(list(tfrecords.read(root, 'train', SCHEMA))) == 4


def _set(name, value):
  """A change of the first number of a field, or of its text."""
  def change(fields):
    values = fields[name].bytes_list if isinstance(value, bytes) else fields[name].float_list
    values.value[0] = value
  return change


@pytest.mark.parametrize('change, fault', [
    (_set('hand/side', b'up'), "hand/side is 'up', not 'right' or 'left'; correct it"),
    (_set('hand/joints_2d_valid', -1.), 'hand/joints_2d_valid holds -1, not a number from 0 to 1; correct the labels'),
    (_set('hand/joints_2d_px', float('nan')), 'hand/joints_2d_px holds NaN or infinity; leave such labels out by their '
     'valid entry'),
    (_set('hand/joints_3d_m', float('inf')), 'hand/joints_3d_m holds NaN or infinity; leave such labels out by their '
     'valid entry')])
def test_values_beyond_their_range_are_not_read(root, change, fault, capsys):
  _put(root, _frame(SCHEMA.encode(records.record(0))) + _frame(_changed(change)))

  task = types.SimpleNamespace(name='ids', record=HAND_RECORD, batch={}, after_parsing=lambda root: None,
                               instance=lambda record, size, seed: {'id': record['image/id']})

  def main(_):
    list(input_pipeline.build_dataset(task, [(root, 'train', 1.)], 2, 16, training=False))
  assert command_line.call(main, ['read'], flags.FlagValues()) == 1
  error = capsys.readouterr().err.splitlines()[-1]
  assert error == (f'error: {root}/Split-train/train-00001-of-00002.tfrecord.gz: record 1 (0003.png): {fault}, and '
                   'convert the data again')


def test_validate_counts_values_beyond_their_range(root, capsys):
  _put(root, b''.join(_frame(_changed(change)) for change in (
      _set('hand/side', b'up'), _set('hand/joints_2d_px', float('nan')), _set('hand/joints_2d_px', float('nan')))))
  assert commands.call(validate, f'--records={root}') == 1
  found = capsys.readouterr().out
  assert "hand/side is neither 'right' nor 'left': 1 of 5 records, such as 0003.png" in found
  assert 'hand/joints_2d_px holds something else than numbers from -3.40282e+38 to 3.40282e+38: 2 of 5 records' in found
