import json
import os

import numpy as np
import pytest
import tensorflow as tf

from data_tools import convert_rhd
from data_tools.readers import base, rhd
from dhpe_tf import command_line
from dhpe_tf.data import input_pipeline, tfrecords
from dhpe_tf.tasks.hand.record import SCHEMA
from dhpe_tf.tasks.hand.task import HandTask
from tests.data_tools.readers import rhd_files
from tests.tasks.hand.hands import TASK


def _run(*arguments):
  return command_line.call(convert_rhd.main, ['convert_rhd', *arguments], convert_rhd._FLAGS)


@pytest.fixture(scope='module', name='converted')
def _converted(tmp_path_factory):
  root = tmp_path_factory.mktemp('rhd')
  truth = rhd_files.write(root, (('training', 5), ('evaluation', 2)))
  assert _run(f'--input={root}', f'--output={root}/records', '--shards=2') == 0
  return root, truth


def test_records_hold_what_was_read(converted):
  root, _ = converted
  read = {example['image/id']: example for example in base.examples(rhd.RhdReader(root), 'train', base.Skipped(True))}
  records = list(tfrecords.read(f'{root}/records', 'train', SCHEMA).as_numpy_iterator())
  assert len(records) == len(read) == 5
  for record in records:
    example = read[record['image/id'].decode()]
    for name, value in example.items():
      if isinstance(value, (str, bytes)):
        assert record[name] == (value.encode() if isinstance(value, str) else value), name
      else:
        np.testing.assert_allclose(record[name], value, atol=1e-4, err_msg=name)


def test_dataset_json(converted):
  root, _ = converted
  with open(f'{root}/records/dataset.json', encoding='utf-8') as file:
    about = json.load(file)
  assert about['counts'] == {'train': 5, 'eval': 2}
  assert about['options'] == {'hand': 'mask', 'first_keypoint': 'palm', 'min_visible': 0}
  assert about['published_counts'] == {'train': 41258, 'eval': 2728}
  assert 'research' in about['licence']
  assert tfrecords.count(f'{root}/records', 'eval') == 2


def test_pipeline_turns_left_hands_into_right_ones(converted):
  """In crop space a mirrored left hand has its labels on its mask."""
  root, _ = converted
  batch = next(iter(input_pipeline.build_dataset(TASK, [(f'{root}/records', 'train', 1.)], batch_size=5, image_size=64,
                                                 training=False)))
  assert sorted(batch['is_left'].numpy()) == [False, False, False, True, True]
  assert (batch['mask_weight'].numpy() == 1).all() and (batch['root_depth_m'].numpy() > .4).all()
  places = tf.cast(tf.floor((batch['joints_2d'] + 1) * 32), tf.int32)
  on_mask = tf.gather_nd(batch['mask'], places[..., ::-1], batch_dims=1).numpy() > .5
  assert on_mask.mean() > .8


def test_batches_have_the_wrist_though_records_have_the_palm(converted):
  root, truth = converted
  batch = next(iter(input_pipeline.build_dataset(TASK, [(f'{root}/records', 'train', 1.)], batch_size=5, image_size=16,
                                                 training=False)))
  for joints_m, is_left, name in zip(batch['joints_3d_m'].numpy(), batch['is_left'].numpy(), batch['id'].numpy()):
    side = 'left' if is_left else 'right'
    expected = truth['training', int(name.decode().split('/')[1])][side].keypoints_m * [-1 if is_left else 1, 1, 1]
    np.testing.assert_allclose(joints_m, expected, atol=1e-5)


@pytest.mark.parametrize('upright', [False, True])
def test_perfect_answers_in_the_crop_are_placed_on_the_hands(converted, upright):
  root, _ = converted
  task = HandTask(upright=upright)
  batch = next(iter(input_pipeline.build_dataset(task, [(f'{root}/records', 'train', 1.)], batch_size=5, image_size=16,
                                                 training=False)))
  labels = {name: value.numpy() for name, value in batch.items()}
  assert (np.abs(labels['crop_turn']) > .01).any() == upright
  predictions = {'joints_3d_m': labels['joints_3d_m'], 'joints_crop': labels['joints_3d']}
  measures = task.measure('freihand', predictions, labels).measures
  assert measures['epe_mean/none'].value < .1


def test_is_deterministic(converted, tmp_path):
  root, _ = converted
  assert _run(f'--input={root}', f'--output={tmp_path}', '--shards=2', '--splits=train') == 0
  for i in range(2):
    name = f'Split-train/train-{i:05d}-of-00002.tfrecord.gz'
    assert [bytes(x) for x in tf.data.TFRecordDataset(f'{tmp_path}/{name}', 'GZIP').as_numpy_iterator()] == [
        bytes(x) for x in tf.data.TFRecordDataset(f'{root}/records/{name}', 'GZIP').as_numpy_iterator()]


def test_resume_leaves_whole_splits(converted, tmp_path, capsys):
  root, _ = converted
  arguments = (f'--input={root}', f'--output={tmp_path}', '--shards=1')
  assert _run(*arguments, '--splits=eval') == 0
  shard = tmp_path / 'Split-eval' / 'eval-00000-of-00001.tfrecord.gz'
  before = os.stat(shard).st_mtime_ns
  assert _run(*arguments, '--resume') == 0
  assert os.stat(shard).st_mtime_ns == before and 'already' in capsys.readouterr().out
  assert tfrecords.count(str(tmp_path), 'train') == 5
  # Other options, other records.
  assert _run(*arguments, '--resume', '--first_keypoint=wrist') == 0
  assert os.stat(shard).st_mtime_ns != before


def test_damaged_picture_stops_or_is_skipped(tmp_path, capsys):
  rhd_files.write(tmp_path, (('training', 2),))
  picture = tmp_path / 'RHD_published_v2' / 'training' / 'color' / '00001.png'
  picture.write_bytes(b'')
  arguments = (f'--input={tmp_path}', f'--output={tmp_path}/records', '--splits=train')
  assert _run(*arguments) == 1
  error = capsys.readouterr().err.strip().splitlines()[-1]
  assert error.startswith('error:') and '00001.png' in error and '--on_error=skip' in error
  assert not os.path.exists(f'{tmp_path}/records/Split-train')
  assert _run(*arguments, '--on_error=skip') == 0
  assert tfrecords.count(f'{tmp_path}/records', 'train') == 1
  assert '1 pictures skipped; published are 41258' in capsys.readouterr().out
  with open(f'{tmp_path}/records/dataset.json', encoding='utf-8') as file:
    assert '00001.png' in json.load(file)['skipped']['train'][0]


def test_missing_dataset(tmp_path, capsys):
  assert _run(f'--input={tmp_path}', f'--output={tmp_path}/records') == 1
  assert 'not found' in capsys.readouterr().err
