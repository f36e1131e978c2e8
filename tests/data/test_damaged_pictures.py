"""A picture that is damaged behind its header is named with shard and record, or left out where a setting says so."""
import functools

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from dhpe_tf import command_line
from dhpe_tf.data import damaged_pictures, image_files, input_pipeline, tfrecords
from dhpe_tf.tasks.hand.record import HAND_RECORD
from tests import bar_task
from tests.data import damage, records
from tests.tasks.hand.hands import TASK

_COUNT = 10


@pytest.fixture(autouse=True)
def _forget():
  damaged_pictures.forget()


def _write_bars(root, damaged):
  """Writes bars turned by 0, 1, ... rad, the pictures of `damaged` with damage; returns the folder."""
  def made(number):
    picture = image_files.encode(bar_task.draw_bar(number), 'PNG')
    return {'name': f'bar{number}', 'tilt_rad': float(number),
            'picture': damage.flipped(picture) if number in damaged else picture}
  tfrecords.write_split(str(root), 'train', map(made, range(_COUNT)), bar_task.BarTask.record, shards=2)
  return str(root)


def _batches(root, task=None, training=False, **options):
  return input_pipeline.build_dataset(task or bar_task.BarTask(), [(root, 'train', 1.)], 2, 16, training=training,
                                      shuffle_buffer=4, **options)


def _tilts(batches):
  return [round(float(tilt)) for batch in batches for tilt in batch['tilt'][:, 0]]


def _read(*args, times=1, **options):
  """Exit status of a program that reads all batches."""
  def main(_):
    for _ in range(times):
      for _ in _batches(*args, **options):
        pass
  return command_line.call(main, ['read'], flags.FlagValues())


@pytest.mark.parametrize('field', ['image/encoded', 'mask/encoded'])
def test_a_damaged_picture_is_refused_by_shard_record_and_name(tmp_path, field, capsys):
  made = [records.record(number) for number in range(_COUNT)]
  made[5][field] = damage.flipped(made[5][field])
  root = str(tmp_path / 'set')
  tfrecords.write_split(root, 'train', made, HAND_RECORD, shards=2)
  assert _read(root, TASK) == 1
  assert capsys.readouterr().err.splitlines()[-1] == (
      f'error: {root}/Split-train/train-00001-of-00002.tfrecord.gz: record 2 (0005.png): {field} is damaged; convert '
      'the data again from a whole copy, or set build_dataset.skip_damaged = True to leave such records out')


def test_a_record_may_hold_no_mask_but_needs_its_picture(tmp_path, capsys):
  root = str(tmp_path / 'set')
  tfrecords.write_split(root, 'train', [records.record(mask=False)], HAND_RECORD, shards=1)
  assert len(list(_batches(root, TASK, skip_damaged=True))) == 1
  tfrecords.write_split(root, 'train', [records.record(), {**records.record(1), 'image/encoded': b''}], HAND_RECORD, 1)
  assert len(list(_batches(root, TASK, skip_damaged=True))) == 1
  assert 'record 1 (0001.png): a picture is damaged' in capsys.readouterr().err
  assert _read(root, TASK) == 1
  assert 'record 1 (0001.png): image/encoded is damaged' in capsys.readouterr().err


def test_a_record_of_which_nothing_can_be_made_is_named(tmp_path, capsys):
  """Each number is within its range, and yet the hand is a thousand times as large as its picture."""
  root = str(tmp_path / 'set')
  far = {**records.record(1), 'hand/joints_2d_px': 1e5 * np.arange(42, dtype=np.float32).reshape(21, 2)}
  tfrecords.write_split(root, 'train', [records.record(), far], HAND_RECORD, shards=1)
  assert _read(root, TASK) == 1
  assert capsys.readouterr().err.splitlines()[-1] == (
      f'error: {root}/Split-train/train-00000-of-00001.tfrecord.gz: record 1: hand/joints_2d_px or hand/box_px spans '
      'more than 20 times the picture, or is not finite; correct or remove the record')


def test_damaged_records_are_left_out_named_once_and_counted(tmp_path, capsys):
  root = _write_bars(tmp_path / 'set', {3, 4})
  assert _tilts(_batches(root, skip_damaged=True)) == [0, 2, 6, 8, 1, 5, 7, 9]
  capsys.readouterr()
  assert _read(root, times=2, skip_damaged=True) == 0
  shard = f'left out: {root}/Split-train/train-0000{{}}-of-00002.tfrecord.gz: record {{}}: a picture is damaged'
  assert capsys.readouterr().err.splitlines() == [
      f'{shard.format(0, "2 (bar4)")} (1 so far)', f'{shard.format(1, "1 (bar3)")} (2 so far)',
      'records with damaged pictures left out: 2']


def test_where_nothing_is_damaged_the_batches_stay_the_same(tmp_path):
  batches = functools.partial(_batches, _write_bars(tmp_path / 'set', ()), training=True)
  plain, careful = batches().take(12), batches(skip_damaged=True).take(12)
  for one, other in zip(plain, careful):
    tf.nest.map_structure(np.testing.assert_array_equal, one, other)
  assert damaged_pictures.summary() == ''


def test_a_training_finds_its_position_again(tmp_path):
  batches = functools.partial(_batches, _write_bars(tmp_path / 'set', {0, 3, 4}), training=True, skip_damaged=True)
  whole, resumed = _tilts(batches().take(9)), _tilts(batches(skip_batches=6).take(3))
  assert whole[12:] == resumed and not {0, 3, 4} & set(whole)


def test_a_record_set_without_a_sound_picture_ends_the_training(tmp_path, capsys):
  root = _write_bars(tmp_path / 'set', set(range(_COUNT)))
  assert _read(root, training=True, skip_damaged=True) == 1
  assert 'record 0 (bar0): picture is damaged' in capsys.readouterr().err
