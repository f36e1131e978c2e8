"""Feature head and keypoint nets: shapes and the paper's sizes."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.networks import feature_net, keypoint_net


def _levels(size, channels=(8, 16, 24, 32)):
  return {f'c{i + 2}': tf.keras.Input((size >> (i + 2), size >> (i + 2), count)) for i, count in enumerate(channels)}


@pytest.mark.parametrize('pooling', ['average', 'grid'])
@pytest.mark.parametrize('image_size', [64, 128, 224])
def test_feature_head(pooling, image_size):
  head = feature_net.feature_head(_levels(image_size), pooling)
  assert head.output_shape == (None, 2048)


def test_feature_head_of_resnet_is_the_plain_average():
  head = feature_net.feature_head(_levels(64, (1, 1, 1, 2048)))
  c5 = tf.random.stateless_uniform([3, 2, 2, 2048], [1, 2])
  np.testing.assert_allclose(head(c5), tf.reduce_mean(c5, [1, 2]), atol=1e-6)
  assert not head.weights


def test_grid_pooling_keeps_the_layout():
  head = feature_net.feature_head(_levels(128), 'grid')
  c5 = tf.random.stateless_uniform([1, 4, 4, 32], [1, 2])
  cells = tf.reshape(head(c5), [4, 4, 128])
  mirrored = tf.reshape(head(c5[:, :, ::-1]), [4, 4, 128])
  np.testing.assert_allclose(mirrored, cells[:, ::-1], atol=1e-6)


@pytest.mark.parametrize('pooling, channels', [('grid', 32), ('average', 32), ('average', 2048)])
def test_a_normalised_head_has_active_units_whatever_the_map(pooling, channels):
  head = feature_net.feature_head(_levels(128, (8, 16, 24, channels)), pooling, groups=8)
  c5 = tf.random.stateless_uniform([3, 4, 4, channels], [1, 2])
  for scale in (1., 1e3):
    # Moved far to where most units of a head without normalisation are dead.
    active = np.mean(head(scale * (c5 - 20.)) > 0, axis=1)
    assert np.all((active > 0.3) & (active < 0.7)), active


def test_feature_head_refuses_unknown_pooling():
  with pytest.raises(errors.UserError, match='pooling'):
    feature_net.feature_head(_levels(64), 'max')
  with pytest.raises(errors.UserError, match='groups'):
    feature_net.feature_head(_levels(64), groups=0)


@pytest.mark.parametrize('image_size, finest', [(64, 'c2'), (128, 'c2'), (224, 'c3'), (256, 'c3')])
def test_pyramid_decoder(image_size, finest):
  decoder = keypoint_net.pyramid_decoder(_levels(image_size), channels=8)
  assert [heatmaps.shape[1:] for heatmaps in decoder.outputs] == [(32, 32, 21)]
  assert sorted(layer.name for layer in decoder.layers if layer.name.startswith('lateral'))[0] == f'lateral_{finest}'


def test_pose_machine_is_the_papers():
  machine = keypoint_net.pose_machine(224)
  assert [heatmaps.shape[1:] for heatmaps in machine.outputs] == [(32, 32, 21)] * 3
  assert machine.get_layer('stage2_conv_1').kernel.shape == (7, 7, 149, 128)


def test_pose_machine_stages_and_width():
  machine = keypoint_net.pose_machine(64, stages=2, width=0.1)
  heatmaps = machine(tf.random.stateless_uniform([2, 64, 64, 3], [1, 2]))
  assert [maps.shape for maps in heatmaps] == [(2, 32, 32, 21)] * 2
  assert float(tf.reduce_max(tf.abs(heatmaps[-1]))) < 1
