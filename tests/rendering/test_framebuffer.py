import sys

import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.rendering import rasterizer, tfg_backend
from dhpe_tf.rendering.silhouette import silhouette
from tests.rendering import scenes


@pytest.fixture()
def without_tensorflow_graphics(monkeypatch):
  for name in [name for name in sys.modules if name.startswith('tensorflow_graphics')]:
    monkeypatch.delitem(sys.modules, name)
  monkeypatch.setitem(sys.modules, 'tensorflow_graphics', None)


def test_the_like_has_the_same_fields_and_layers(monkeypatch):
  framebuffer = pytest.importorskip('tensorflow_graphics.rendering.framebuffer')
  vertices, faces = scenes.icosphere(1)
  views = scenes.posed(vertices, (9, 12), 2)
  clip = (vertices * .5)[np.newaxis]

  def draw():
    return (rasterizer.rasterize(views, faces, (9, 12), attributes={'v': views}),
            tfg_backend.rasterize(clip, faces, np.eye(4)[np.newaxis], (12, 9), False, 2).layer(1))

  theirs = draw()
  assert isinstance(theirs[0], framebuffer.Framebuffer)
  monkeypatch.setitem(sys.modules, 'tensorflow_graphics.rendering', None)
  ours = draw()
  for one, other in zip(theirs, ours):
    assert not isinstance(other, framebuffer.Framebuffer)
    for name in ('triangle_id', 'vertex_ids', 'foreground_mask'):
      np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.barycentrics.value, other.barycentrics.value)
    assert one.attributes.keys() == other.attributes.keys()
    for name, value in one.attributes.items():
      np.testing.assert_array_equal(value.value, other.attributes[name].value)
      np.testing.assert_array_equal(value.layer(0).value, other.attributes[name].layer(0).value)


def test_the_splat_silhouette_says_what_it_needs(without_tensorflow_graphics):
  vertices, faces = scenes.icosphere(0)
  with pytest.raises(UserError, match='splat needs tensorflow-graphics'):
    silhouette(scenes.posed(vertices, (4, 4), 1), faces, (4, 4), method='splat')
