"""Weights by the names and in the order of hand3d against its network on plain TensorFlow operations."""
import pickle

import numpy as np
import pytest
import tensorflow as tf

from data_tools import convert_posenet, posenet
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons
from dhpe_tf.networks import keypoint_net
from tests.commands import call

WIDTH = 0.05
BLOCKS = (((1, 2), True), ((2, 2), True), ((3, 4), True), ((4, 7), False))


@pytest.fixture(scope='module')
def theirs():
  """Random arrays of a narrow PoseNet2D, and one of another network."""
  random, arrays = np.random.default_rng(0), {'HandSegNet/conv1_1/biases': np.zeros(3, np.float32)}
  model = keypoint_net.pose_machine(256, width=WIDTH)
  for ours, name in posenet._LAYERS.items():
    kernel = model.get_layer(ours).kernel.shape
    scale = np.sqrt(2 / np.prod(kernel[:3]))
    arrays[f'PoseNet2D/{name}/weights'] = random.normal(0, scale, kernel).astype(np.float32)
    arrays[f'PoseNet2D/{name}/biases'] = random.normal(0, 0.1, kernel[3]).astype(np.float32)
  return arrays


@pytest.fixture
def file(theirs, tmp_path):
  path = tmp_path / 'posenet.pickle'
  path.write_bytes(pickle.dumps(theirs, protocol=2))
  return path


def hand3d(image, arrays):
  """PoseNet2D on an image [B, 256, 256, 3] in 0..1: score maps of its three stages, keypoints as RHD numbers them."""

  def conv(x, name, active=True):
    x = tf.nn.conv2d(x, arrays[f'PoseNet2D/{name}/weights'], 1, 'SAME') + arrays[f'PoseNet2D/{name}/biases']
    return tf.maximum(x, 0.01 * x) if active else x
  x = image - 0.5
  for (block, count), pool in BLOCKS:
    for number in range(1, count + 1):
      x = conv(x, f'conv{block}_{number}')
    x = tf.nn.max_pool2d(x, 2, 2, 'VALID') if pool else x
  encoding, scores = x, [conv(conv(x, 'conv5_1'), 'conv5_2', False)]
  for unit in (6, 7):
    x = tf.concat([scores[-1], encoding], axis=3)
    for number in range(1, 7):
      x = conv(x, f'conv{unit}_{number}')
    scores.append(conv(x, f'conv{unit}_7', False))
  return scores


def test_heat_maps_are_those_of_hand3d(theirs, file, tmp_path):
  arrays = posenet.convert(posenet.read(file), str(file))
  np.savez(tmp_path / 'posenet.npz', **arrays)
  model = keypoint_net.pose_machine(256, width=WIDTH, weights=str(tmp_path / 'posenet.npz'))
  image = tf.random.stateless_uniform([1, 256, 256, 3], [1, 2])
  order = skeletons.permutation('rhd', 'dhpe')
  for found, expected in zip(model(image), hand3d(image, theirs), strict=True):
    np.testing.assert_allclose(found, tf.gather(expected, order, axis=3), atol=1e-4)


def test_weights_of_another_width_are_refused_and_nothing_is_written(file, tmp_path, capsys):
  assert call(convert_posenet, f'--input={file}', f'--output={tmp_path}/out.npz') == 1
  error = capsys.readouterr().err
  assert 'conv1_1/kernel is' in error and error.count('\n') == 1 and not (tmp_path / 'out.npz').exists()


@pytest.mark.parametrize('change, message', [
    (lambda arrays: arrays.pop('PoseNet2D/conv7_7/biases'), 'no array PoseNet2D/conv7_7/biases'),
    (lambda arrays: arrays.update({'PoseNet2D/conv5_2/biases': np.zeros(20, np.float32)}), 'other channels than 21'),
    (lambda arrays: arrays.clear(), 'holds no PoseNet2D')])
def test_errors(theirs, tmp_path, change, message):
  arrays = dict(theirs)
  change(arrays)
  (tmp_path / 'posenet.pickle').write_bytes(pickle.dumps(arrays))
  with pytest.raises(UserError, match=message):
    posenet.convert(posenet.read(str(tmp_path / 'posenet.pickle')), 'posenet.pickle')
