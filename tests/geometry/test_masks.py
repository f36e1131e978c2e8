import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import masks


@pytest.mark.parametrize('old, new', [(6, 3), (6, 4), (7, 3), (4, 6)])
def test_area_resize_is_the_mean_over_each_area(old, new):
  mask = np.random.default_rng(0).uniform(size=(2, old, old)).astype(np.float32)
  fine = np.kron(mask, np.ones((new, new)))  # old * new pixels a side divide both grids
  expected = fine.reshape(2, new, old, new, old).mean((2, 4))
  np.testing.assert_allclose(masks.area_resize(tf.constant(mask), new), expected, atol=1e-6)
