"""The signatures `mesh` and `render`, against the hand layers and the exact silhouette."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.hand import parameters
from dhpe_tf.networks import hand_layers
from dhpe_tf.tasks.hand import outputs, posing
from tests.tasks.hand.hands import TASK

SIZE = 96


@pytest.fixture(scope='module')
def signatures():
  """The functions by name, as graphs."""
  built = posing.signatures(TASK.posed_hand, TASK.hand_model, SIZE)
  return {name: tf.function(signature.function, autograph=False) for name, signature in built.items()}


@pytest.fixture(scope='module')
def hands():
  """Parameters [2, 63] of two bent hands, and the hands in crop space."""
  h = np.tile(parameters.mean_parameters(TASK.hand_model), [2, 1])
  h[1, :45] += np.random.default_rng(0).normal(scale=0.2, size=45)
  h[1, 45:55] = np.random.default_rng(1).normal(size=10)
  h = tf.constant(h)
  return h, hand_layers.PosedHand(TASK.hand_model)(h)


def draw(signatures, h, **changes):
  given = {'parameters': h, 'is_left': tf.constant([False, False]), 'camera_distance': tf.constant([0., 8.]),
           'images': tf.random.stateless_uniform([2, SIZE, SIZE, 3], [0, 0])}
  return signatures['render'](**{**given, **changes}), {**given, **changes}


def test_the_mesh_is_that_of_the_hand_in_metres_about_its_root(signatures, hands):
  h, hand = hands
  found = signatures['mesh'](parameters=h, is_left=tf.constant([False, True]))
  scale = hand['units_per_metre'][:, None, None]
  root = hand['joints_3d'][:, 9:10]
  for name, points in (('vertices_m', hand['vertices']), ('joints_3d_m', hand['joints_3d'])):
    wanted = ((points - root) / scale).numpy()
    wanted[1, :, 0] *= -1
    np.testing.assert_allclose(found[name], wanted, atol=1e-6)
  assert 0.1 < np.ptp(found['vertices_m'][0], axis=0).max() < 0.3


def test_pictures_show_the_hand_where_the_model_sees_it(signatures, hands):
  h, hand = hands
  found, given = draw(signatures, h)
  near = outputs.seen(hand['vertices'], {'camera_distance': tf.constant([1e6, 8.])})
  mask = hand_layers.Silhouette(TASK.hand_model, SIZE)(near)
  assert np.abs(found['mask'] - mask).mean() < 4e-3
  covered = found['mask'].numpy() == 1
  # What is seen lies between the nearest and the farthest vertex.
  behind = (hand['vertices'][..., 2] - hand['joints_3d'][:, 9:10, 2]) / hand['units_per_metre'][:, None]
  for depth, z, inside in zip(found['depth_m'].numpy(), behind.numpy(), covered):
    assert z.min() - 1e-4 < depth[inside].min() < z.min() + 5e-3 and depth[inside].max() < z.max()
  assert not np.any(found['depth_m'].numpy()[found['mask'] == 0])
  outside = found['mask'].numpy() == 0
  np.testing.assert_allclose(found['overlay'].numpy()[outside], given['images'].numpy()[outside], atol=1e-6)
  # The hand is blue, whatever lies under it.
  red, _, blue = np.moveaxis(found['overlay'].numpy()[covered], -1, 0)
  assert np.mean(blue > red) > 0.99 and found['overlay'].numpy().max() <= 1


def test_a_left_hand_is_the_mirror_image(signatures, hands):
  h, _ = hands
  right, given = draw(signatures, h)
  left, _ = draw(signatures, h, is_left=tf.constant([True, True]), images=tf.reverse(given['images'], [2]))
  for name, value in right.items():
    np.testing.assert_array_equal(left[name], tf.reverse(value, [2]), err_msg=name)


@pytest.mark.parametrize('place, value, message', [
    (parameters.SCALE, 0., 'the scale must be above 0'), (parameters.SCALE, -3., 'the scale must be above 0'),
    (parameters.ROTATION, 0., 'the quaternion must not be 0'),
    # A hand of kilometres, whose faces cover the picture 45 times.
    (slice(45, 63), np.r_[800 * np.random.default_rng(11).normal(size=10), parameters.upright('right'), 18., [0.] * 3],
     'not a hand in its crop')])
def test_parameters_that_are_no_hand_are_refused(signatures, hands, place, value, message):
  h = hands[0].numpy()
  h[1] = h[0]
  h[1, place] = value
  with pytest.raises(tf.errors.InvalidArgumentError, match=f'parameters: {message}'):
    draw(signatures, tf.constant(h), camera_distance=tf.zeros([2]))


@pytest.mark.parametrize('distance', [-1., 0.01])
def test_a_camera_inside_the_hand_is_refused(signatures, hands, distance):
  with pytest.raises(tf.errors.InvalidArgumentError, match='camera_distance'):
    draw(signatures, hands[0], camera_distance=tf.constant([0., distance]))


def test_a_hand_far_outside_draws_nothing(signatures, hands):
  h = hands[0].numpy()
  h[:, parameters.TRANSLATION] = 50.
  found, given = draw(signatures, tf.constant(h))
  assert not np.any(found['mask']) and not np.any(found['depth_m'])
  np.testing.assert_array_equal(found['overlay'], given['images'])
