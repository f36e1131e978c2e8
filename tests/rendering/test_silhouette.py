import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.rendering import silhouette as module
from dhpe_tf.rendering.silhouette import silhouette
from tests.rendering import scenes


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


@pytest.mark.parametrize('method', module.METHODS)
def test_every_method_draws_about_the_same_mask(method):
  if method == 'splat':
    pytest.importorskip('tensorflow_graphics.rendering.splat')
  vertices, faces = scenes.icosphere(2)
  views = scenes.posed(vertices, (32, 48), 2, seed=1).astype(np.float32)
  gin.bind_parameter('rendering.silhouette.method', method)
  mask = tf.function(lambda v: silhouette(v, faces, (32, 48)))(views).numpy()
  truth = np.stack([scenes.supersampled_area(view, faces, (32, 48), 8) for view in views])
  assert mask.shape == (2, 32, 48) and mask.min() >= 0 and mask.max() <= 1 + 1e-6
  both, either = np.minimum(mask, truth).sum(), np.maximum(mask, truth).sum()
  assert both / either > (.99 if method == 'exact_area' else .85)


def test_an_unknown_method_is_named_with_the_choices():
  with pytest.raises(UserError, match="unknown 'area'; choose one of exact_area"):
    silhouette(np.zeros((1, 3, 2)), np.array([[0, 1, 2], [0, 2, 1]]), (4, 4), method='area')
