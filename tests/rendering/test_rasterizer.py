import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.rendering import rasterizer
from tests.gradients import assert_gradients_match
from tests.rendering import scenes


def _random_faces(seed, count=40, size=(21, 34)):
  """Unconnected random triangles of all sizes, some beyond the image, some without area."""
  random = np.random.default_rng(seed)
  height, width = size
  vertices = random.uniform(-.3, 1.3, (3 * count, 3)) * [width, height, 5] + [0, 0, 3]
  vertices[3 * count // 2:] = np.repeat(vertices[3 * count // 2::3], 3, axis=0)[:len(vertices) - 3 * count // 2]
  vertices[3 * count // 2:] += random.normal(size=vertices[3 * count // 2:].shape)
  faces = np.arange(3 * count).reshape(-1, 3)
  faces[5] = faces[5][[0, 0, 1]]
  vertices[faces[6]] = vertices[faces[6][0]]
  return vertices, faces


def _meshes():
  sphere, torus = scenes.icosphere(2), scenes.torus()
  yield 'sphere', scenes.posed(sphere[0], (33, 20), 2, seed=1), sphere[1], (33, 20)
  yield 'torus', scenes.posed(torus[0], (24, 40), 2, seed=2, fill=.6, rough=.05), torus[1], (24, 40)
  for seed in range(3):
    vertices, faces = _random_faces(seed)
    yield f'triangles {seed}', vertices[np.newaxis], faces, (21, 34)
  # On a grid of 1/8 pixel float32 is exact, and pixel centres lie on edges and corners everywhere.
  vertices, faces = _random_faces(7, size=(16, 16))
  yield 'grid', np.round(vertices[np.newaxis] * 8) / 8, faces, (16, 16)
  yield 'coarse grid', np.round(vertices[np.newaxis] * 2) / 2, faces, (16, 16)


MESHES = {name: rest for name, *rest in _meshes()}


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('perspective', [False, True])
@pytest.mark.parametrize('mesh', MESHES)
def test_every_pixel_equals_brute_force(mesh, perspective, dtype):
  vertices, faces, size = MESHES[mesh]
  vertices = vertices.astype(dtype)
  buffer = rasterizer.rasterize(vertices, faces, size, perspective)
  for i, view in enumerate(vertices):
    depths = scenes.brute_force_depth(view, faces, size, perspective)
    if perspective:
      depths[view[faces, 2].min(axis=1) <= 0] = np.inf
    nearest = depths.min(axis=0)
    mask = buffer.foreground_mask[i, ..., 0].numpy()
    np.testing.assert_array_equal(mask, np.isfinite(nearest))
    ids = buffer.triangle_id[i, ..., 0].numpy()
    covered = mask > 0
    # Where faces are equally near within rounding either may be seen.
    seen = np.take_along_axis(depths, ids[np.newaxis], axis=0)[0]
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(seen[covered], nearest[covered], rtol=tolerance)
    np.testing.assert_array_equal(ids[~covered], 0)
    np.testing.assert_array_equal(buffer.vertex_ids[i].numpy(), faces[ids])


def test_the_grid_is_exact_against_integers():
  """The rule of coverage, in whole numbers: a centre inside a face or on its edge."""
  vertices, faces, (height, width) = MESHES['grid']
  points = np.round(vertices[0, :, :2] * 8).astype(np.int64)
  covered = np.zeros((height, width), bool)
  x, y = np.meshgrid(np.arange(width) * 8 + 4, np.arange(height) * 8 + 4)
  for a, b, c in points[faces]:
    edges = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
    if sum(edges)[0, 0]:
      covered |= np.all([e >= 0 for e in edges], axis=0) | np.all([e <= 0 for e in edges], axis=0)
  mask = rasterizer.rasterize(vertices.astype(np.float32), faces, (height, width)).foreground_mask.numpy()
  np.testing.assert_array_equal(mask[0, ..., 0], covered)


def test_pixel_centres_on_a_4x3_image():
  """Triangles of half a pixel around the centres of the corner pixels hit those alone; just beside, nothing."""
  for row, column in ((0, 0), (0, 3), (2, 0), (2, 3)):
    centre = np.array([column + .5, row + .5, 1.])
    triangle = centre + np.array([[-.25, -.2, 0], [.25, -.2, 0], [0, .25, 0]])
    mask = rasterizer.rasterize(triangle[np.newaxis], [[0, 1, 2]], (3, 4)).foreground_mask.numpy()[0, ..., 0]
    expected = np.zeros((3, 4))
    expected[row, column] = 1
    np.testing.assert_array_equal(mask, expected)
    for aside in ([.26, 0, 0], [0, -.26, 0]):
      assert not rasterizer.rasterize((triangle + aside)[np.newaxis], [[0, 1, 2]], (3, 4)).foreground_mask.numpy().any()


def test_no_pixel_is_missed_between_faces():
  """A fan around an irregular point covers its square without holes, also where centres lie on its edges."""
  random = np.random.default_rng(0)
  for _ in range(20):
    around = np.array([[0, 0], [8, 0], [16, 0], [16, 8], [16, 16], [8, 16], [0, 16], [0, 8]])
    middle = np.round(random.uniform(1, 15, 2) * 4) / 4
    vertices = np.concatenate([around, middle[np.newaxis]]).astype(np.float32)
    vertices = np.concatenate([vertices, np.ones((9, 1), np.float32)], axis=1)
    order = random.permutation(9)
    faces = np.argsort(order)[np.array([[i, (i + 1) % 8, 8] for i in range(8)])]
    assert rasterizer.rasterize(vertices[order][np.newaxis], faces, (16, 16)).foreground_mask.numpy().all()


@pytest.mark.parametrize('perspective', [False, True])
def test_barycentrics_and_depth_give_back_the_point(perspective):
  vertices, faces, size = MESHES['torus']
  buffer = rasterizer.rasterize(vertices, faces, size, perspective)
  mask = buffer.foreground_mask.numpy()[..., 0] > 0
  weights = buffer.barycentrics.value.numpy()[mask]
  image, row, column = np.nonzero(mask)
  corners = vertices[image[:, np.newaxis], buffer.vertex_ids.numpy()[mask]]
  np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-9)
  assert weights.min() > -1e-9
  point = (weights[..., np.newaxis] * corners).sum(axis=1)
  np.testing.assert_allclose(buffer.attributes['depth'].value.numpy()[mask][:, 0], point[:, 2], rtol=1e-9)
  if perspective:  # the straight line in space: x * depth is linear, not x
    corners = np.concatenate([corners[..., :2] * corners[..., 2:], corners[..., 2:]], axis=-1)
    point = (weights[..., np.newaxis] * corners).sum(axis=1)
    point[:, :2] /= point[:, 2:]
  np.testing.assert_allclose(point[:, 0], column + .5, atol=1e-9)
  np.testing.assert_allclose(point[:, 1], row + .5, atol=1e-9)


@pytest.mark.parametrize('perspective', [False, True])
def test_gradients_of_what_is_seen(perspective):
  vertices, faces = scenes.icosphere(1)
  views = scenes.posed(vertices, (9, 12), 2, seed=3, fill=.4)
  attributes = np.random.default_rng(0).normal(size=(2, len(vertices), 4))

  def interpolated(views, attributes):
    buffer = rasterizer.rasterize(views, faces, (9, 12), perspective, attributes={'a': attributes})
    return buffer.attributes['a'].value, buffer.attributes['depth'].value, buffer.barycentrics.value

  assert_gradients_match(interpolated, [views, attributes], step=1e-7, rtol=1e-5)


def test_culling_leaves_the_near_side_of_a_closed_mesh():
  vertices, faces = scenes.icosphere(2)
  views = scenes.posed(vertices, (20, 20), 2)
  whole, front = (rasterizer.rasterize(views, faces, (20, 20), cull=cull) for cull in (False, True))
  np.testing.assert_array_equal(whole.triangle_id, front.triangle_id)
  behind = rasterizer.rasterize(views, faces[:, ::-1], (20, 20), cull=True)
  covered = whole.foreground_mask.numpy() > 0
  assert np.all(behind.attributes['depth'].value.numpy()[covered] > whole.attributes['depth'].value.numpy()[covered])


def test_batch_of_one_is_a_slice_of_the_batch():
  vertices, faces = scenes.torus()
  views = scenes.posed(vertices, (16, 24), 8, seed=9).astype(np.float32)
  batch = rasterizer.rasterize(views, faces, (16, 24), attributes={'v': views})
  for i in (0, 5):
    one = rasterizer.rasterize(views[i:i + 1], faces, (16, 24), attributes={'v': views[i:i + 1]})
    np.testing.assert_array_equal(one.triangle_id[0], batch.triangle_id[i])
    np.testing.assert_array_equal(one.barycentrics.value[0], batch.barycentrics.value[i])
    np.testing.assert_array_equal(one.attributes['v'].value[0], batch.attributes['v'].value[i])


def test_what_cannot_be_drawn_leaves_its_image_empty():
  vertices, faces = scenes.icosphere(1)
  views = scenes.posed(vertices, (12, 12), 6).astype(np.float32)
  good = rasterizer.rasterize(views, faces, (12, 12)).foreground_mask.numpy()
  views[1, 4, 2] = np.nan
  views[2, 0, 0] = np.inf
  views[3, :, 0] += 100  # beside the image
  views[4] *= 1e20
  views[5, :, 2] -= 1e3  # behind the camera
  mask = rasterizer.rasterize(views, faces, (12, 12), perspective=True).foreground_mask.numpy()
  np.testing.assert_array_equal(mask[0], good[0])
  assert not mask[1:].any()


def test_one_pixel_image_and_any_batch_in_a_graph():
  vertices, faces = scenes.icosphere(0)

  @tf.function(input_signature=[tf.TensorSpec([None, 12, 3])])
  def mask(v):
    return rasterizer.rasterize(v, faces, (1, 1)).foreground_mask

  near, far = [.5, .5, 3], [5, .5, 3]
  views = np.stack([vertices + near, vertices + far]).astype(np.float32)
  np.testing.assert_array_equal(mask(views), [[[[1]]], [[[0]]]])
  assert mask(views[:0]).shape == (0, 1, 1, 1)


def test_tensorflow_graphics_interpolates_on_the_framebuffer():
  interpolate = pytest.importorskip('tensorflow_graphics.rendering.interpolate')
  vertices, faces = scenes.torus()
  views = scenes.posed(vertices, (16, 24), 2, seed=9).astype(np.float32)
  ours = rasterizer.rasterize(views, faces, (16, 24), attributes={'v': views})
  theirs = interpolate.interpolate_vertex_attribute(tf.constant(views), ours).value
  np.testing.assert_allclose(ours.attributes['v'].value, theirs, atol=1e-4)
