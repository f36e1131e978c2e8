"""Half-edge quadric decimation of an open mesh in several poses at once.

Garland and Heckbert 1997, "Surface simplification using quadric error metrics", with subset placement: an edge
collapses into one of its ends. The result's vertices are therefore a subset of the input's, and so are its rows of
weights.
"""
import heapq
from collections.abc import Iterable

import numpy as np

# No collapse may turn a face's normal by more than about 75 degrees in any pose.
MIN_NORMAL_COSINE = 0.25
# Weight of the edge length in the cost (`_Mesh._cost`); it keeps faces well shaped in flat regions, where quadrics are
# zero.
EDGE_LENGTH_WEIGHT = 2e-3
MIN_TRIANGLE_QUALITY = 0.12


def decimate(poses: np.ndarray, faces: np.ndarray, vertex_count: int, loop_count: int,
             protected: Iterable[int] = ()) -> tuple[np.ndarray, np.ndarray]:
  """Removes vertices until `vertex_count` are left, `loop_count` of them on the boundary.

  Args:
    poses: [P, V, 3] the mesh in P poses; the error is summed over them.
    faces: [F, 3] manifold, one boundary loop.
    vertex_count: number of vertices to keep.
    loop_count: number of boundary vertices to keep.
    protected: vertices that must stay.

  Returns:
    kept [vertex_count], increasing indices of the input's vertices, and faces [F', 3] of indices into `kept`.

  Raises:
    ValueError: no collapse keeps the mesh sound before the counts are reached.
  """
  mesh = _Mesh(poses, faces, set(protected))
  mesh.collapse_until(loop_count, boundary=True)
  mesh.collapse_until(vertex_count, boundary=False)
  kept = np.flatnonzero(mesh.alive)
  row_of = np.full(len(mesh.alive), -1)
  row_of[kept] = np.arange(len(kept))
  return kept, row_of[np.array([mesh.faces[i] for i in sorted(mesh.faces)])]


class _Mesh:
  """The shrinking mesh with its faces, quadrics and boundary."""

  def __init__(self, poses: np.ndarray, faces: np.ndarray, protected: set):
    """Indexes the faces around each vertex and sums the quadrics.

    Args:
      poses: [P, V, 3].
      faces: [F, 3].
      protected: vertices that must stay.
    """
    self.poses = poses
    self.faces = {i: tuple(face) for i, face in enumerate(faces.tolist())}
    self.alive = np.zeros(poses.shape[1], bool)
    self.alive[np.unique(faces)] = True
    self.protected = protected
    self.around = [set() for _ in range(poses.shape[1])]
    for i, face in self.faces.items():
      for vertex in face:
        self.around[vertex].add(i)
    self.on_boundary = {v for v in np.flatnonzero(self.alive) if len(self.neighbours(v)) > len(self.around[v])}
    self.quadrics = np.zeros((poses.shape[1], len(poses), 4, 4))
    self._add_quadrics(faces)

  def _add_quadrics(self, faces: np.ndarray) -> None:
    """Adds the quadric of each face to its corners: Q = (2 area / 6) p p^T [4, 4] for the plane p = (n, -n . x)."""
    corners = self.poses[:, faces]
    normals = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    double_area = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = normals / double_area
    planes = np.concatenate([normals, -(normals * corners[:, :, 0]).sum(-1, keepdims=True)], axis=-1)
    quadrics = np.einsum('pfi,pfj->fpij', planes, planes) * np.moveaxis(double_area, 0, 1)[..., None] / 6
    for k in range(3):
      np.add.at(self.quadrics, faces[:, k], quadrics)

  def neighbours(self, vertex: int) -> set:
    """Vertices that share a face with `vertex`."""
    return {v for i in self.around[vertex] for v in self.faces[i]} - {vertex}

  def collapse_until(self, count: int, boundary: bool) -> None:
    """Collapses the cheapest half-edges until `count` vertices are left.

    Args:
      count: number of vertices to keep, on the boundary or of the whole mesh.
      boundary: whether to collapse edges of the boundary, or else those of inner vertices.
    """
    members = self.on_boundary if boundary else set(np.flatnonzero(self.alive))
    heap = [item for v in sorted(members) for item in self._candidates(v, boundary)]
    heapq.heapify(heap)
    while (len(self.on_boundary) if boundary else int(self.alive.sum())) > count:
      if not heap:
        raise ValueError(f'no sound collapse is left above {count} vertices')
      cost, source, target = heapq.heappop(heap)
      if not (self.alive[source] and self.alive[target]) or target not in self.neighbours(source):
        continue
      if cost != self._cost(source, target) or not self._is_sound(source, target):
        continue
      touched = self.neighbours(source)
      self._collapse(source, target)
      for v in sorted(touched):
        for item in self._candidates(v, boundary):
          heapq.heappush(heap, item)

  def _candidates(self, vertex: int, boundary: bool) -> list:
    """Allowed half-edges (cost, source, target) at `vertex`, in both directions."""
    pairs = [pair for other in self.neighbours(vertex) for pair in ((vertex, other), (other, vertex))]
    return [(self._cost(*pair), *pair) for pair in pairs if self._is_allowed(*pair, boundary)]

  def _is_allowed(self, source: int, target: int, boundary: bool) -> bool:
    """Whether `source` may be removed; on the boundary it must slide along it to `target`."""
    if source in self.protected or (source in self.on_boundary) != boundary:
      return False
    return not boundary or (target in self.on_boundary and len(self.around[source] & self.around[target]) == 1)

  def _cost(self, source: int, target: int) -> float:
    """Cost of a collapse, which moves `source` to `target`.

      sum_p x_p^T (Q_source + Q_target)_p x_p  +  w (sum_p |edge_p|^2)^2,

    over the poses p, with x = (target, 1) [4] and quadrics Q [4, 4].
    """
    point = np.concatenate([self.poses[:, target], np.ones((len(self.poses), 1))], axis=1)
    quadric = self.quadrics[source] + self.quadrics[target]
    edge = self.poses[:, source] - self.poses[:, target]
    length = (edge ** 2).sum()
    return float(np.einsum('pi,pij,pj->', point, quadric, point) + EDGE_LENGTH_WEIGHT * length * length)

  def _is_sound(self, source: int, target: int) -> bool:
    """Whether a collapse keeps the mesh manifold (link condition), folds no face over and leaves no sliver."""
    shared = self.around[source] & self.around[target]
    opposite = {v for i in shared for v in self.faces[i]} - {source, target}
    if self.neighbours(source) & self.neighbours(target) != opposite:
      return False
    moved = [self.faces[i] for i in sorted(self.around[source] - shared)]
    if not moved:
      return False
    before = self.poses[:, np.array(moved)]
    after = self.poses[:, np.array([[target if v == source else v for v in face] for face in moved])]
    old, new = _normals(before), _normals(after)
    old_size, new_size = np.linalg.norm(old, axis=-1), np.linalg.norm(new, axis=-1)
    folded = (old * new).sum(-1) < MIN_NORMAL_COSINE * old_size * new_size
    longest = np.max([((after[:, :, k] - after[:, :, k - 1]) ** 2).sum(-1) for k in range(3)], axis=0)
    sliver = new_size[0] < MIN_TRIANGLE_QUALITY * longest[0]
    return not (folded.any() or sliver.any())

  def _collapse(self, source: int, target: int) -> None:
    """Replaces `source` by `target` in all faces and removes the faces that held both."""
    self.quadrics[target] += self.quadrics[source]
    for i in list(self.around[source]):
      face = self.faces[i]
      if target in face:
        for v in face:
          self.around[v].discard(i)
        del self.faces[i]
      else:
        self.faces[i] = tuple(target if v == source else v for v in face)
        self.around[target].add(i)
    self.around[source] = set()
    self.alive[source] = False
    self.on_boundary.discard(source)


def _normals(corners: np.ndarray) -> np.ndarray:
  """Unnormalised normals [P, F, 3] of triangles [P, F, 3, 3]."""
  return np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
