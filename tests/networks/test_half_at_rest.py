"""Weights that rest in float16 are used in float32."""
import numpy as np
import tensorflow as tf

from dhpe_tf.networks import half_at_rest, landmark_net, palm_net


def test_published_networks_lose_nothing():
  for model, size in ((landmark_net.landmark_net(), landmark_net.SIZE_PX), (palm_net.palm_net(), palm_net.SIZE_PX)):
    images = np.random.RandomState(0).uniform(size=[1, size, size, 3]).astype(np.float32)
    halved = half_at_rest.copy(model)
    assert {weight.dtype for weight in halved.weights} == {tf.float16} and not halved.trainable_weights
    assert [weight.name for weight in halved.weights] == [weight.name for weight in model.weights]
    for name, value in model(images).items():
      found = halved(images)[name]
      assert found.dtype == tf.float32
      np.testing.assert_array_equal(found, value)


def test_other_weights_are_rounded_to_half():
  model = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(2)])
  model.set_weights([np.full([3, 2], 1 / 3, np.float32), np.zeros(2, np.float32)])
  halved = half_at_rest.copy(model)
  np.testing.assert_allclose(halved(np.ones([1, 3], np.float32)), 3. * float(np.float16(1 / 3)), rtol=1e-6)
