import math

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.data import augmentation
from dhpe_tf.geometry import crops
from dhpe_tf.methods.contrastive import inverse


def points(count=6, seed=0):
  """Points about the origin, alike in every row."""
  found = np.random.default_rng(seed).uniform(-1, 1, [10, 2])
  return np.tile((found - found.mean(0))[None], [count, 1, 1]).astype(np.float32)


def test_a_quarter_turn_takes_right_to_down_and_is_taken_back():
  # Clockwise on the screen, where y goes down.
  right, down = np.array([[[1., 0], [-1, 0]]]), np.array([[[0., 1], [0, -1]]])
  np.testing.assert_allclose(crops.turn(tf.constant(right), math.pi / 2), down, atol=1e-6)
  affine = inverse.Affine(tf.constant([math.pi / 2]), tf.zeros([1, 2]))
  back = inverse.undone(tf.constant(down, tf.float32), affine)
  np.testing.assert_allclose(back, right, atol=1e-6)
  wrong = inverse.undone(tf.constant(down, tf.float32), affine._replace(turn=-affine.turn))
  np.testing.assert_allclose(wrong, -right, atol=1e-6)


def test_turns_and_shifts_of_known_points_are_undone_whatever_they_were():
  known, turns = points(), tf.constant([-3., -0.7, 0., 0.2, 1.5, 3.])
  turned = crops.turn(tf.constant(known), turns)
  affine = inverse.Affine(turns, tf.zeros([6, 2]))
  np.testing.assert_allclose(inverse.undone(turned, affine), known, atol=1e-5)
  np.testing.assert_allclose(inverse.undone(turned, affine, ()), turned)
  # A shift is a share of the view's side, and so of the points' extent.
  share = np.random.default_rng(1).uniform(-0.2, 0.2, [6, 2]).astype(np.float32)
  extent = np.ptp(turned, axis=1)
  moved = turned + (share * extent)[:, None]
  affine = inverse.Affine(turns, tf.constant(2 * share))
  np.testing.assert_allclose(inverse.undone(moved, affine), known, atol=1e-5)
  np.testing.assert_allclose(inverse.undone(moved, affine, ('shift',)), turned, atol=1e-5)


def test_no_gradient_goes_through_the_extent():
  found = tf.Variable(points(2))
  affine = inverse.Affine(tf.zeros([2]), tf.constant([[0.4, 0.2], [-0.6, 0.1]]))
  with tf.GradientTape() as tape:
    total = tf.reduce_sum(inverse.undone(found, affine))
  np.testing.assert_allclose(tape.gradient(total, found), np.ones(found.shape))


def marked(at, size=96):
  """A dark picture with a bright spot about a place (x, y), px."""
  y, x = np.mgrid[:size, :size] + 0.5
  spot = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 8)
  return tf.constant(np.repeat(spot[..., None], 3, -1), tf.float32)


def seen_at(view):
  """The place of the spot in a view, crop space."""
  values = np.asarray(view)[..., 0]
  at = (np.arange(len(values)) + 0.5) * 2 / len(values) - 1
  return np.array([(values.sum(0) * at).sum(), (values.sum(1) * at).sum()]) / values.sum()


@pytest.mark.parametrize('seed', range(4))
def test_recorded_parameters_lead_back_from_the_picture_of_a_view(seed):
  base = crops.Crop(tf.constant([48., 48.]), tf.constant(80.))
  views = [augmentation.random_view(base, tf.constant([seed, side]), rotation_deg=60., scale=0.2, shift=0.1)
           for side in (0, 1)]
  batch = {'crop_center_px': tf.stack([view.crop.center_px for view in views]),
           'crop_side_px': tf.stack([view.crop.side_px for view in views]),
           'crop_turn': tf.stack([view.rotation for view in views])}
  affine = inverse.of_pairs(batch)
  places = np.array([[41., 52.], [57., 44.], [45., 39.]])
  found = np.array([[seen_at(crops.extract(marked(place), view.crop, 64, view.rotation, fill=0.)) for place in places]
                    for view in views])
  # Back to the square about the middle of both: less the shift, turned back, times the side.
  back = crops.turn(tf.constant(found, tf.float32) - affine.shift[:, None], -affine.turn)
  back *= batch['crop_side_px'][:, None, None] / 2
  middle = tf.reduce_mean(batch['crop_center_px'], axis=0)
  np.testing.assert_allclose(back + middle, np.stack([places] * 2), atol=0.35)
  # The layer turns them back in the same sense.
  seen = [crops.to_crop(tf.constant(places, tf.float32), view.crop, view.rotation) for view in views]
  centred = inverse.undone(tf.stack(seen), affine._replace(shift=tf.zeros([2, 2])), ('turn',))
  first, second = ((one - tf.reduce_mean(one, 0)) * view.crop.side_px for one, view in zip(centred, views))
  np.testing.assert_allclose(first, second, atol=1e-3)
