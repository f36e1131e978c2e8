import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import meshes
from tests.gradients import assert_gradients_match

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float64)


def _sphere(rings=6, sectors=8):
  """A closed sphere: (vertices, faces), counter-clockwise from outside."""
  theta = np.linspace(0, np.pi, rings + 1)[1:-1]
  phi = np.arange(sectors) * 2 * np.pi / sectors
  body = np.stack([np.outer(np.sin(theta), np.cos(phi)), np.outer(np.sin(theta), np.sin(phi)),
                   np.outer(np.cos(theta), np.ones(sectors))], axis=-1).reshape(-1, 3)
  vertices = np.concatenate([body, [[0, 0, 1], [0, 0, -1]]])
  faces = []
  for i in range(rings - 2):
    for j in range(sectors):
      a, b = i * sectors + j, i * sectors + (j + 1) % sectors
      faces += [[a, a + sectors, b], [b, a + sectors, b + sectors]]
  last = (rings - 2) * sectors
  for j in range(sectors):
    faces += [[len(body), j, (j + 1) % sectors], [len(body) + 1, last + (j + 1) % sectors, last + j]]
  return vertices, np.array(faces)


def test_edges_and_their_faces():
  assert meshes.edges(TETRAHEDRON).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
  topology = meshes.edge_faces(TETRAHEDRON)
  for edge, sides in zip(topology.edges.tolist(), topology.faces):
    for side, direction in zip(sides, (edge, edge[::-1])):
      face = TETRAHEDRON[side].tolist()
      assert direction in [[face[k], face[(k + 1) % 3]] for k in range(3)]


def test_open_edges_have_one_face():
  topology = meshes.edge_faces(TETRAHEDRON[:1])
  assert np.sort(topology.faces, axis=1).tolist() == [[-1, 0]] * 3


def test_inconsistent_orientation_is_refused():
  with pytest.raises(ValueError, match='same direction'):
    meshes.edge_faces(np.array([[0, 1, 2], [0, 1, 3]]))


def test_closing_an_opening_restores_a_closed_oriented_mesh():
  vertices, faces = _sphere()
  opened = faces[~np.any(faces == len(vertices) - 1, axis=1)]
  assert len(meshes.boundary_loop(opened)) == 8
  closed = meshes.cap_boundary(opened)
  assert len(closed) == len(opened) + 6
  assert (meshes.edge_faces(closed).faces >= 0).all()
  assert len(meshes.boundary_loop(closed)) == 0
  assert np.array_equal(meshes.cap_boundary(closed), closed)
  corners = vertices[closed]
  assert np.linalg.det(corners).sum() / 6 > 3, 'faces look outward'


def test_two_openings():
  vertices, faces = _sphere()
  opened = faces[~np.any(faces >= len(vertices) - 2, axis=1)]
  assert len(meshes.boundary_loops(opened)) == 2
  with pytest.raises(ValueError, match='found 2'):
    meshes.boundary_loop(opened)
  assert (meshes.edge_faces(meshes.cap_boundary(opened)).faces >= 0).all()


def test_uniform_laplacian_is_the_offset_from_the_neighbours_mean():
  vertices, faces = _sphere()
  offsets = meshes.uniform_laplacian(faces, len(vertices) + 1) @ np.concatenate([vertices, [[9, 9, 9]]])
  for i in range(len(vertices)):
    neighbours = np.unique(faces[np.any(faces == i, axis=1)])
    neighbours = neighbours[neighbours != i]
    np.testing.assert_allclose(offsets[i], vertices[i] - vertices[neighbours].mean(0), atol=1e-14)
  np.testing.assert_array_equal(offsets[-1], 0)


def test_cotangent_laplacian_vanishes_on_a_plane_and_points_outward_on_a_sphere():
  x, y = np.meshgrid(np.arange(4.0), np.arange(4.0))
  flat = np.stack([x.ravel() + 0.2 * y.ravel(), y.ravel(), 0 * x.ravel()], axis=1)
  faces = np.array([f for i in range(3) for j in range(3) for a in [4 * i + j]
                    for f in ([a, a + 1, a + 5], [a, a + 5, a + 4])])
  inner = [5, 6, 9, 10]
  np.testing.assert_allclose((meshes.cotangent_laplacian(flat, faces) @ flat)[inner], 0, atol=1e-12)
  vertices, faces = _sphere(12, 16)
  offsets = meshes.cotangent_laplacian(vertices, faces) @ vertices
  cosines = np.sum(offsets * vertices, axis=1) / np.linalg.norm(offsets, axis=1)
  assert cosines.min() > 0.99


def test_sparse_tensor_equals_its_matrix():
  vertices, faces = _sphere()
  matrix = meshes.cotangent_laplacian(vertices, faces)
  tensor = meshes.sparse_tensor(matrix, tf.float64)
  product = tf.sparse.sparse_dense_matmul(tensor, vertices)
  np.testing.assert_allclose(product, matrix @ vertices, atol=1e-14)
  np.testing.assert_array_equal(tf.sparse.reorder(tensor).indices, tensor.indices)


def test_vertex_normals_of_a_sphere_and_a_tetrahedron():
  vertices, faces = _sphere(24, 32)
  normals = meshes.vertex_normals(np.stack([vertices, 2 * vertices + 5]), faces)
  np.testing.assert_allclose(normals, np.stack([vertices] * 2), atol=0.03)
  np.testing.assert_allclose(meshes.vertex_normals(CORNERS[None], TETRAHEDRON)[0, 0], -np.ones(3) / 3 ** 0.5)


def test_vertex_without_area_has_zero_normal_and_finite_gradient():
  vertices = tf.Variable(np.zeros([1, 4, 3], np.float32))
  with tf.GradientTape() as tape:
    normals = meshes.vertex_normals(vertices, TETRAHEDRON)
  np.testing.assert_array_equal(normals, 0)
  assert np.isfinite(tape.gradient(normals, vertices)).all()


def test_vertex_normals_in_a_compiled_graph_and_their_gradients():
  vertices, faces = _sphere()
  run = tf.function(lambda v: meshes.vertex_normals(v, faces), jit_compile=True)
  batch = np.random.default_rng(0).normal(vertices, 0.05, [2] + list(vertices.shape))
  np.testing.assert_allclose(run(batch), meshes.vertex_normals(batch, faces), atol=1e-12)
  assert_gradients_match(lambda v: meshes.vertex_normals(v, faces), [batch])
