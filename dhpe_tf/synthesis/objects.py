"""Convex objects that hands hold or that hide them: spheres, boxes and cylinders, as meshes of one topology.

An object is a kind and three half sizes (a, b, c) in metres along its own axes: a sphere has a = b = c, a cylinder the
radius a = b and the half height c. All kinds are the surface of a cube, u in [-1, 1]^3, mapped by

  box       (a u_x, b u_y, c u_z)
  sphere    a u / |u|
  cylinder  (a s u_x, a s u_y, c u_z),    s = max(|u_x|, |u_y|) / |(u_x, u_y)|,

so that the objects of a batch share their faces. The six sides have vertices of their own, so that edges stay sharp.
"""
from typing import NamedTuple

import gin
import numpy as np

NONE, SPHERE, BOX, CYLINDER = KINDS = ('none', 'sphere', 'box', 'cylinder')
_CELLS = 8  # along an edge of the cube


class Objects(NamedTuple):
  """The objects of a batch, without their places.

  Attributes:
    kind: [B] names, of `KINDS`.
    half_sizes_m: [B, 3] metres; zeros for `NONE`.
    vertices_m: [B, V, 3] metres, in the object's own axes.
    normals: [B, V, 3] unit, likewise.
    albedo: [B, V, 3] linear reflectance.
  """

  kind: np.ndarray
  half_sizes_m: np.ndarray
  vertices_m: np.ndarray
  normals: np.ndarray
  albedo: np.ndarray


def _cube() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Vertices [V, 3] of the cube's surface, the outward normals [V, 3] of their sides, and faces [F, 3], outward."""
  count = _CELLS + 1
  first, second = np.meshgrid(np.linspace(-1, 1, count), np.linspace(-1, 1, count), indexing='ij')
  corner = (np.arange(_CELLS)[:, None] * count + np.arange(_CELLS)).ravel()
  # The two triangles of each cell turn from the first axis to the second.
  cells = np.concatenate([np.stack([corner, corner + count, corner + 1], 1),
                          np.stack([corner + count, corner + count + 1, corner + 1], 1)])
  vertices, normals, faces = [], [], []
  for axis in range(3):
    for sign in (-1, 1):
      side = np.zeros([count ** 2, 3])
      side[:, axis], side[:, (axis + 1) % 3], side[:, (axis + 2) % 3] = sign, first.ravel(), second.ravel()
      faces.append((cells if sign > 0 else cells[:, ::-1]) + len(vertices) * count ** 2)
      vertices.append(side)
      normals.append(sign * np.eye(3)[[axis] * count ** 2])
  return np.concatenate(vertices), np.concatenate(normals), np.concatenate(faces).astype(np.int32)


_VERTICES, _NORMALS, FACES = _cube()
NUM_VERTICES = len(_VERTICES)


def mesh(kind: str, half_sizes_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Builds an object; its faces are `FACES`.

  Args:
    kind: of `KINDS`; `NONE` gives a mesh of no size, which draws nothing.
    half_sizes_m: [3] metres.

  Returns:
    Vertices [V, 3] in metres and unit normals [V, 3], in the object's own axes.
  """
  if kind == NONE:
    return np.zeros_like(_VERTICES), _NORMALS
  if kind == BOX:
    return _VERTICES * half_sizes_m, _NORMALS
  if kind == SPHERE:
    directions = _VERTICES / np.linalg.norm(_VERTICES, axis=1, keepdims=True)
    return directions * half_sizes_m, directions
  flat = _VERTICES[:, :2]
  length = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
  disk = flat * np.abs(flat).max(1, keepdims=True) / length
  on_end = np.abs(_NORMALS[:, 2:]) > 0
  around = np.concatenate([flat / length, np.zeros([NUM_VERTICES, 1])], axis=1)
  return np.concatenate([disk, _VERTICES[:, 2:]], axis=1) * half_sizes_m, np.where(on_end, _NORMALS, around)


def support_m(kind: np.ndarray, half_sizes_m: np.ndarray, directions: np.ndarray) -> np.ndarray:
  """How far objects reach in given directions of their own axes: the support function, which describes a convex body.

  Args:
    kind: [N] names, of `KINDS`.
    half_sizes_m: [N, 3].
    directions: [D, 3] unit.

  Returns:
    [N, D] metres; 0 for `NONE`.
  """
  kind, half_sizes_m = np.asarray(kind)[:, None], np.asarray(half_sizes_m, np.float64)
  across = half_sizes_m[:, :1] * np.linalg.norm(directions[:, :2], axis=1) + half_sizes_m[:, 2:] * np.abs(
      directions[:, 2])
  along = half_sizes_m @ np.abs(directions).T
  radius = np.broadcast_to(half_sizes_m[:, :1], across.shape)
  return np.select([kind == SPHERE, kind == BOX, kind == CYLINDER], [radius, along, across], 0.)


@gin.configurable(module='synthesis', denylist=['kind', 'seed'])
def sample_sizes(kind: np.ndarray, seed: int, sphere_m: tuple = (0.015, 0.035), box_m: tuple = (0.012, 0.04),
                 cylinder_radius_m: tuple = (0.012, 0.035), cylinder_half_height_m: tuple = (0.04, 0.1)) -> np.ndarray:
  """Draws the half sizes of objects, uniform between limits.

  Args:
    kind: [B] names, of `KINDS`.
    seed: of all draws.
    sphere_m: smallest and largest radius, metres.
    box_m: smallest and largest half edge.
    cylinder_radius_m: smallest and largest radius.
    cylinder_half_height_m: smallest and largest half height.

  Returns:
    [B, 3] metres; zeros for `NONE`.
  """
  shares = np.random.default_rng(seed).uniform(size=[len(kind), 3])
  names = np.asarray(kind)[:, None]
  across = np.repeat(_between(cylinder_radius_m, shares[:, :1]), 2, axis=1)
  cylinder = np.concatenate([across, _between(cylinder_half_height_m, shares[:, 2:])], axis=1)
  sphere = np.repeat(_between(sphere_m, shares[:, :1]), 3, axis=1)
  return np.select([names == SPHERE, names == BOX, names == CYLINDER], [sphere, _between(box_m, shares), cylinder], 0.)


def build(kind: np.ndarray, half_sizes_m: np.ndarray, seed: int) -> Objects:
  """Builds objects with stripes of two random colours.

  Args:
    kind: [B] names, of `KINDS`.
    half_sizes_m: [B, 3] metres.
    seed: of the colours.
  """
  meshes = [mesh(name, sizes) for name, sizes in zip(kind, half_sizes_m)]
  vertices_m, normals = (np.stack(parts).astype(np.float32) for parts in zip(*meshes))
  return Objects(np.asarray(kind), np.asarray(half_sizes_m), vertices_m, normals,
                 _stripes(np.random.default_rng(seed), len(kind)))


def _between(limits: tuple, share: np.ndarray) -> np.ndarray:
  """The value at a share of the way between two limits."""
  return limits[0] + (limits[1] - limits[0]) * share


def _stripes(random: np.random.Generator, count: int) -> np.ndarray:
  """Reflectances [count, V, 3] of objects with stripes of two random colours, as wide as a random share of them."""
  colours = random.uniform(0.03, 0.9, [count, 2, 1, 3]) ** 1.5
  period = random.uniform(0.3, 2.5, [count, 1])
  striped = random.uniform(size=[count, 1]) < 0.6
  dark = striped & ((_VERTICES[:, 2] / period + random.uniform(size=[count, 1])) % 1 < 0.4)
  return np.where(dark[..., None], colours[:, 0], colours[:, 1]).astype(np.float32)
