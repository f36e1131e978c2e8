import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import meshes
from dhpe_tf.rendering import render, scanlines, shading
from tests.benchmarks import rendering_views

# Counter-clockwise in the picture, y down.
SQUARE = np.array([[0, 1, 2], [0, 2, 3]])


def _square(left, top, right, bottom, depth):
  return np.array([[left, top, depth], [left, bottom, depth], [right, bottom, depth], [right, top, depth]], float)


@pytest.mark.parametrize('samples', [1, 2, 3])
def test_agrees_with_the_differentiable_renderer(samples):
  # Not square, and the hand is cut by two of its sides.
  size = (90, 130)
  vertices = rendering_views.project(*rendering_views.poses_and_cameras(3, seed=5), 100, 110)
  # Both in the same precision: vertices that float32 holds.
  vertices = (vertices - [8, 12, 0]).astype(np.float32)
  faces, lights = rendering_views.faces(), shading.ambient_and_lamp(3)
  albedo = tf.fill(vertices.shape, np.float32(0.4))
  expected_rgb, expected_alpha, _ = render.render_rgb(vertices, faces, albedo, lights, size, samples=samples)
  normals = meshes.vertex_normals(vertices, faces)
  colours = shading.to_display(shading.shade(albedo, normals, lights)).numpy()
  for k in range(3):
    rgb, alpha = scanlines.draw(vertices[k], faces, colours[k], size, samples)
    assert rgb.shape == (90, 130, 3) and rgb.dtype == alpha.dtype == np.float32
    same = alpha == expected_alpha[k, ..., 0]
    assert np.mean(~same) < 1e-3, 'only rounding may differ'
    assert 0.1 < np.mean(alpha > 0) < 0.9
    # Where rounding chose another of two surfaces at one point, colours differ more.
    assert np.quantile(np.abs(rgb - expected_rgb[k])[same], 0.999) < 1e-4


def test_each_point_of_a_mosaic_is_covered_once():
  # A fan about a point of odd coordinates: its edges cross the points' rows anywhere.
  angles = np.sort(np.random.default_rng(1).uniform(0, 2 * np.pi, 40))[::-1]
  rim = 30 + 100 * np.column_stack([np.cos(angles), np.sin(angles)])
  vertices = np.column_stack([np.concatenate([[[20.1, 17.3]], rim]), np.ones(41)])
  faces = np.array([[0, 1 + k, 1 + (k + 1) % 40] for k in range(40)])
  fine = scanlines._spans(vertices[:, :2], vertices[:, 2:], faces, (40, 50))
  counts = np.zeros([40, 50], int)
  for row, first, count in zip(fine.row, fine.first, fine.count):
    counts[row, first:first + count] += 1
  np.testing.assert_array_equal(counts, 1)


def test_colours_and_cover_of_a_square():
  colours = np.array([[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]])
  rgb, alpha = scanlines.draw(_square(2, 1, 6, 4.5, 1), SQUARE, colours, (6, 9), samples=2)
  expected = np.zeros([6, 9])
  expected[1:4, 2:6] = 1
  expected[4, 2:6] = 0.5
  np.testing.assert_allclose(alpha, expected)
  # Red grows to the right, green downward; both are linear and taken at the pixels' middle.
  np.testing.assert_allclose(rgb[2, 2:6, 0], (np.arange(4) + 0.5) / 4, atol=1e-6)
  np.testing.assert_allclose(rgb[1:4, 3, 1], (np.arange(3) + 0.5) / 3.5, atol=1e-6)
  assert (rgb[alpha == 0] == 0).all()


def test_the_nearer_square_hides_the_farther_whatever_their_order():
  vertices = np.concatenate([_square(0, 0, 6, 6, 2), _square(2, 2, 9, 9, 1)])
  colours = np.repeat([[1., 0, 0], [0, 1, 0]], 4, axis=0)
  for faces in (np.concatenate([SQUARE, SQUARE + 4]), np.concatenate([SQUARE + 4, SQUARE])):
    rgb, _ = scanlines.draw(vertices, faces, colours, (10, 10))
    np.testing.assert_array_equal(rgb[1, 1], [1, 0, 0])
    np.testing.assert_array_equal(rgb[3, 3], [0, 1, 0])


def test_nothing_is_drawn_from_behind_outside_or_without_area():
  for vertices, faces in ((_square(1, 1, 4, 4, 1), SQUARE[:, ::-1]), (_square(11, 1, 14, 4, 1), SQUARE),
                          (_square(-1e12, 1, -1, 4, 1), SQUARE), (_square(2, 1, 2, 4, 1), SQUARE)):
    assert not scanlines.draw(vertices, faces, np.ones([4, 3]), (10, 10))[1].any()
  # A square far larger than the picture fills it.
  assert (scanlines.draw(_square(-1e9, -1e9, 1e9, 1e9, 1), SQUARE, np.ones([4, 3]), (10, 10))[1] == 1).all()
