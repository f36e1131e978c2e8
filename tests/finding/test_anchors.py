import numpy as np

from dhpe_tf.finding import anchors


def test_count_and_order():
  centers = anchors.anchor_centers_px()
  assert centers.shape == (2016, 2) and centers.dtype == np.float32
  # The fine map: two anchors a cell of 8 px, along rows first; then the coarse map: six a cell of 16 px.
  np.testing.assert_array_equal(centers[:4], [[4, 4], [4, 4], [12, 4], [12, 4]])
  np.testing.assert_array_equal(centers[48], [4, 12])
  np.testing.assert_array_equal(centers[1151], [188, 188])
  np.testing.assert_array_equal(centers[1152:1159], [[8, 8]] * 6 + [[24, 8]])
  np.testing.assert_array_equal(centers[1152 + 72], [8, 24])
  np.testing.assert_array_equal(centers[-1], [184, 184])
