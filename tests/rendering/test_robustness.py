"""What every silhouette of ours must bear: odd meshes, odd images, any batch; their own tests go further for some.

Splat, which is tensorflow-graphics' and slow to trace, has its own test of the same.
"""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.rendering.silhouette import METHODS, silhouette
from tests.rendering import scenes

VERTICES, FACES = scenes.icosphere(1)


@pytest.fixture(params=sorted(set(METHODS) - {'splat'}))
def method(request):
  return request.param


def _draw(views, method, size, faces=FACES):
  """(mask, gradient of its squared difference to a mask of ones), arrays."""
  views = tf.constant(views)
  with tf.GradientTape() as tape:
    tape.watch(views)
    mask = silhouette(views, faces, size, method=method)
    loss = tf.reduce_sum((mask - 1)**2)
  return mask.numpy(), tape.gradient(loss, views).numpy()


def test_faces_without_area(method):
  """A vertex laid on its neighbour leaves two faces without area; the mask is that of the mesh without them."""
  views = scenes.posed(VERTICES, (14, 18), 2, seed=3).astype(np.float32)
  kept, gone = FACES[0, :2]
  views[:, gone] = views[:, kept]
  mask, slope = _draw(views, method, (14, 18))
  assert np.isfinite(slope).all() and mask.min() >= 0 and mask.max() <= 1
  if method != 'soft':  # where a face without area is still a line with its blur, as the paper's formula has it
    merged = np.where(FACES == gone, kept, FACES)
    merged = merged[[len(set(face)) == 3 for face in merged.tolist()]]
    assert len(merged) == len(FACES) - 2
    np.testing.assert_allclose(mask, _draw(views, method, (14, 18), merged)[0], atol=1e-4)


@pytest.mark.parametrize('shift', [(60, 0), (-60, 0), (0, 60), (0, -60)])
def test_beside_the_image_is_nothing(method, shift):
  views = scenes.posed(VERTICES, (14, 18), 2, seed=3).astype(np.float32)
  assert _draw(views, method, (14, 18))[0].any()
  views[..., :2] += np.array(shift, np.float32)
  mask, slope = _draw(views, method, (14, 18))
  np.testing.assert_allclose(mask, 0, atol=1e-5)
  np.testing.assert_allclose(slope, 0, atol=1e-3)


def test_one_image_is_a_slice_of_eight(method):
  views = scenes.posed(VERTICES, (14, 18), 8, seed=4).astype(np.float32)
  masks, slopes = _draw(views, method, (14, 18))
  for k in (0, 5):
    mask, slope = _draw(views[k:k + 1], method, (14, 18))
    np.testing.assert_allclose(mask[0], masks[k], atol=1e-6)
    np.testing.assert_allclose(slope[0], slopes[k], rtol=1e-4, atol=1e-4 * np.abs(slopes[k]).max())


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (21, 2)])
def test_small_and_narrow_images(method, size):
  """A mesh larger than the image covers it; the axes are not taken for each other."""
  views = 30 * VERTICES[np.newaxis].astype(np.float32) + np.array([size[1] / 2 + 1.3, size[0] / 2 + .4, 200],
                                                                    np.float32)
  mask, slope = _draw(views, method, size)
  assert mask.shape == (1, *size) and np.isfinite(slope).all()
  # SoftRas: where two large faces meet, each covers a centre by little more than one half.
  assert mask.min() > (.7 if method == 'soft' else 1 - 1e-4)
  views[..., 0] -= 30 + size[1] / 2 + 5  # now all of it is on the left of column 0
  np.testing.assert_allclose(_draw(views, method, size)[0], 0, atol=1e-4)


def test_double_precision(method):
  views = scenes.posed(VERTICES, (14, 18), 2, seed=5)
  double, _ = _draw(views, method, (14, 18))
  single, _ = _draw(views.astype(np.float32), method, (14, 18))
  np.testing.assert_allclose(double, single, atol=1e-3)
  assert single.dtype == np.float32 and double.dtype == np.float64
