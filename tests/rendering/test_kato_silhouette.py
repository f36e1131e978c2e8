import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import rasterizer
from dhpe_tf.rendering.kato_silhouette import kato_silhouette
from tests.rendering import scenes


def _gradient(views, faces, size, upstream):
  views = tf.constant(views)
  with tf.GradientTape() as tape:
    tape.watch(views)
    mask = kato_silhouette(views, faces, size)
  return mask.numpy(), tape.gradient(mask, views, output_gradients=tf.constant(upstream)).numpy()


def _brute_force(view, faces, seen, upstream):
  """The rule of the paper, pixel by pixel: slopes [V, 2]."""
  total = np.zeros((len(view), 2))
  for axis in (0, 1):
    points = view[:, [axis, 1 - axis]]
    picture, slopes = (seen, upstream) if axis == 0 else (seen.T, upstream.T)
    height, width = picture.shape
    for f, face in enumerate(faces):
      for k in range(3):
        a, b, c = face[k], face[(k + 1) % 3], face[(k + 2) % 3]
        for row in range(height):
          place = (row + .5 - points[a, 1]) / (points[b, 1] - points[a, 1])
          if not 0 <= place <= 1:
            continue
          x = points[a, 0] + place * (points[b, 0] - points[a, 0])
          third = (points[c, 1] - points[a, 1]) / (points[b, 1] - points[a, 1])
          side = -1 if points[c, 0] > points[a, 0] + third * (points[b, 0] - points[a, 0]) else 1
          inner = int(np.ceil(x - .5)) - 1 if side > 0 else int(np.floor(x - .5)) + 1
          outer = inner + side
          if not 0 <= inner < width or picture[row, inner] != f or (0 <= outer < width and picture[row, outer] >= 0):
            continue
          for j in range(width):
            outside = side * (j - inner) > 0
            if outside and picture[row, j] < 0 and slopes[row, j] < 0 or (
                not outside and picture[row, j] == f and slopes[row, j] > 0):
              slope = side * slopes[row, j] / (abs(j + .5 - x) + 1e-3)
              total[a, axis] += (1 - place) * slope
              total[b, axis] += place * slope
  return total


def test_equals_the_rule_applied_pixel_by_pixel():
  vertices, faces = scenes.icosphere(1)
  size = (13, 17)
  views = scenes.posed(vertices, size, 3, seed=5, fill=.35)
  views[1, :, 0] += 6  # over the border
  upstream = np.random.default_rng(0).normal(size=(3, *size))
  mask, gradient = _gradient(views, faces, size, upstream)
  buffer = rasterizer.rasterize(views, faces, size)
  np.testing.assert_array_equal(mask, buffer.foreground_mask[..., 0])
  for i in range(3):
    seen = np.where(mask[i] > 0, buffer.triangle_id[i, ..., 0], -1)
    expected = _brute_force(views[i], faces, seen, upstream[i])
    np.testing.assert_allclose(gradient[i, :, :2], expected, atol=1e-9)
  assert not gradient[..., 2].any()


def test_one_pixel_beside_a_square_pulls_its_side():
  square = np.array([[[2., 2, 1], [6, 2, 1], [6, 6, 1], [2, 6, 1]]])
  upstream = np.zeros((1, 10, 10))
  upstream[0, 4, 8] = -1  # wants to be covered: 2.5 px right of the side, at the middle of its height (4.5 of 2 .. 6)
  _, gradient = _gradient(square, [[0, 1, 2], [0, 2, 3]], (10, 10), upstream)
  slope = -1 / 2.501
  np.testing.assert_allclose(gradient[0, :, 0], [0, slope * .375, slope * .625, 0], atol=1e-9)
  np.testing.assert_allclose(gradient[0, :, 1], 0, atol=1e-9)


def test_broken_meshes_any_batch_and_two_coordinates():
  vertices, faces = scenes.icosphere(1)

  @tf.function(input_signature=[tf.TensorSpec([None, len(vertices), 2])])
  def gradient(v):
    with tf.GradientTape() as tape:
      tape.watch(v)
      mask = kato_silhouette(v, faces, (12, 16))
      loss = tf.reduce_sum((mask - 1)**2)
    return mask, tape.gradient(loss, v)

  views = scenes.posed(vertices, (12, 16), 3)[..., :2].astype(np.float32)
  views[1, 2] = np.nan
  mask, slope = gradient(views)
  one_mask, one_slope = gradient(views[2:])
  np.testing.assert_array_equal(one_mask[0], mask[2])
  np.testing.assert_allclose(one_slope[0], slope[2], rtol=1e-5)
  assert not mask[1].numpy().any() and np.all(np.isfinite(slope)) and not slope[1].numpy().any()
