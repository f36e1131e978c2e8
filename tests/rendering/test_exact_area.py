import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.rendering.exact_area import ExactAreaSilhouette, exact_area_silhouette
from tests.gradients import assert_gradients_match
from tests.rendering import scenes

MESHES = {'sphere': scenes.icosphere(2), 'torus': scenes.torus()}
# A square prism standing on the image, its sides seen edge-on: coverage is known in every pixel.
PRISM = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)
PRISM_FACES = np.array([[0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4], [1, 2, 6], [1, 6, 5],
                        [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7]])


def _square(left, top, right, bottom):
  return (PRISM[:, :2] * [right - left, bottom - top] + [left, top])[np.newaxis]


def test_a_square_covers_the_parts_of_pixels_it_should_on_a_4x3_image():
  area = exact_area_silhouette(_square(.5, .25, 2.75, 2), PRISM_FACES, (3, 4)).numpy()
  rows, columns = np.array([.75, 1, 0]), np.array([.5, 1, .75, 0])
  np.testing.assert_allclose(area[0], rows[:, np.newaxis] * columns, atol=1e-12)


@pytest.mark.parametrize('box, row, column', [
    ((-5, -5, 20, 20), [1, 1, 1], [1, 1, 1, 1]),  # all around
    ((-9, 1, 1.5, 2), [0, 1, 0], [1, .5, 0, 0]),  # from the left of the image
    ((2.5, 1, 30, 2), [0, 1, 0], [0, 0, .5, 1]),  # over the right side
    ((-9, 0, -3, 3), [0, 0, 0], [0, 0, 0, 0]),  # left of it altogether
    ((7, 0, 9, 3), [0, 0, 0], [0, 0, 0, 0]),
    ((0, -8, 4, -1), [0, 0, 0], [0, 0, 0, 0]),
    ((0, 3, 4, 9), [0, 0, 0], [0, 0, 0, 0]),
    ((1, 1, 3, 2), [0, 1, 0], [0, 1, 1, 0]),  # on the pixels' sides
    ((1.25, 1.5, 1.25, 2), [0, 0, 0], [0, 0, 0, 0]),  # no width
])
def test_pieces_outside_the_image(box, row, column):
  area = exact_area_silhouette(_square(*map(float, box)), PRISM_FACES, (3, 4)).numpy()
  np.testing.assert_allclose(area[0], np.outer(row, column), atol=1e-12)


def test_one_pixel_image():
  area = exact_area_silhouette(_square(-.5, .25, .5, .75).astype(np.float32), PRISM_FACES, (1, 1)).numpy()
  np.testing.assert_allclose(area, [[[.25]]], atol=1e-6)


@pytest.mark.parametrize('mesh', MESHES)
@pytest.mark.parametrize('size', [(48, 64), (24, 16)])
def test_area_equals_supersampling(mesh, size):
  vertices, faces = MESHES[mesh]
  views = scenes.posed(vertices, size, 3, seed=1)
  area = exact_area_silhouette(views.astype(np.float32), faces, size).numpy()
  truth = np.stack([scenes.supersampled_area(view, faces, size) for view in views])
  boundary = (truth > 0) & (truth < 1)
  assert np.abs(area - truth)[boundary].mean() < .02
  assert np.abs(area - truth)[~boundary].max() < .05  # a sliver may pass between samples


def test_total_area_of_a_convex_mesh_is_that_of_its_hull():
  from scipy.spatial import ConvexHull
  vertices, faces = MESHES['sphere']
  views = scenes.posed(vertices, (40, 60), 4, seed=2)
  area = exact_area_silhouette(views, faces, (40, 60)).numpy().sum(axis=(1, 2))
  np.testing.assert_allclose(area, [ConvexHull(view[:, :2]).volume for view in views], rtol=1e-12)


@pytest.mark.parametrize('mesh', MESHES)
def test_gradient_equals_finite_differences(mesh):
  vertices, faces = MESHES[mesh]
  # Larger than the image on one side, so that all four borders are crossed.
  views = scenes.posed(vertices, (20, 28), 2, seed=3, fill=.5)[..., :2]
  assert_gradients_match(lambda v: exact_area_silhouette(v, faces, (20, 28)), [views], step=1e-6, rtol=1e-5)


def test_gradient_of_the_prism_is_the_length_of_its_sides():
  square = tf.constant(_square(1.25, 1.5, 3.5, 3.75))
  with tf.GradientTape() as tape:
    tape.watch(square)
    total = tf.reduce_sum(exact_area_silhouette(square, PRISM_FACES, (6, 6)))
  gradient = tape.gradient(total, square).numpy()[0]
  right = PRISM[:, 0] == 1
  np.testing.assert_allclose(gradient[right, 0].sum(), 2.25, atol=1e-9)
  np.testing.assert_allclose(gradient[~right, 0].sum(), -2.25, atol=1e-9)


def test_coverage_moves_without_jumps():
  vertices, faces = MESHES['torus']
  view = scenes.posed(vertices, (32, 32), 1, seed=4)[..., :2]
  shifts = np.linspace(0, 1, 201)[:, np.newaxis, np.newaxis]
  area = exact_area_silhouette(view + shifts * [1., .3], faces, (32, 32)).numpy()
  # No point moves farther than 1.05 px over 200 steps; folds inside a pixel at most double that.
  assert np.abs(np.diff(area, axis=0)).max() < 2 * 1.05 * 1.5 / 200


def test_one_image_is_a_slice_of_the_batch_and_float32_follows_float64():
  vertices, faces = MESHES['torus']
  views = scenes.posed(vertices, (30, 50), 8, seed=5)
  batch = exact_area_silhouette(views, faces, (30, 50)).numpy()
  for i in (0, 7):
    np.testing.assert_array_equal(exact_area_silhouette(views[i:i + 1], faces, (30, 50)).numpy()[0], batch[i])
  single = exact_area_silhouette(views.astype(np.float32), faces, (30, 50))
  assert single.dtype == tf.float32
  np.testing.assert_allclose(single.numpy(), batch, atol=1e-4)


def test_an_image_with_a_vertex_that_is_not_finite_is_empty_and_alone_in_that():
  vertices, faces = MESHES['sphere']
  views = scenes.posed(vertices, (24, 24), 4)[..., :2]
  expected = exact_area_silhouette(views, faces, (24, 24)).numpy()
  broken = views.copy()
  broken[1, 3, 0], broken[2, 5, 1] = np.nan, np.inf
  broken = tf.constant(broken)
  with tf.GradientTape() as tape:
    tape.watch(broken)
    area = exact_area_silhouette(broken, faces, (24, 24))
  gradient = tape.gradient(area, broken).numpy()
  np.testing.assert_array_equal(area.numpy()[[0, 3]], expected[[0, 3]])
  assert not area.numpy()[1:3].any() and not gradient[1:3].any() and np.isfinite(gradient).all()


def test_huge_coordinates_and_degenerate_faces():
  vertices, faces = MESHES['sphere']
  views = scenes.posed(vertices, (16, 16), 3).astype(np.float32)
  views[0] *= 1e18  # far away
  views[1, :, 0] = 3.3  # seen as a line
  views[2] = 5.  # a point
  area = exact_area_silhouette(views, faces, (16, 16)).numpy()
  assert np.isfinite(area).all() and area.min() >= 0 and area.max() <= 1
  np.testing.assert_allclose(area[1:], 0, atol=1e-6)


def test_open_or_inconsistent_meshes_are_refused():
  _, faces = MESHES['sphere']
  for bad in (faces[1:], np.concatenate([faces[:1, ::-1], faces[1:]]), np.concatenate([faces, faces[:1]])):
    with pytest.raises(UserError, match='open or not consistently oriented'):
      ExactAreaSilhouette(bad)
  with pytest.raises(UserError, match=r'expected \[F, 3\]'):
    ExactAreaSilhouette(faces[:, :2])


def test_any_batch_in_a_graph_and_in_a_saved_model(tmp_path):
  vertices, faces = MESHES['sphere']
  views = scenes.posed(vertices, (20, 30), 3)[..., :2].astype(np.float32)
  module = tf.Module()

  @tf.function(input_signature=[tf.TensorSpec([None, len(vertices), 2])])
  def gradient(v):
    with tf.GradientTape() as tape:
      tape.watch(v)
      area = exact_area_silhouette(v, faces, (20, 30))
      loss = tf.reduce_sum(area**2)
    return {'area': area, 'gradient': tape.gradient(loss, v)}

  module.gradient = gradient
  tf.saved_model.save(module, str(tmp_path / 'saved'))
  loaded = tf.saved_model.load(str(tmp_path / 'saved'))
  for count in (0, 1, 3):
    expected, got = gradient(views[:count]), loaded.gradient(views[:count])
    assert expected['area'].shape == (count, 20, 30)
    tf.nest.map_structure(np.testing.assert_array_equal, expected, got)
