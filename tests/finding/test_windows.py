import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.finding import windows
from dhpe_tf.geometry import crops


def test_squares_around_a_crop():
  views = windows.around(crops.Crop(tf.constant([200., 150.]), tf.constant(400.)), (1., 1.5))
  np.testing.assert_allclose(views.center_px, [[200, 150]] * 2)
  np.testing.assert_allclose(views.side_px, [400, 600])
  assert windows.around(crops.Crop(tf.zeros([2]), tf.constant(1.)), ()).center_px.shape == (0, 2)


@pytest.mark.parametrize('height_width, count, expected', [
    ((3000, 4000), 2, 4), ((3000, 4000), 3, 9), ((720, 1280), 3, 6), ((1280, 720), 3, 6), ((100, 5000), 3, 3)])
def test_tiles_cover_the_picture_and_overlap(height_width, count, expected):
  views = windows.tiles(tf.constant(height_width, tf.float32), count, 0.)
  side = views.side_px.numpy()
  assert side.shape == (expected,) and np.ptp(side) == 0
  for axis, length in enumerate(height_width[::-1]):
    centers = np.unique(np.round(views.center_px.numpy()[:, axis], 1))
    assert centers[0] - side[0] / 2 <= 0.1 and centers[-1] + side[0] / 2 >= length - 0.1
    assert (np.diff(centers) <= 0.75 * side[0] + 0.1).all()
  assert len(np.unique(views.center_px.numpy().round(1), axis=0)) == expected


def test_no_small_tiles():
  assert windows.tiles(tf.constant([100., 100.]), 2, 0.25, 384.).side_px.shape == (0,)


def test_views_are_of_the_whole_picture_and_its_tiles():
  views = windows.usual_views(tf.constant([600., 800.]), scales=(1., 2.), grids=(2,))
  side = 800 / 1.75
  np.testing.assert_allclose(views.side_px, [800, 1600] + [side] * 4)
  np.testing.assert_allclose(views.center_px[:3], [[400, 300], [400, 300], [side / 2, side / 2]], rtol=1e-5)
  small = windows.further_views(tf.constant([60., 80.]))
  assert small.side_px.numpy().min() > 80 and len(small.side_px) == 2
