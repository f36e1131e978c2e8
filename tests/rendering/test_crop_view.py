import numpy as np

from dhpe_tf.rendering import crop_view
from tests.gradients import assert_gradients_match


def test_corners_of_the_crop_are_corners_of_the_image():
  corners = np.array([[-1, -1, .5], [1, -1, -.5], [1, 1, 0], [0, 0, 0]])
  np.testing.assert_allclose(crop_view.crop_to_pixels(corners, 64),
                             [[0, 0, 16], [64, 0, -16], [64, 64, 0], [32, 32, 0]])
  np.testing.assert_allclose(crop_view.crop_to_pixels(corners[:, :2], (30, 40)),
                             [[0, 0], [40, 0], [40, 30], [20, 15]])
  assert_gradients_match(lambda x: crop_view.crop_to_pixels(x, (30, 40)), [corners])


def test_only_meshes_that_can_be_drawn_stay():
  vertices = np.zeros((5, 3, 2))
  vertices += np.arange(6).reshape(3, 2)
  expected = vertices.copy()
  for image, value in ((1, np.nan), (2, np.inf), (3, 2e6), (4, -2e6)):
    vertices[image, 1, 1] = value
    expected[image] = 0
  np.testing.assert_array_equal(crop_view.empty_unless_drawable(vertices), expected)
