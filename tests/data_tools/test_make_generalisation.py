import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from data_tools import make_generalisation, validate
from dhpe_tf import command_line
from dhpe_tf.data import tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand.bench import axes, splits
from dhpe_tf.tasks.hand.record import HAND_RECORD, SCHEMA
from dhpe_tf.tasks.hand.task import HandTask


def make(output, **values):
  options = {'output': output, 'train': 24, 'test': 5, 'batch': 8, 'image_size': 48, 'shards': 1,
             'gin_param': 'backgrounds.Backgrounds.pool_size = 2', **values}
  argv = ['make_generalisation', *(f'--{name}={value}' for name, value in options.items())]
  return command_line.call(make_generalisation.main, argv, make_generalisation._FLAGS)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(make_generalisation, '_SKINS', 2)
    folder = tmp_path_factory.mktemp('bench') / 'set'
    assert make(folder) == 0
  return str(folder)


def records_of(root, split):
  found = list(tfrecords.read(root, split, SCHEMA).batch(1000).as_numpy_iterator())
  return found[0]


def test_no_test_value_of_an_extrapolated_axis_occurs_in_the_training_records(root):
  with open(os.path.join(root, tfrecords.DATASET_FILE), encoding='utf-8') as file:
    regions = axes.from_json(json.load(file)['bench_regions'], 'dataset.json')
  values = {split: axes.of_records(records_of(root, split)) for split in (splits.TRAIN, *splits.TESTS)}
  assert splits.leaks(values, regions) == []
  for split in splits.TESTS:
    stated = records_of(root, split)['bench/training_distance']
    np.testing.assert_allclose(stated, axes.distances(values[split], values[splits.TRAIN]), rtol=1e-3, atol=1e-2)
    for axis in splits.extrapolated(split):
      assert (stated[:, axes.AXES.index(axis)] > 0.1).all()


def test_records_are_labelled_right_hands_with_their_axis_values(root):
  found = records_of(root, splits.EXTRAP['object'])
  assert set(found['object/kind']) == {b'cylinder'} and set(found['hand/side']) == {b'right'}
  assert found['image/id'][0].startswith(b'extrap_object/')
  assert tf.io.decode_jpeg(found['image/encoded'][0]).shape == (48, 48, 3)
  pixels = np.einsum('nkj,nij->nki', found['hand/joints_3d_m'], found['camera/intrinsics'])
  np.testing.assert_allclose(pixels[..., :2] / pixels[..., 2:], found['hand/joints_2d_px'], atol=1e-2)


def leak_findings(root):
  report = validate.validate(HandTask(), root, [splits.TRAIN, *splits.TESTS])
  return [line for line in report['findings'] if line.startswith('split ')]


def _plain(name, value):
  """A value as tools write it: texts as str."""
  return value.decode() if name in ('hand/side', 'source', 'group', 'image/id') else value


def test_validate_refuses_a_leaked_set(root, tmp_path):
  assert leak_findings(root) == []
  leaked = str(tmp_path / 'leaked')
  shutil.copytree(root, leaked)
  mixed = [{name: _plain(name, value[row]) for name, value in fields.items()} for fields, rows in (
      (records_of(root, splits.TRAIN), range(23)), (records_of(root, splits.EXTRAP['shape']), [2])) for row in rows]
  tfrecords.write_split(leaked, splits.TRAIN, mixed, HAND_RECORD, 1)
  found = leak_findings(leaked)
  assert any('1 of 24 hands are not in the training region of the axis shape' in line for line in found)
  assert any('1 values of the axis shape occur in training' in line for line in found)
  argv = ['validate', f'--records={leaked}', '--splits=train,extrap_shape']
  assert command_line.call(validate.main, argv, validate._FLAGS) == 1


def test_a_damaged_dataset_json_is_named(root, tmp_path):
  damaged = str(tmp_path / 'damaged')
  shutil.copytree(root, damaged)
  with open(os.path.join(damaged, tfrecords.DATASET_FILE), 'w', encoding='utf-8') as file:
    json.dump({'bench_regions': {'shape': 1}}, file)
  with pytest.raises(UserError, match='no regions of a generalisation bench'):
    validate.validate(HandTask(), damaged, [splits.TRAIN])
