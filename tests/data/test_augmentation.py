import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.data import augmentation
from dhpe_tf.geometry import crops

NOTHING = dict(brightness=0., contrast=0., saturation=0., tint=0., grey=0., noise=0., blur=0., occlusion=0.)
LUMA = np.array([0.299, 0.587, 0.114])


def seed(number):
  return tf.constant([7, number], tf.int64)


@pytest.fixture
def image():
  return np.random.default_rng(0).uniform(0.3, 0.7, (24, 24, 3)).astype(np.float32)


def changed(image, number=0, **strength):
  return augmentation.random_appearance(tf.constant(image), seed(number), **{**NOTHING, **strength}).numpy()


def test_no_strength_is_no_change(image):
  np.testing.assert_allclose(changed(image), image, atol=1e-6)


def test_the_same_seed_gives_the_same_picture(image):
  full = augmentation.random_appearance
  np.testing.assert_array_equal(full(image, seed(1)), full(image, seed(1)))
  assert not np.allclose(full(image, seed(1)), full(image, seed(2)))
  for number in range(8):
    result = full(image, seed(number)).numpy()
    assert result.min() >= 0 and result.max() <= 1 and result.shape == image.shape


def test_each_change_of_colour_is_the_one_it_is_named_for(image):
  brighter = changed(image, brightness=0.2) - image
  assert np.ptp(brighter) < 1e-5 and 0 < abs(brighter.mean()) <= 0.2
  contrast = changed(image, contrast=0.3)
  gain = contrast.std() / image.std()
  np.testing.assert_allclose(contrast, image.mean() + gain * (image - image.mean()), atol=1e-5)
  assert abs(gain - 1) > 1e-3
  saturated = changed(image, saturation=0.4)
  np.testing.assert_allclose(saturated @ LUMA, image @ LUMA, atol=1e-5)
  assert not np.allclose(saturated, image, atol=1e-3)
  tints = changed(image, tint=0.1) / image
  np.testing.assert_allclose(tints, np.broadcast_to(tints[0, 0], tints.shape), rtol=1e-4)
  assert np.ptp(tints[0, 0]) > 1e-3
  grey = changed(image, grey=1.)
  np.testing.assert_allclose(grey, np.repeat((image @ LUMA)[..., None], 3, -1), atol=1e-5)


def test_all_changes_of_colour_together_are_their_product(image):
  """The one matrix is saturation, then contrast about the mean with brightness, then tint."""
  result = changed(image, brightness=0.1, contrast=0.2, saturation=0.3, tint=0.1)
  draws = tf.random.stateless_uniform([7], augmentation.split_seed(seed(0), 4)[0], -1., 1.).numpy()
  luma = (image @ LUMA)[..., None]
  expected = luma + (image - luma) * (1 + 0.3 * draws[0])
  expected = (expected - expected.mean()) * (1 + 0.2 * draws[1]) + expected.mean() + 0.1 * draws[2]
  np.testing.assert_allclose(result, np.clip(expected * (1 + 0.1 * draws[3:6]), 0, 1), atol=1e-5)


def test_noise_has_the_deviation_asked_for(image):
  flat = np.full((64, 64, 3), 0.5, np.float32)
  deviations = [np.std(changed(flat, number, noise=0.05)) for number in range(40)]
  assert max(deviations) < 0.051 and np.mean(deviations) == pytest.approx(0.025, abs=0.008)


def test_blur_takes_detail_and_keeps_the_rest(image):
  soft = changed(image, blur=1.)
  assert soft.std() < 0.7 * image.std() and abs(soft.mean() - image.mean()) < 0.01


def test_occlusion_is_one_rectangle_of_one_colour(image):
  for number in range(5):
    hidden = np.any(changed(image, number, occlusion=1.) != image, axis=-1)
    rows, columns = np.flatnonzero(hidden.any(1)), np.flatnonzero(hidden.any(0))
    if len(rows):
      np.testing.assert_array_equal(hidden, hidden.any(1)[:, None] & hidden.any(0)[None])
      assert len(rows) <= 9 and len(columns) <= 9
      assert np.ptp(changed(image, number, occlusion=1.)[hidden], axis=0).max() == 0


def test_views_stay_within_their_limits_and_fill_them():
  crop = crops.Crop(tf.constant([50., 40.]), tf.constant(80.))
  views = [augmentation.random_view(crop, seed(i), rotation_deg=90., scale=0.2, shift=0.1) for i in range(200)]
  angles = np.array([view.rotation for view in views])
  scales = np.log([view.crop.side_px / 80. for view in views])
  shifts = np.array([view.crop.center_px - crop.center_px for view in views]) / 80
  for values, limit in ((angles, np.pi / 2), (scales, 0.2), (shifts, 0.1)):
    assert np.abs(values).max() <= limit + 1e-6 and values.max() > 0.9 * limit and values.min() < -0.9 * limit
  still = augmentation.random_view(crop, seed(0), rotation_deg=0., scale=0., shift=0.)
  np.testing.assert_allclose(still.crop.center_px, crop.center_px)
  assert float(still.crop.side_px) == 80. and float(still.rotation) == 0.
