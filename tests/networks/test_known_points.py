import numpy as np
import tensorflow as tf

from dhpe_tf.networks import known_points


def test_unknown_points_are_zeros_whatever_they_were_and_known_ones_stay():
  points = np.arange(12, dtype=np.float32).reshape(1, 4, 3) + 1
  points[0, 1] = np.nan
  found = known_points.KnownPoints()([tf.constant(points), tf.constant([[1., 0., .5, 0.]])])
  np.testing.assert_array_equal(found, [[1, 2, 3, 0, 0, 0, 7, 8, 9, 0, 0, 0, 1, 0, 1, 0]])
