import numpy as np
import pytest

from dhpe_tf.synthesis import compositing

SIDE = 96
NOTHING = dict(forearm=0., shadow=0., occluder=0., blur=0., grain=0.)
GROUND, HAND = 40, 0.8  # of 255, of 1


class PlainGround:

  def draw(self, random, side):
    return np.full((side, side, 3), GROUND, np.uint8)


@pytest.fixture
def hand():
  """A square hand in the middle with a half-covered rim, its wrist at the left and its fingers to the right."""
  alpha = np.zeros((SIDE, SIDE), np.float32)
  alpha[30:66, 30:66], alpha[31:65, 31:65] = 0.5, 1.
  joints = np.full((21, 2), 60.)
  joints[0] = 33, 48
  return dict(rgb=np.full((SIDE, SIDE, 3), HAND, np.float32), alpha=alpha, joints_px=joints, seen=np.ones(21, bool))


def compose(hand, seed=0, **chances):
  return compositing.compose(**hand, backgrounds=PlainGround(), random=np.random.default_rng(seed),
                             **{**NOTHING, **chances})


def test_hand_over_ground(hand):
  picture, mask, seen = compose(hand)
  expected = GROUND + hand['alpha'] * (255 * HAND - GROUND)
  np.testing.assert_allclose(picture, np.repeat(expected[..., None], 3, -1), atol=1)
  np.testing.assert_array_equal(mask, np.round(255 * hand['alpha']))
  assert seen.all() and picture.dtype == mask.dtype == np.uint8


def test_forearm_goes_from_the_wrist_away_from_the_fingers_and_behind_the_hand(hand):
  for seed in range(6):
    picture, mask, _ = compose(hand, seed, forearm=1.)
    drawn = np.abs(picture.astype(int) - GROUND).max(-1) > 3
    assert drawn[30:66, :25].mean() > 0.15 and not drawn[:, 70:].any()
    inside = hand['alpha'] == 1
    np.testing.assert_allclose(picture[inside], 255 * HAND, atol=1)
    np.testing.assert_array_equal(mask, np.round(255 * hand['alpha']))


def test_shadow_darkens_the_ground_only(hand):
  picture, _, _ = compose(hand, shadow=1.)
  inside = hand['alpha'] == 1
  np.testing.assert_allclose(picture[inside], 255 * HAND, atol=1)
  assert picture[~inside & (hand['alpha'] == 0)].max() <= GROUND
  assert picture.min() < GROUND - 2


def test_what_an_object_hides_is_neither_in_the_mask_nor_seen(hand):
  hidden = 0
  for seed in range(20, 40):
    picture, mask, seen = compose(hand, seed, occluder=1.)
    covered = (hand['alpha'] == 1) & (mask == 0)
    np.testing.assert_allclose(picture[covered], GROUND, atol=1)
    assert seen[1] == (mask[60, 60] > 127) and seen[0] == (mask[48, 33] > 127)
    hidden += covered.any()
  assert hidden > 3


def test_blur_and_grain(hand):
  flat = {**hand, 'alpha': np.zeros_like(hand['alpha'])}
  deviations = [compose(flat, seed, grain=10.)[0].std() for seed in range(20)]
  assert 5 < max(deviations) < 10.5 and min(deviations) < 2
  sharp, soft = (np.abs(np.diff(compose(hand, blur=chance)[0].astype(int), axis=1)).max() for chance in (0., 1.))
  assert soft < 0.8 * sharp


def test_the_same_seed_gives_the_same_picture(hand):
  chances = dict(forearm=0.5, shadow=0.5, occluder=0.5, blur=0.5, grain=8.)
  for first, second in zip(compose(hand, 3, **chances), compose(hand, 3, **chances)):
    np.testing.assert_array_equal(first, second)


def test_pictures_of_16_pixels_can_be_blurred_and_shaded(hand):
  small = {**hand, 'rgb': hand['rgb'][40:56, 40:56], 'alpha': hand['alpha'][40:56, 40:56],
           'joints_px': hand['joints_px'] - 40}
  picture, _, _ = compose(small, blur=1., shadow=1., forearm=1., occluder=1., grain=8.)
  assert picture.shape == (16, 16, 3) and picture.std() > 0
