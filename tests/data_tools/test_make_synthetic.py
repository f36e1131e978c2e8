import json
import os

import numpy as np
import pytest
import tensorflow as tf

from data_tools import make_synthetic
from dhpe_tf import command_line
from dhpe_tf.data import tfrecords
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.metrics import pose_error
from dhpe_tf.tasks.hand.record import SCHEMA


def make(output, **values):
  options = {'output': output, 'train': 6, 'eval': 3, 'batch': 4, 'image_size': 64, 'shards': 1,
             'gin_param': 'backgrounds.Backgrounds.pool_size = 4', **values}
  argv = ['make_synthetic', *(f'--{name}={value}' for name, value in options.items())]
  return command_line.call(make_synthetic.main, argv, make_synthetic._FLAGS)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  root = tmp_path_factory.mktemp('synthetic')
  assert make(root / 'set') == 0
  return str(root / 'set')


def test_layout(root):
  with open(os.path.join(root, 'dataset.json'), encoding='utf-8') as file:
    assert json.load(file)['counts'] == {'train': 6, 'eval': 3}
  assert tfrecords.count(root, 'train') == 6 and tfrecords.count(root, 'eval') == 3
  ids = [record['image/id'].numpy() for split in ('train', 'eval') for record in tfrecords.read(root, split, SCHEMA)]
  assert len(set(ids)) == 9 and ids[0] == b'train-0000000'


def test_labels_of_each_record_agree(root):
  sides = set()
  for record in tfrecords.read(root, 'train', SCHEMA):
    joints_m, intrinsics = record['hand/joints_3d_m'].numpy(), record['camera/intrinsics'].numpy()
    pixels = joints_m @ intrinsics.T
    np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], record['hand/joints_2d_px'], atol=1e-2)
    assert tf.io.decode_jpeg(record['image/encoded']).shape == (64, 64, 3)
    mask = tf.io.decode_png(record['mask/encoded'])[..., 0].numpy()
    at = np.floor(record['hand/joints_2d_px'].numpy()).astype(int)
    seen = (record['hand/visibility'].numpy() > 0) & ((at >= 0) & (at < 64)).all(-1)
    assert (mask[at[seen, 1], at[seen, 0]] > 0).mean() > 0.8
    left = record['hand/side'] == b'left'
    keypoints = ManoLayer()(record['hand/pose'][None], record['hand/shape'][None])['keypoints'].numpy()
    same_hand = joints_m * [-1 if left else 1, 1, 1]
    turned = pose_error.align_procrustes(keypoints, same_hand[None])
    np.testing.assert_allclose(turned[0], same_hand, atol=1e-4)
    sides.add(bool(left))
  assert sides == {True, False}


def test_the_same_seed_gives_the_same_records_whatever_the_workers(root, tmp_path):
  assert make(tmp_path / 'again', eval=0, workers=1) == 0
  first, again = ([text.numpy() for text in tfrecords.read_serialized(str(folder), 'train')]
                  for folder in (root, tmp_path / 'again'))
  assert first == again


def test_nothing_to_make(tmp_path, capsys):
  assert make(tmp_path / 'set', train=0, eval=0) == 1
  assert 'error: --train and --eval are both 0' in capsys.readouterr().err
  assert make(tmp_path / 'set', backgrounds=tmp_path / 'nowhere') == 1
  assert 'nowhere cannot be read' in capsys.readouterr().err and not os.path.exists(tmp_path / 'set' / 'Split-train')
