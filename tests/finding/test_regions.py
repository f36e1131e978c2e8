import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.finding import palms as palms_of
from dhpe_tf.finding import regions as regions_of
from dhpe_tf.geometry import crops

ANGLES = tf.constant([0.4, -2., 3.])


def joints(count=3, seed=0):
  return tf.constant(np.random.default_rng(seed).uniform(20, 120, (count, 21, 2)), tf.float32)


def upright_palm():
  """A palm whose middle knuckle is right above its wrist."""
  points = np.random.default_rng(3).uniform(0, 50, (1, 7, 2))
  points[0, 0], points[0, 2] = [40, 80], [40, 30]
  return palms_of.Palms(*(tf.constant(value, tf.float32) for value in ([0.9], [[42, 50]], [[30, 40]], points)))


def angle_between(a, b):
  return np.abs(np.angle(np.exp(1j * (np.asarray(a) - np.asarray(b)))))


def test_upright_turns():
  directions = tf.constant([[0., -2.], [1., 0.], [0., 3.], [-1., 0.], [1., 1.]])
  turn = regions_of.upright_turn(directions)
  turned = crops.turn(directions[:, None], turn)[:, 0] / tf.norm(directions, axis=-1, keepdims=True)
  np.testing.assert_allclose(turned, [[0, -1]] * 5, atol=1e-6)
  np.testing.assert_allclose(turn[:2], [0, -np.pi / 2], atol=1e-6)
  assert np.abs(turn).max() <= np.pi + 1e-6


def test_region_of_an_upright_palm():
  regions = regions_of.from_palms(upright_palm())
  np.testing.assert_allclose(regions.turn, [0], atol=1e-6)
  np.testing.assert_allclose(regions.crop.side_px, [2.6 * 40])
  np.testing.assert_allclose(regions.crop.center_px, [[42, 50 - 0.5 * 40]])


def test_region_of_a_palm_turns_with_its_keypoints():
  # The box stays upright: only the shift and the turn follow the keypoints.
  palm, quarter = upright_palm(), np.pi / 2
  lying = palm._replace(points_px=crops.turn(palm.points_px, [quarter]))
  regions = regions_of.from_palms(lying)
  np.testing.assert_allclose(regions.turn, [-quarter], atol=1e-6)
  # Turned clockwise on the screen the fingers point to the right.
  np.testing.assert_allclose(regions.crop.center_px, [[42 + 0.5 * 40, 50]], atol=1e-4)


def test_region_of_upright_joints():
  points = np.full((1, 21, 2), [50., 60.], np.float32)
  points[0, 0] = 50, 100
  points[0, 5], points[0, 9], points[0, 13] = (60, 50), (50, 40), (40, 50)
  points[0, [4, 8, 12, 16, 20]] = 50, -900  # tips do not count
  regions = regions_of.from_joints(tf.constant(points))
  np.testing.assert_allclose(regions.turn, [0], atol=1e-6)
  np.testing.assert_allclose(regions.crop.side_px, [2 * 60])
  np.testing.assert_allclose(regions.crop.center_px, [[50, 70 - 0.1 * 60]], atol=1e-4)


def test_regions_of_joints_move_with_them():
  points = joints()
  plain = regions_of.from_joints(points)
  moved = regions_of.from_joints(3 * crops.turn(points, ANGLES) + [7., -5.])
  np.testing.assert_allclose(moved.crop.side_px, 3 * plain.crop.side_px, rtol=1e-5)
  wanted = 3 * crops.turn(plain.crop.center_px[:, None], ANGLES)[:, 0] + [7., -5.]
  np.testing.assert_allclose(moved.crop.center_px, wanted, rtol=1e-4, atol=1e-2)
  assert angle_between(moved.turn, plain.turn - ANGLES).max() < 1e-5


def test_joints_that_coincide_give_a_region_all_the_same():
  regions = regions_of.from_joints(tf.fill([1, 21, 2], 5.))
  assert regions.crop.side_px[0] >= 1 and np.isfinite(regions.turn[0])


def test_no_hand_gives_no_region():
  assert regions_of.from_joints(tf.zeros([0, 21, 2])).turn.shape == (0,)


@pytest.mark.parametrize('number', range(4))
def test_four_turns_of_a_square(number):
  regions = regions_of.quarter_turns(crops.Crop(tf.constant([5., 6.]), tf.constant(8.)))
  direction = [(0., -1.), (-1., 0.), (0., 1.), (1., 0.)][number]
  np.testing.assert_allclose(crops.turn(tf.constant([direction]), regions.turn[number])[0], [0, -1], atol=1e-6)
  np.testing.assert_allclose(regions.crop.center_px[number], [5, 6])
  np.testing.assert_allclose(regions.crop.side_px[number], 8)
