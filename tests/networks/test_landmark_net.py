"""The landmark network answers as the original does, and learns only where it should."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.networks import landmark_net
from tests.networks.landmarker_pictures import pictures
from tests.networks.make_landmarker_reference import OUTPUT


@pytest.fixture(scope='module')
def model():
  return landmark_net.landmark_net()


def test_equal_to_tensorflow_lite(model):
  found = model(pictures(landmark_net.SIZE_PX))
  with np.load(OUTPUT) as wanted:
    joints = wanted['joints'].reshape(2, 21, 3)
    np.testing.assert_allclose(found['joints_2d_px'], joints[..., :2], atol=1e-3)
    np.testing.assert_allclose(found['joints_depth_px'], joints[..., 2], atol=1e-3)
    np.testing.assert_allclose(found['world_joints_m'], wanted['world'].reshape(2, 21, 3), atol=1e-5)
    np.testing.assert_allclose(found['presence'], wanted['presence'][:, 0], atol=1e-4)
    np.testing.assert_allclose(found['is_left'], 1 - wanted['right'][:, 0], atol=1e-4)
    assert np.ptp(joints, axis=0).max() > 5, 'the two pictures must have different answers'


def test_size_and_outputs(model):
  assert model.count_params() == 2_715_680
  shapes = {name: tuple(value.shape[1:]) for name, value in model.output.items()}
  assert shapes == {'joints_2d_px': (21, 2), 'joints_depth_px': (21,), 'presence': (), 'is_left': (),
                    'world_joints_m': (21, 3), 'features': (1152,)}


@pytest.mark.parametrize('trunk', [False, True])
@pytest.mark.parametrize('heads', [False, True])
def test_what_learns(trunk, heads):
  model = landmark_net.landmark_net(trainable=trunk, trainable_heads=heads, weights=None)
  with tf.GradientTape() as tape:
    outputs = model(tf.random.stateless_uniform([1, 224, 224, 3], [1, 2]))
    loss = sum(tf.reduce_sum(value) for value in outputs.values())
  learning = {variable.name.split('/')[0] for variable in model.trainable_variables}
  assert learning & set(landmark_net.HEADS) == (set(landmark_net.HEADS) if heads else set())
  assert ('stem' in learning) == ('block9_depthwise' in learning) == trunk
  assert all(gradient is not None for gradient in tape.gradient(loss, model.trainable_variables))
