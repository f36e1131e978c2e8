"""Limits from random hands and from records, by the command line."""
import json

import numpy as np
import pytest

from data_tools import estimate_limits
from dhpe_tf import command_line
from dhpe_tf.data import tfrecords
from dhpe_tf.hand import bone_geometry, bone_limits
from dhpe_tf.tasks.hand.record import HAND_RECORD
from tests.data import records


def run(**values):
  argv = ['estimate_limits', *(f'--{name}={value}' for name, value in values.items())]
  return command_line.call(estimate_limits.main, argv, estimate_limits._FLAGS)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  made = str(tmp_path_factory.mktemp('records') / 'set')
  rights = [records.record(number) for number in range(6)]
  partly = {**records.record(7), 'hand/joints_3d_valid': np.arange(21) % 2}
  tfrecords.write_split(made, 'train', [*rights, *map(records.mirrored, rights), partly], HAND_RECORD)
  return made


def test_a_left_hand_counts_as_the_right_one_in_the_mirror(root):
  joints = estimate_limits.labelled_joints_m(root, 'train', 100)
  assert joints.shape == (12, 21, 3)
  lengths = np.sort(bone_geometry.measure(joints).bends.numpy().reshape(12, -1), axis=0)
  np.testing.assert_allclose(lengths[::2], lengths[1::2], atol=1e-3)


def test_limits_of_records(root, tmp_path, capsys):
  path = str(tmp_path / 'limits.json')
  assert run(records=root, output=path, kept=1) == 0
  limits, found = bone_limits.read(path), bone_geometry.measure(estimate_limits.labelled_joints_m(root, 'train', 100))
  assert np.all(found.lengths >= limits.lengths[:, 0] - 1e-5) and np.all(found.lengths <= limits.lengths[:, 1] + 1e-5)
  with open(path, encoding='utf-8') as file:
    assert json.load(file)['made_from'].startswith('12 hands')
  assert 'limits of 12 hands' in capsys.readouterr().out


def test_limits_of_random_hands_are_the_same_for_the_same_seed(tmp_path):
  contents = []
  for number in range(2):
    assert run(output=tmp_path / f'{number}.json', count=40) == 0
    contents.append((tmp_path / f'{number}.json').read_bytes())
  assert contents[0] == contents[1]


def test_a_split_without_joints_in_3d_is_refused(tmp_path, capsys):
  flat = [{**records.record(number), 'hand/joints_3d_valid': np.zeros(21)} for number in range(4)]
  tfrecords.write_split(str(tmp_path / 'set'), 'train', flat, HAND_RECORD)
  assert run(records=tmp_path / 'set', output=tmp_path / 'limits.json') == 1
  assert '0 hands of the split train have all joints labelled in 3D' in capsys.readouterr().err
  assert not (tmp_path / 'limits.json').exists()
