import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.rendering import render, shading
from tests.rendering import scenes


@pytest.mark.parametrize('samples', [1, 2, 3])
def test_a_sphere_in_plain_light(samples):
  vertices, faces = scenes.icosphere(3)
  size = (24, 36)
  views = scenes.posed(vertices, size, 2, seed=1).astype(np.float32)
  albedo = np.full((2, len(vertices), 3), [.2, .4, .8], np.float32)
  rgb, alpha, visible = render.render_rgb(views, faces, albedo, shading.ambient_and_lamp(2, 1, 0), size,
                                          samples=samples)
  assert rgb.shape == (2, *size, 3) and alpha.shape == (2, *size, 1)
  for i in range(2):
    covered = scenes.samples_covered(views[i], faces, size, samples).reshape(size[0], samples, size[1], samples)
    np.testing.assert_allclose(alpha[i, ..., 0], covered.mean(axis=(1, 3)), atol=1e-6)
  inside = alpha.numpy()[..., 0] > 0
  np.testing.assert_allclose(rgb.numpy()[inside], np.broadcast_to(np.array([.2, .4, .8])**(1 / 2.2), (inside.sum(), 3)),
                             atol=1e-4)
  assert not rgb.numpy()[~inside].any()
  np.testing.assert_array_equal(visible.image_shape, [2, size[0] * samples, size[1] * samples])


def test_a_lamp_from_above_brightens_the_top():
  vertices, faces = scenes.icosphere(3)
  views = (vertices * [8, 8, 8] + [12, 12, 50])[np.newaxis].astype(np.float32)
  lights = shading.ambient_and_lamp(1, .2, .7, direction=(0, -1, 0))
  rgb, _, _ = render.render_rgb(views, faces, np.ones((len(vertices), 3), np.float32)[np.newaxis], lights, (24, 24))
  column = rgb.numpy()[0, :, 12, 0]
  assert column[5] > column[12] > column[18]


def test_background_stays_where_nothing_can_be_drawn():
  vertices, faces = scenes.icosphere(1)
  views = scenes.posed(vertices, (10, 10), 2).astype(np.float32)
  views[1, 0] = np.nan
  rgb, alpha, _ = render.render_rgb(views, faces, np.ones((2, len(vertices), 3), np.float32),
                                    shading.ambient_and_lamp(2), (10, 10))
  assert alpha[0].numpy().any() and not alpha[1].numpy().any() and not rgb[1].numpy().any()


def test_colours_reach_the_albedo_with_gradient_and_any_batch():
  vertices, faces = scenes.icosphere(1)
  views = scenes.posed(vertices, (10, 14), 3).astype(np.float32)

  @tf.function(input_signature=[tf.TensorSpec([None, len(vertices), 3]), tf.TensorSpec([None, len(vertices), 3])])
  def gradient(views, albedo):
    with tf.GradientTape() as tape:
      tape.watch(albedo)
      rgb, alpha, _ = render.render_rgb(views, faces, albedo, shading.ambient_and_lamp(tf.shape(views)[0]), (10, 14))
      total = tf.reduce_sum(rgb * alpha)
    return tape.gradient(total, albedo), rgb

  for count in (1, 3):
    slope, rgb = gradient(views[:count], np.full((count, len(vertices), 3), .3, np.float32))
    assert rgb.shape == (count, 10, 14, 3) and np.all(np.isfinite(slope)) and np.max(slope) > 0
