"""A network of TensorFlow Lite answers as the Keras model it was made of, in graphs and from several threads."""
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.serving import lite


@pytest.fixture(scope='module')
def model():
  tf.keras.utils.set_random_seed(0)
  image = tf.keras.Input((8, 8, 3))
  x = tf.keras.layers.Conv2D(4, 3, 2, padding='same', activation='relu')(image)
  pooled = tf.keras.layers.GlobalAveragePooling2D()(x)
  joints = tf.keras.layers.Dense(6)(pooled)
  # In no alphabetical order, and two of one shape, so that a mistaken order would be seen.
  return tf.keras.Model(image, {'zone': pooled, 'joints': tf.reshape(joints, [-1, 3, 2]), 'area': 2. * pooled})


@pytest.fixture(scope='module')
def network(model):
  return lite.LiteNetwork(lite.convert(model), 'toy.tflite')


def pictures(count):
  return np.random.RandomState(count).uniform(size=[count, 8, 8, 3]).astype(np.float32)


@pytest.mark.parametrize('count', [1, 2, 7])
def test_answers_as_the_keras_model(model, network, count):
  expected, found = model(pictures(count)), network(pictures(count))
  assert sorted(found) == sorted(expected)
  for name, value in expected.items():
    # Weights are stored in float16.
    np.testing.assert_allclose(found[name], value, atol=2e-3)
    assert found[name].dtype == value.dtype and found[name].shape == value.shape


def test_arrays_are_answered_as_tensors_are_also_views_that_run_backwards(network):
  images = pictures(3)
  expected = network(np.concatenate([images, images[:, :, ::-1]]))
  found = network.answer([*images, *images[:, :, ::-1]])
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value)


def test_no_picture_gives_no_rows(network):
  assert network(pictures(1)[:0])['joints'].shape == [0, 3, 2]


def test_graphs_know_the_shapes(network):
  @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3])])
  def answer(images):
    found = network(images)
    assert found['joints'].shape.as_list() == [None, 3, 2]
    return found
  for name, value in network(pictures(3)).items():
    np.testing.assert_array_equal(answer(pictures(3))[name], value)


def test_calls_from_many_threads_do_not_mix(network):
  given = [pictures(1 + number % 3) for number in range(60)]
  with futures.ThreadPoolExecutor(8) as threads:
    for one, found in zip(given, threads.map(network, given)):
      np.testing.assert_array_equal(found['joints'], network(one)['joints'])


def test_other_networks_and_calls_are_refused(network):
  other = tf.keras.Sequential([tf.keras.Input((3,), name='numbers'), tf.keras.layers.Dense(2)])
  with pytest.raises(UserError, match='hand.tflite: not a network of TensorFlow Lite with the input images; export'):
    lite.LiteNetwork(tf.lite.TFLiteConverter.from_keras_model(other).convert(), 'hand.tflite')
  with pytest.raises(ValueError, match='cannot learn'):
    network(pictures(1), training=True)
  with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
    network(np.zeros([1, 9, 8, 3], np.float32))


def test_the_terminal_stays_clean(model, capfd):
  lite.convert(model)
  assert not capfd.readouterr().err
