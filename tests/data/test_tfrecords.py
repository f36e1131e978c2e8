import json
import os

import pytest
import tensorflow as tf

from dhpe_tf.data import tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand.record import HAND_RECORD, SCHEMA
from tests.data import records


def test_layout_and_order(tmp_path):
  root = records.write(tmp_path / 'set', 7)
  assert sorted(os.listdir(root)) == ['Split-train', 'schema.pbtxt']
  names = [os.path.basename(path) for path in tfrecords.list_shards(root, 'train')]
  assert names == ['train-00000-of-00002.tfrecord.gz', 'train-00001-of-00002.tfrecord.gz']
  assert tfrecords.count(root, 'train') == 7
  ids = [record['image/id'].numpy().decode() for record in tfrecords.read(root, 'train', SCHEMA)]
  assert ids == [f'{i:04d}.png' for i in (0, 2, 4, 6, 1, 3, 5)]


def test_statistics_are_right(tmp_path):
  root = records.write(tmp_path / 'set', 4)
  with open(os.path.join(root, 'Split-train', 'statistics.json'), encoding='utf-8') as file:
    statistics = json.load(file)
  made = [records.record(i) for i in range(4)]
  assert statistics['count'] == 4 and statistics['sides'] == {'right': 4}
  low, high = statistics['range']['hand/shape']
  assert low == pytest.approx(min(r['hand/shape'].min() for r in made))
  assert high == pytest.approx(max(r['hand/shape'].max() for r in made))
  assert statistics['share_of_records_with_visible_joint'][3] == pytest.approx(
      sum(r['hand/visibility'][3] for r in made) / 4, abs=1e-4)


def test_what_is_missing_is_named_with_its_remedy(tmp_path):
  with pytest.raises(UserError, match='no record set .*nowhere.*make_synthetic'):
    tfrecords.read(str(tmp_path / 'nowhere'), 'train', SCHEMA)
  root = records.write(tmp_path / 'set')
  with pytest.raises(UserError, match=r"has no split 'eval' \(it has: train\)"):
    tfrecords.read(root, 'eval', SCHEMA)
  os.remove(tfrecords.list_shards(root, 'train')[1])
  with pytest.raises(UserError, match='1 of 2 shards'):
    tfrecords.list_shards(root, 'train')


def test_truncated_shard_is_noticed(tmp_path):
  root = records.write(tmp_path / 'set')
  path = tfrecords.list_shards(root, 'train')[0]
  with open(path, 'rb') as file:
    content = file.read()
  with open(path, 'wb') as file:
    file.write(content[:len(content) // 2])
  with pytest.raises(UserError, match='train-00000-of-00002.tfrecord.gz has .* bytes, not .* damaged or cut off'):
    tfrecords.read(root, 'train', SCHEMA)


def test_nothing_half_written_is_left_when_a_record_is_bad(tmp_path):
  def some():
    yield records.record(0)
    yield {**records.record(1), 'hand/side': 'neither'}
  with pytest.raises(UserError, match='neither'):
    tfrecords.write_split(str(tmp_path / 'set'), 'train', some(), HAND_RECORD)
  assert os.listdir(tmp_path / 'set') == []


def test_an_old_split_survives_a_failed_new_one(tmp_path):
  root = records.write(tmp_path / 'set', 3)
  with pytest.raises(UserError):
    tfrecords.write_split(root, 'train', [{'image/id': 'broken'}], HAND_RECORD)
  assert len(list(tfrecords.read(root, 'train', SCHEMA))) == 3
  assert sorted(os.listdir(root)) == ['Split-train', 'schema.pbtxt']


def test_full_disk(tmp_path, monkeypatch):
  class Full(tf.io.TFRecordWriter):
    def write(self, record):
      raise tf.errors.ResourceExhaustedError(None, None, 'No space left on device')
  monkeypatch.setattr(tfrecords.tf.io, 'TFRecordWriter', Full)
  with pytest.raises(UserError, match='cannot write .*No space left on device.*Free some disk space'):
    records.write(tmp_path / 'set')
  assert os.listdir(tmp_path / 'set') == []


def test_no_record_is_an_error(tmp_path):
  with pytest.raises(UserError, match='no record for split train'):
    tfrecords.write_split(str(tmp_path / 'set'), 'train', [], HAND_RECORD)
