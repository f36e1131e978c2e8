import numpy as np
import pytest

from dhpe_tf.hand import hand_model, skeletons
from dhpe_tf.rendering import texture


@pytest.fixture(scope='module')
def model():
  return hand_model.load_hand_model()


def test_skins_are_repeatable_reflectances_of_many_tones(model):
  skins = texture.sample_skin(model, 200, seed=5)
  assert skins.shape == (200, model.num_vertices, 3) and skins.dtype == np.float32
  assert skins.min() >= 0 and skins.max() <= 1
  np.testing.assert_array_equal(skins[:3], texture.sample_skin(model, 3, seed=5))
  mean = skins.mean(axis=1)
  assert np.all(mean[:, 0] > mean[:, 1]) and np.mean(mean[:, 1] > mean[:, 2]) > .95  # skin is red before green, blue
  luminance = mean @ [.2126, .7152, .0722]
  # A quarter of all tones on each side of the middle of what skin reflects.
  assert np.quantile(luminance, .1) < .06 and np.quantile(luminance, .9) > .4
  assert np.all(skins.std(axis=1) > .002)  # none is uniform


def test_where_things_are(model):
  skin_map = texture.map_skin(model)
  keypoints = model.rest_keypoints
  middle = np.abs(model.v_template[:, 0] + .06) < .03  # of the built-in hand, whose back is toward +y
  assert skin_map.palm[middle & (model.v_template[:, 1] < -.012)].mean() > .65
  assert skin_map.palm[middle & (model.v_template[:, 1] > .005)].mean() < .3
  for finger, name in enumerate(skeletons.FINGERS):
    nail = skin_map.nails[:, finger] > .5
    assert 2 <= nail.sum() <= 25, name
    tip = np.array([keypoints[4 + 4 * f] for f in range(5)])
    distances = np.linalg.norm(model.v_template[nail].mean(axis=0) - tip, axis=1)
    assert np.argmin(distances) == finger and distances.min() < .02
    assert skin_map.palm[nail].mean() < .5


def test_a_left_hand_has_the_same_map(model):
  left = texture.map_skin(hand_model.mirrored(model))
  right = texture.map_skin(model)
  np.testing.assert_allclose(left.palm, right.palm, atol=1e-6)
  np.testing.assert_allclose(left.nails, right.nails, atol=1e-6)
