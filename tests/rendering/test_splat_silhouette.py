import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.rendering.splat_silhouette import splat_silhouette
from tests.rendering import scenes

pytest.importorskip('tensorflow_graphics.rendering.splat')


@pytest.fixture(scope='module')
def descent():
  """(silhouette, gradient of the squared difference to a mask of ones) in a graph of any batch."""
  _, faces = scenes.icosphere(1)

  @tf.function(input_signature=[tf.TensorSpec([None, 42, 3])])
  def gradient(v):
    with tf.GradientTape() as tape:
      tape.watch(v)
      mask = splat_silhouette(v, faces, (12, 20))
      loss = tf.reduce_sum((mask - 1)**2)
    return mask, tape.gradient(loss, v)

  return gradient


def test_the_mask_and_the_direction_of_its_gradient(descent):
  views = scenes.posed(scenes.icosphere(1)[0], (12, 20), 2, seed=1).astype(np.float32)
  mask, gradient = descent(views)
  truth = np.stack([scenes.supersampled_area(view, scenes.icosphere(1)[1], (12, 20), 8) for view in views])
  assert np.abs(mask - truth).mean() < .05
  # A larger mask is wanted: the gradient points inward.
  outward = views[..., :2] - views[..., :2].mean(axis=1, keepdims=True)
  assert np.all((gradient.numpy()[..., :2] * outward).sum(axis=(1, 2)) < 0)
  # The forward result changes only when the surface reaches other pixels.
  moved, _ = descent(views - 2 * gradient / tf.reduce_max(tf.abs(gradient)))
  assert np.sum((moved - 1)**2) < np.sum((mask - 1)**2)


def test_beside_the_image_and_alone_or_in_a_batch(descent):
  views = scenes.posed(scenes.icosphere(1)[0], (12, 20), 2, seed=1).astype(np.float32)
  views[0, :, 0] += 60
  mask, gradient = descent(views)
  assert not mask[0].numpy().any() and not gradient[0].numpy().any()
  one_mask, one_gradient = descent(views[1:])
  np.testing.assert_allclose(one_mask[0], mask[1], atol=1e-6)
  np.testing.assert_allclose(one_gradient[0], gradient[1], rtol=1e-4, atol=1e-4 * np.abs(gradient[1]).max())


def test_a_broken_mesh_is_empty_and_alone_in_that(descent):
  views = scenes.posed(scenes.icosphere(1)[0], (12, 20), 2, seed=1).astype(np.float32)
  views[0, 3, 1] = np.nan
  mask, gradient = descent(views)
  assert not mask[0].numpy().any() and mask[1].numpy().any()
  assert np.all(np.isfinite(gradient[1]))
