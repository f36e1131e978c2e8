import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.rendering.soft_silhouette import soft_silhouette
from tests.gradients import assert_gradients_match
from tests.rendering import scenes


@pytest.mark.parametrize('size, sigma', [((24, 32), 1e-3), ((40, 30), 1e-4), ((1, 1), 1e-2)])
def test_equals_brute_force(size, sigma):
  for name, (vertices, faces) in {'sphere': scenes.icosphere(1), 'torus': scenes.torus()}.items():
    views = scenes.posed(vertices, size, 3, seed=1, fill=.4)
    views[1, :, 0] += size[1] / 2  # partly outside
    expected = np.stack([scenes.brute_force_soft(view, faces, size, sigma) for view in views])
    got = soft_silhouette(views, faces, size, sigma=sigma).numpy()
    np.testing.assert_allclose(got, expected, atol=3e-6, err_msg=name)
    single = soft_silhouette(views.astype(np.float32), faces, size, sigma=sigma)
    assert single.dtype == tf.float32
    np.testing.assert_allclose(single.numpy(), expected, atol=1e-5 if size != (40, 30) else 1e-4)


def test_gradient_equals_finite_differences():
  vertices, faces = scenes.icosphere(1)
  views = scenes.posed(vertices, (14, 18), 2, seed=2, fill=.5)[..., :2]
  # A long tail: leaving a face out is a (tiny) jump that differences over 1e-6 would magnify.
  assert_gradients_match(lambda v: soft_silhouette(v, faces, (14, 18), sigma=1e-2, tail=40.), [views], rtol=1e-4)


def test_a_point_near_a_corner_pulls_that_corner_once():
  triangle = np.array([[[2.5, 2.5], [9, 3], [3, 9]]])
  assert_gradients_match(lambda v: soft_silhouette(v, [[0, 1, 2]], (6, 6), sigma=.2, tail=60.)[:, :2, :2], [triangle],
                         rtol=1e-5)


def test_batches_broken_and_empty_ones():
  vertices, faces = scenes.icosphere(1)
  views = scenes.posed(vertices, (16, 16), 5)[..., :2].astype(np.float32)
  whole = soft_silhouette(views, faces, (16, 16)).numpy()
  np.testing.assert_array_equal(soft_silhouette(views[3:4], faces, (16, 16)).numpy()[0], whole[3])
  views[1, 0] = np.nan
  broken = tf.constant(views)
  with tf.GradientTape() as tape:
    tape.watch(broken)
    alpha = soft_silhouette(broken, faces, (16, 16))
  gradient = tape.gradient(alpha, broken).numpy()
  np.testing.assert_array_equal(alpha.numpy()[[0, 2, 3, 4]], whole[[0, 2, 3, 4]])
  assert not alpha.numpy()[1].any() and not gradient[1].any() and np.isfinite(gradient).all()
  assert soft_silhouette(views[:0], faces, (16, 16)).shape == (0, 16, 16)


def test_any_batch_in_a_graph():
  vertices, faces = scenes.icosphere(1)

  @tf.function(input_signature=[tf.TensorSpec([None, len(vertices), 2], tf.float64)])
  def gradient(v):
    with tf.GradientTape() as tape:
      tape.watch(v)
      alpha = soft_silhouette(v, faces, (12, 200))
    return alpha, tape.gradient(alpha, v)

  for count in (1, 3):
    views = scenes.posed(vertices, (12, 200), count)[..., :2]
    alpha, slope = gradient(views)
    assert alpha.shape == (count, 12, 200) and slope.shape == views.shape and np.all(np.isfinite(slope))
