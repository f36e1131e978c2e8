"""Skin read off pictures: colours, light, what is not seen, and what is not skin."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import meshes
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.methods.dhpe.selfsup import painting, skins
from dhpe_tf.rendering import crop_view, render, shading
from tests.methods.dhpe.selfsup.seeds import SIZE, make_seeds

_TONE = np.array([0.45, 0.28, 0.2], np.float32)


@pytest.fixture(scope='module')
def hands():
  return make_seeds(4)[1]['vertices']


@pytest.fixture(scope='module')
def reader():
  return skins.SkinReader(load_hand_model())


def draw(vertices, albedo, lights):
  """Pictures over grey and their masks."""
  albedo = tf.broadcast_to(tf.constant(albedo, tf.float32), [len(vertices), 778, 3])
  rgb, alpha, _ = render.render_rgb(crop_view.crop_to_pixels(vertices, SIZE), load_hand_model().closed_faces, albedo,
                                    lights, (SIZE, SIZE))
  return rgb * alpha + 0.5 * (1 - alpha), alpha[..., 0]


def even(count, level=1.):
  return shading.ambient_and_lamp(count, ambient=level, lamp=0., gloss=0.)


def test_one_colour_in_even_light_is_found_everywhere(hands, reader):
  image, mask = draw(hands, _TONE, even(4))
  skin = reader.read(image, hands, mask)
  np.testing.assert_allclose(skin.albedo, np.broadcast_to(_TONE, [4, 778, 3]), rtol=0.03)
  np.testing.assert_allclose(skin.detail, np.ones([4, SIZE, SIZE, 1]), atol=0.06)
  np.testing.assert_allclose(skin.environment[:, 1:], np.zeros([4, 8, 3]), atol=0.03)


def test_seen_is_what_faces_the_camera_before_the_rest(hands, reader):
  image, mask = draw(hands, _TONE, even(4))
  seen = reader.read(image, hands, mask).seen.numpy()
  normals = meshes.vertex_normals(hands, load_hand_model().closed_faces).numpy()
  assert np.all(seen[normals[..., 2] > 0.5] < 0.3)  # they face away
  assert 0.2 < np.mean(seen > 0.5) < 0.6


def test_light_from_one_side_is_told_from_skin(hands, reader):
  lights = even(4)
  slope = np.zeros([4, 9, 3], np.float32)
  slope[:, 1] = 0.35  # brighter to the right
  lights = lights._replace(environment=0.8 * (lights.environment + slope))
  image, mask = draw(hands, _TONE, lights)
  skin = reader.read(image, hands, mask)
  x = skin.environment[:, 1, 0].numpy() / skin.environment[:, 0, 0].numpy()
  assert np.all(x > 0.15) and np.all(x < 0.45)
  # The skin varies less than it does in the picture.
  seen = skin.seen.numpy() > 0.7
  naive = shading.to_linear(image.numpy())[mask.numpy() == 1].std(0) / 0.8
  for one, here in zip(skin.albedo.numpy(), seen):
    assert np.all(one[here].std(0) < 0.6 * naive)


def test_background_under_a_mesh_that_lies_wrong_is_not_skin(hands, reader):
  image, _ = draw(hands, _TONE, even(4))
  blue = tf.constant([0.3, 0.5, 0.95])
  image = tf.where(tf.reduce_all(tf.abs(image - 0.5) < 1e-6, -1, keepdims=True), blue, image)
  moved = hands + [0.12, 0., 0.]
  skin = reader.read(image, moved, tf.ones([4, SIZE, SIZE]))
  error = np.abs(np.median(skin.albedo, axis=1) - _TONE)
  assert error.max() < 0.05
  # Without the test of likeness it would be.
  trusting = skins.SkinReader(load_hand_model(), likeness=(100., 100.)).read(image, moved, tf.ones([4, SIZE, SIZE]))
  assert np.mean(np.abs(trusting.albedo - _TONE)) > 2 * np.mean(np.abs(skin.albedo - _TONE))


def test_mask_keeps_the_background_out(hands, reader):
  image, mask = draw(hands, _TONE, even(4))
  near = image + 0.4 * (1 - mask[..., None]) * (tf.constant(_TONE)**(1 / 2.2) * 1.3 - 0.5)
  moved = hands + [0.1, 0.05, 0.]
  masked = reader.read(near, moved, mask).albedo
  assert np.mean(np.abs(masked - _TONE)) < 0.03


def test_nothing_to_see_gives_numbers_all_the_same(hands, reader):
  for image, vertices in ((tf.zeros([4, SIZE, SIZE, 3]), hands), (tf.ones([4, SIZE, SIZE, 3]), hands + 5.)):
    skin = reader.read(image, vertices, tf.zeros([4, SIZE, SIZE]))
    for value in skin:
      assert np.all(np.isfinite(value))
    rgb, alpha = painting.paint(hands, load_hand_model().closed_faces, skin, SIZE, tf.constant([0, 1]))
    assert np.all(np.isfinite(rgb)) and np.all(np.isfinite(alpha))


def test_detail_comes_along(hands, reader):
  """Fine stripes across the skin, finer than its vertices, are still there in the picture of the same view."""
  image, mask = draw(hands, _TONE, even(4, 0.8))
  stripes = 1 + 0.15 * np.sign(np.sin(np.arange(SIZE) * 2 * np.pi / 6))[None, None, :, None]
  striped = tf.cast(image * stripes, tf.float32)
  skin = reader.read(striped, hands, mask)
  skin_pixels = mask.numpy() == 1

  def stripe_error(detail):
    rgb, _ = painting.paint(hands, load_hand_model().closed_faces, skin, SIZE, tf.constant([0, 1]), new_light=0.,
                            detail=detail)
    return np.abs(rgb.numpy() - striped.numpy())[skin_pixels].mean()
  assert stripe_error(1.) < 0.55 * stripe_error(0.)


def test_light_is_kept_or_new(hands, reader):
  image, mask = draw(hands, _TONE, even(4))
  skin = reader.read(image, hands, mask)
  kept = painting.choose_lights(skin, tf.constant([0, 1]), 0.)
  np.testing.assert_array_equal(kept.environment, skin.environment)
  assert not np.any(kept.colours)
  new = painting.choose_lights(skin, tf.constant([0, 1]), 1.)
  assert np.all(np.abs(new.environment[:, 0] - skin.environment[:, 0]) > 1e-3)
  mixed = painting.choose_lights(skins.Skins(*(tf.repeat(x, 50, axis=0) for x in skin)), tf.constant([0, 1]), 0.5)
  share = np.mean(np.any(mixed.colours, axis=(1, 2)))
  assert 0.4 < share < 0.6
