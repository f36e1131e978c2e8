import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import shading
from tests.gradients import assert_gradients_match


def _unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_ambient_light_alone_shows_the_albedo():
  lights = shading.ambient_and_lamp(2, ambient=.5, lamp=0)
  albedo = np.random.default_rng(0).uniform(size=(2, 7, 3)).astype(np.float32)
  normals = _unit(np.random.default_rng(1).normal(size=(2, 7, 3))).astype(np.float32)
  np.testing.assert_allclose(shading.shade(albedo, normals, lights), .5 * albedo, atol=1e-6)


def test_a_lamp_is_full_on_what_faces_it_and_absent_behind():
  lights = shading.ambient_and_lamp(1, ambient=0, lamp=.8, direction=(0, -3, 0), gloss=0)
  normals = np.array([[[0, -1, 0], [0, 1, 0], [1, 0, 0]]], np.float32)  # up, down, sideways in the picture
  seen = shading.shade(np.ones((1, 3, 3), np.float32), normals, lights, wrap=0)
  np.testing.assert_allclose(seen[0, :, 0], [.8, 0, 0], atol=1e-6)


def test_the_highlight_lies_half_way_between_lamp_and_camera():
  lights = shading.ambient_and_lamp(1, ambient=0, lamp=1, direction=(1, 0, 0), gloss=.5)
  angle = np.linspace(0, np.pi / 2, 91)
  normals = np.stack([np.sin(angle), 0 * angle, -np.cos(angle)], axis=-1)[np.newaxis].astype(np.float32)
  seen = shading.shade(np.zeros((1, 91, 3), np.float32), normals, lights)
  assert np.argmax(seen[0, :, 0]) == 45


def test_random_lights_are_repeatable_varied_and_of_the_brightness_asked_for():
  one, same, other = (shading.sample_lights(64, tf.constant([3, s]), brightness=(.5, 1.)) for s in (1, 1, 2))
  tf.nest.map_structure(np.testing.assert_array_equal, one, same)
  assert not np.allclose(one.environment, other.environment)
  np.testing.assert_allclose(np.linalg.norm(one.directions, axis=-1), 1, atol=1e-5)
  assert one.colours.shape == (64, 3, 3) and np.min(one.colours) >= 0
  facing = np.tile(np.array([[[0, 0, -1]]], np.float32), [64, 1, 1])
  white = shading.shade(np.ones_like(facing), facing, one._replace(gloss=tf.zeros(64))).numpy().mean(axis=(1, 2))
  assert white.max() < 1.001 and white.min() > .2 and np.mean(white > .49) > .9 and white.std() > .1


def test_lights_in_a_graph_of_any_batch():
  @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
  def sample(batch):
    return shading.sample_lights(batch, [1, 2])

  assert sample(5).directions.shape == (5, 3, 3)


def test_gradients():
  random = np.random.default_rng(4)
  normals = _unit(random.normal(size=(2, 5, 3)))
  lights = shading.Lights(
      np.concatenate([np.full((2, 1, 3), 2.), .1 * random.normal(size=(2, 8, 3))], axis=1),
      _unit(random.normal(size=(2, 2, 3))), random.uniform(size=(2, 2, 3)), np.full(2, .3), np.full(2, 9.))
  assert_gradients_match(lambda a, n, *x: shading.shade(a, n, shading.Lights(*x)),
                         [random.uniform(size=(2, 5, 3)), normals, *lights], rtol=1e-5)


def test_display_encoding_is_undone_by_decoding():
  values = np.linspace(.01, 1, 20)
  np.testing.assert_allclose(shading.to_linear(shading.to_display(values).numpy()), values, rtol=1e-6)
  np.testing.assert_allclose(shading.to_display(np.array([-1., 0, 2])), [.002, .002, 1], atol=1e-3)
  assert_gradients_match(shading.to_display, [values[:-1]], step=1e-7)
