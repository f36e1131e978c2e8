"""Triangle meshes: edges, boundary loops, Laplacians, normals.

Topology is NumPy, computed once per mesh; functions of the vertices of a batch are TensorFlow.
"""
from typing import NamedTuple

import numpy as np
import scipy.sparse
import tensorflow as tf

from dhpe_tf.errors import UserError


class EdgeTopology(NamedTuple):
  """Edges and the faces on their two sides.

  Attributes:
    edges: [E, 2] vertex ids, the smaller first, in lexicographic order.
    faces: [E, 2] face ids: the one that runs edges[:, 0] -> edges[:, 1], then the one that runs it backward; -1 where
      there is none (boundary).
  """

  edges: np.ndarray
  faces: np.ndarray


def _directed_edges(faces: np.ndarray) -> np.ndarray:
  """The directed edges [3 F, 2] of faces [F, 3]: row k F + f runs from corner k of face f to its next corner."""
  faces = np.asarray(faces, np.int64)
  return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def edges(faces: np.ndarray) -> np.ndarray:
  """The undirected edges [E, 2] of faces [F, 3], smaller vertex first, in lexicographic order."""
  return np.unique(np.sort(_directed_edges(faces), axis=1), axis=0)


def edge_faces(faces: np.ndarray) -> EdgeTopology:
  """Edges with their faces.

  Args:
    faces: [F, 3] of a consistently oriented manifold mesh, open or closed.

  Returns:
    EdgeTopology.

  Raises:
    ValueError: two faces run along one edge in the same direction.
  """
  directed = _directed_edges(faces)
  unique, index = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True)
  index = index.reshape(-1)
  side = (directed[:, 0] > directed[:, 1]).astype(np.int64)
  if len(np.unique(2 * index + side)) < len(directed):
    raise ValueError('faces: two faces run along one edge in the same direction; the mesh must be manifold and '
                     'consistently oriented')
  sides = np.full([len(unique), 2], -1, np.int64)
  sides[index, side] = np.tile(np.arange(len(faces)), 3)
  return EdgeTopology(unique, sides)


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
  """The closed boundary loops of an open mesh, each an array of vertex ids in the direction in which its faces run."""
  directed = _directed_edges(faces)
  present = set(map(tuple, directed.tolist()))
  following = {a: b for a, b in directed.tolist() if (b, a) not in present}
  loops = []
  while following:
    start = min(following)
    loop, vertex = [start], following.pop(start)
    while vertex != start:
      loop.append(vertex)
      if vertex not in following:
        raise ValueError(f'faces: the boundary does not close at vertex {vertex}')
      vertex = following.pop(vertex)
    loops.append(np.array(loop))
  return loops


def boundary_loop(faces: np.ndarray) -> np.ndarray:
  """The one boundary loop [L] of a mesh; empty if it is closed.

  Raises:
    ValueError: it has several.
  """
  loops = boundary_loops(faces)
  if len(loops) > 1:
    raise ValueError(f'faces: expected one boundary loop, found {len(loops)}')
  return loops[0] if loops else np.zeros([0], np.int64)


def cap_boundary(faces: np.ndarray) -> np.ndarray:
  """Faces [F, 3] followed by a fan over each boundary loop, oriented like the rest: L - 2 faces for a loop of L."""
  caps = [np.asarray(faces)]
  for loop in boundary_loops(faces):
    loop = loop[::-1]
    caps.append(np.stack([np.full(len(loop) - 2, loop[0]), loop[1:-1], loop[2:]], axis=1))
  return np.concatenate(caps).astype(np.asarray(faces).dtype)


def laplacian(kind: str, vertices: np.ndarray, faces: np.ndarray) -> scipy.sparse.csr_matrix:
  """The Laplacian L [V, V] of a mesh, float32.

  Args:
    kind: 'cotangent' (see `cotangent_laplacian`) or 'uniform' (see `uniform_laplacian`).
    vertices: [V, 3].
    faces: [F, 3].

  Raises:
    UserError: an unknown kind.
  """
  if kind not in ('cotangent', 'uniform'):
    raise UserError(f"laplacian_kind is {kind!r}; choose 'cotangent' or 'uniform'")
  matrix = cotangent_laplacian(vertices, faces) if kind == 'cotangent' else uniform_laplacian(faces, len(vertices))
  return matrix.astype(np.float32)


def uniform_laplacian(faces: np.ndarray, num_vertices: int) -> scipy.sparse.csr_matrix:
  """The uniform Laplacian L = I - D^-1 A [V, V] of faces [F, 3], A the adjacency and D its row sums.

    (L x)_i = x_i - mean of x_j over the neighbours j of i.

  A vertex without neighbours has a zero row.
  """
  pairs = edges(faces)
  both = np.concatenate([pairs, pairs[:, ::-1]])
  adjacency = scipy.sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), [num_vertices] * 2)
  return _normalised_laplacian(adjacency)


def cotangent_laplacian(vertices: np.ndarray, faces: np.ndarray) -> scipy.sparse.csr_matrix:
  """The cotangent Laplacian L = I - D^-1 W [V, V], D the row sums of W.

    (L x)_i = x_i - sum_j w_ij x_j / sum_j w_ij,    w_ij = max(cot(alpha_ij) + cot(beta_ij), 0),

  where alpha_ij and beta_ij are the angles opposite to edge ij in its two faces. Negative weights are raised to zero,
  so that every mean stays among the neighbours.

  Args:
    vertices: [V, 3], the mesh on which the angles are measured.
    faces: [F, 3].

  Returns:
    [V, V] sparse float64.
  """
  vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
  rows, columns, weights = [], [], []
  for k in range(3):
    corner, a, b = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
    u, v = vertices[a] - vertices[corner], vertices[b] - vertices[corner]  # [F, 3]
    double_area = np.linalg.norm(np.cross(u, v), axis=1)
    cotangent = np.sum(u * v, axis=1) / np.maximum(double_area, 1e-12)  # cot = u . v / |u cross v|
    rows += [a, b]
    columns += [b, a]
    weights += [cotangent, cotangent]
  entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
  adjacency = scipy.sparse.csr_matrix(entries, [len(vertices)] * 2)
  adjacency.data = np.maximum(adjacency.data, 0)
  return _normalised_laplacian(adjacency)


def _normalised_laplacian(adjacency: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
  """I - D^-1 A of weights A [V, V] with row sums D; rows of zeros stay zero."""
  degree = np.asarray(adjacency.sum(axis=1)).ravel()
  inverse = np.divide(1.0, degree, out=np.zeros_like(degree), where=degree > 0)
  return scipy.sparse.csr_matrix(scipy.sparse.diags((degree > 0).astype(np.float64))
                                 - scipy.sparse.diags(inverse) @ adjacency)


def sparse_tensor(matrix: scipy.sparse.spmatrix, dtype: tf.DType = tf.float32) -> tf.SparseTensor:
  """A scipy sparse matrix as tf.SparseTensor, its indices in row order."""
  entries = scipy.sparse.coo_matrix(matrix)
  order = np.lexsort([entries.col, entries.row])
  indices = np.stack([entries.row, entries.col], axis=1)[order].astype(np.int64)
  return tf.SparseTensor(indices, tf.constant(entries.data[order], dtype), entries.shape)


def face_normals(vertices: tf.Tensor, faces: tf.Tensor) -> tf.Tensor:
  """Outward normals (b - a) cross (c - a) [B, F, 3] of faces (a, b, c) [F, 3] over vertices [B, V, 3].

  Each is as long as twice the face's area, in the square of the vertices' unit.
  """
  corners = [tf.gather(vertices, faces[:, k], axis=1) for k in range(3)]
  return tf.linalg.cross(corners[1] - corners[0], corners[2] - corners[0])


def vertex_normals(vertices: tf.Tensor, faces: tf.Tensor) -> tf.Tensor:
  """Unit normals at the vertices: the normalised sum of the adjacent faces' normals, weighted by their areas.

  Args:
    vertices: [B, V, 3].
    faces: [F, 3], counter-clockwise as seen from outside; array or tensor.

  Returns:
    [B, V, 3]; zero where a vertex has no face of any area.
  """
  vertices = tf.convert_to_tensor(vertices)
  faces = tf.convert_to_tensor(faces)
  per_face = tf.transpose(face_normals(vertices, faces), [1, 0, 2])  # [F, B, 3]
  count = vertices.shape[1] or tf.shape(vertices)[1]
  total = tf.math.unsorted_segment_sum(tf.tile(per_face, [3, 1, 1]), tf.reshape(tf.transpose(faces), [-1]), count)
  return tf.math.l2_normalize(tf.transpose(total, [1, 0, 2]), axis=-1, epsilon=1e-24)
