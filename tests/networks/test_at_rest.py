"""Weights that rest in float16 or int8 are used in float32."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.networks import at_rest, landmark_net, palm_net
from tests.finding.hands import rendered

PUBLISHED = [(landmark_net.landmark_net, landmark_net.SIZE_PX), (palm_net.palm_net, palm_net.SIZE_PX)]


def small():
  """A network with a convolution and what stays in float16, and weights at random."""
  image = tf.keras.Input((8, 8, 3))
  x = tf.keras.layers.Conv2D(6, 3, activation='relu', name='conv')(image)
  x = tf.keras.layers.PReLU(shared_axes=[1, 2], alpha_initializer='ones', name='slope')(x)
  x = tf.keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name='depthwise')(x)
  x = tf.keras.layers.GlobalAveragePooling2D(name='mean')(x)
  model = tf.keras.Model(image, tf.keras.layers.Dense(4, name='dense')(x))
  random = np.random.RandomState(0)
  model.set_weights([random.normal(size=weight.shape) for weight in model.weights])
  return model


@pytest.mark.parametrize('build, size', PUBLISHED)
def test_published_networks_lose_nothing_by_float16(build, size):
  model = build()
  images = np.random.RandomState(0).uniform(size=[1, size, size, 3]).astype(np.float32)
  halved = at_rest.copy(model)
  assert {weight.dtype for weight in halved.weights} == {tf.float16} and not halved.trainable_weights
  assert [weight.name for weight in halved.weights] == [weight.name for weight in model.weights]
  for name, value in model(images).items():
    found = halved(images)[name]
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, value)


def test_other_weights_are_rounded_to_half():
  model = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(2)])
  model.set_weights([np.full([3, 2], 1 / 3, np.float32), np.zeros(2, np.float32)])
  halved = at_rest.copy(model)
  np.testing.assert_allclose(halved(np.ones([1, 3], np.float32)), 3. * float(np.float16(1 / 3)), rtol=1e-6)


def test_float32_is_the_model_itself():
  model = small()
  assert at_rest.copy(model, 'float32') is model


def test_kernels_in_int8_are_rounded_by_at_most_half_a_step_of_their_channel():
  model = small()
  rested = at_rest.copy(model, 'int8')
  assert not rested.trainable_weights
  kernel, bias = model.get_layer('conv').get_weights()
  own_bias, whole, scale = rested.get_layer('conv').get_weights()
  assert whole.dtype == np.int8 and np.all(np.abs(whole).max(axis=(0, 1, 2)) == 127)
  np.testing.assert_allclose(own_bias, bias, rtol=1e-3)
  assert np.all(np.abs(whole * scale - kernel) <= scale * 0.5001)
  for name in ('depthwise', 'dense', 'slope'):
    assert {weight.dtype for weight in rested.get_layer(name).weights} == {tf.float16}


def test_a_network_in_int8_computes_with_the_rounded_kernels():
  model, images = small(), np.random.RandomState(1).normal(size=[2, 8, 8, 3]).astype(np.float32)
  rested = at_rest.copy(model, 'int8')
  rounded = tf.keras.models.clone_model(model)
  for layer in rounded.layers:
    values = rested.get_layer(layer.name).get_weights()
    if len(values) == 3:
      layer.set_weights([values[1] * values[2], values[0]])
    elif values:
      layer.set_weights(values)
  for answer in (rested(images), tf.function(rested)(images), rested(images)):
    np.testing.assert_allclose(answer, rounded(images), rtol=1e-5, atol=1e-5)
  assert np.abs(rounded(images) - model(images)).max() > 1e-4


def test_a_channel_of_zeros_stays_zero():
  model = tf.keras.Sequential([tf.keras.Input((1, 1, 3)), tf.keras.layers.Conv2D(2, 1)])
  model.set_weights([np.array([[[[0, 1], [0, 2], [0, 3]]]], np.float32), np.array([.5, 0], np.float32)])
  np.testing.assert_allclose(at_rest.copy(model, 'int8')(np.ones([1, 1, 1, 3])), [[[[.5, 6.]]]], rtol=.01)


@pytest.mark.slow
@pytest.mark.parametrize('build, size', PUBLISHED)
def test_published_networks_in_int8_are_smaller_than_in_float16(build, size):
  model = build()
  rested, images = at_rest.copy(model, 'int8'), np.random.RandomState(0).uniform(size=[1, size, size, 3])
  sizes = [sum(weight.dtype.size * np.prod(weight.shape) for weight in one.weights) for one in (model, rested)]
  assert sizes[1] < 0.33 * sizes[0]
  assert set(rested(images)) == set(model(images))


def test_the_landmark_network_in_int8_sees_the_same_joints():
  model, picture = landmark_net.landmark_net(), rendered()[0][0]
  image = tf.image.resize(picture[None] / 255, [landmark_net.SIZE_PX] * 2)
  found, wanted = at_rest.copy(model, 'int8')(image), model(image)
  assert wanted['presence'] > 0.5
  size_px = np.ptp(wanted['joints_2d_px'], axis=1).max()
  assert np.linalg.norm(found['joints_2d_px'] - wanted['joints_2d_px'], axis=-1).mean() < .015 * size_px
  assert np.linalg.norm(found['world_joints_m'] - wanted['world_joints_m'], axis=-1).mean() < 2e-3
