import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.rendering import tfg_backend
from tests.rendering import scenes

SIZE = (30, 20)  # width, height


def _perspective(near=.1, far=50., focal=1.3):
  """Camera at the origin looking along -z, as OpenGL has it; y up in the scene is +y in clip space."""
  depth = [(far + near) / (near - far), 2 * far * near / (near - far)]
  return np.array([[focal, 0, 0, 0], [0, focal, 0, 0], [0, 0, *depth], [0, 0, -1, 0]])[np.newaxis]


def _rays():
  """Directions through the pixel centres: [H, W, 3]."""
  width, height = SIZE
  x, y = np.meshgrid((np.arange(width) + .5) * 2 / width - 1, (np.arange(height) + .5) * 2 / height - 1)
  return np.stack([x / 1.3, y / 1.3, -np.ones_like(x)], axis=-1)


def _ray_cast(vertices, faces, near=.1, far=50.):
  """Every face's barycentrics [F, H, W, 3] and distance along the camera's axis [F, H, W] (inf: not hit), by rays."""
  rays = _rays()
  weights, distances = [], []
  for a, b, c in vertices[faces]:
    with np.errstate(all='ignore'):
      hit = np.linalg.solve(np.stack([a, b, c], axis=-1) + 1e-300, rays.reshape(-1, 3).T).T.reshape(rays.shape)
      total = hit.sum(axis=-1)
      distance = 1 / total
      seen = np.all(hit / total[..., np.newaxis] >= 0, axis=-1) & (distance >= near) & (distance < far)
    weights.append(hit / total[..., np.newaxis])
    distances.append(np.where(seen, distance, np.inf))
  return np.stack(weights), np.stack(distances)


def _scene(seed):
  """Triangles all around the camera: some behind, some cut by the near plane, some too far."""
  random = np.random.default_rng(seed)
  centres = random.normal(size=(25, 1, 3)) * [3, 3, 4]
  return (centres + random.normal(size=(25, 3, 3)) * 4).reshape(-1, 3), np.arange(75).reshape(-1, 3)


@pytest.mark.parametrize('seed', range(4))
def test_layers_equal_ray_casting_with_triangles_around_the_camera(seed):
  vertices, faces = _scene(seed)
  buffer = tfg_backend.rasterize(vertices[np.newaxis], faces, _perspective(), SIZE, False, 4)
  weights, distances = _ray_cast(vertices, faces)
  order = np.argsort(distances, axis=0, kind='stable')
  for layer in range(4):
    expected = np.take_along_axis(distances, order[layer:layer + 1], axis=0)[0]
    mask = buffer.foreground_mask.numpy()[0, layer, ..., 0] > 0
    np.testing.assert_array_equal(mask, np.isfinite(expected))
    ids = buffer.triangle_id.numpy()[0, layer, ..., 0]
    np.testing.assert_array_equal(ids[mask], order[layer][mask])
    np.testing.assert_array_equal(ids[~mask], 0)
    found = np.take_along_axis(weights, order[layer][np.newaxis, ..., np.newaxis], axis=0)[0]
    got = buffer.barycentrics.value.numpy()[0, layer]
    np.testing.assert_allclose(got[mask], found[mask], atol=1e-9)
    assert not got[~mask].any()


def test_a_plane_through_the_camera_is_cut_at_the_near_plane():
  """The ground below the camera, one triangle that reaches far behind it: seen from the horizon down, everywhere."""
  ground = np.array([[[0, -1, -1e4], [-1e4, -1, 1e4], [1e4, -1, 1e4]]])
  mask = tfg_backend.rasterize(ground, [[0, 1, 2]], _perspective(far=1e5), SIZE, False).foreground_mask.numpy()
  np.testing.assert_array_equal(mask[0, 0, :, 15, 0], _rays()[:, 15, 1] < -1e-4)


def test_culling_goes_by_the_direction_of_the_corners():
  vertices, faces = scenes.icosphere(1)
  vertices = (vertices + [0, 0, -3])[np.newaxis]
  both, front, back = (
      tfg_backend.rasterize(vertices, f, _perspective(), SIZE, cull, 2)
      for f, cull in ((faces, False), (faces, True), (faces[:, ::-1], True)))
  np.testing.assert_array_equal(front.triangle_id[:, 0], both.triangle_id[:, 0])
  np.testing.assert_array_equal(back.triangle_id[:, 0], both.triangle_id[:, 1])
  assert not front.foreground_mask[:, 1].numpy().any()


def test_one_image_is_a_slice_of_the_batch_and_a_broken_one_is_empty():
  vertices, faces = _scene(9)
  batch = np.stack([vertices + [0, 0, shift] for shift in range(4)])
  batch[2, 7, 1] = np.nan
  matrices = np.repeat(_perspective(), 4, axis=0)
  whole = tfg_backend.rasterize(batch, faces, matrices, SIZE, False, 2)
  for i in (0, 3):
    one = tfg_backend.rasterize(batch[i:i + 1], faces, _perspective(), SIZE, False, 2)
    np.testing.assert_array_equal(one.triangle_id[0], whole.triangle_id[i])
    np.testing.assert_array_equal(one.barycentrics.value[0], whole.barycentrics.value[i])
  assert not whole.foreground_mask[2].numpy().any() and whole.foreground_mask[1].numpy().any()


def test_any_batch_and_triangles_in_a_graph():
  vertices, faces = _scene(1)
  vertices = vertices.astype(np.float32)

  @tf.function(input_signature=[tf.TensorSpec([None, 75, 3]), tf.TensorSpec([None, 3], tf.int32)])
  def mask(v, f):
    return tfg_backend.rasterize(v, f, tf.constant(_perspective(), tf.float32), SIZE).foreground_mask

  for count in (1, 3):
    assert mask(np.repeat(vertices[np.newaxis], count, 0), faces.astype(np.int32)).shape == (count, 1, 20, 30, 1)


def test_no_layers_is_an_error():
  with pytest.raises(ValueError, match='num_layers must be > 0'):
    tfg_backend.rasterize(np.zeros((1, 3, 3)), [[0, 1, 2]], _perspective(), SIZE, True, 0)
