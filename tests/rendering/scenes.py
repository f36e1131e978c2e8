"""Meshes with known properties, and slow renderers that cannot be wrong, for the tests of the renderer."""
import numpy as np


def icosphere(subdivisions=2):
  """Returns (vertices [V, 3] on the unit sphere, faces [F, 3]), closed, outward."""
  golden = (1 + 5**.5) / 2
  vertices = [(-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0), (0, -1, golden), (0, 1, golden),
              (0, -1, -golden), (0, 1, -golden), (golden, 0, -1), (golden, 0, 1), (-golden, 0, -1), (-golden, 0, 1)]
  faces = np.array([(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2),
                    (10, 7, 6), (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5), (2, 4, 11),
                    (6, 2, 10), (8, 6, 7), (9, 8, 1)])
  vertices = np.array(vertices, float)
  for _ in range(subdivisions):
    edges, inverse = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0,
                               return_inverse=True)
    middle = len(vertices) + inverse.reshape(-1, 3)
    vertices = np.concatenate([vertices, vertices[edges].mean(axis=1)])
    a, b, c = faces.T
    ab, bc, ca = middle.T
    faces = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
  return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), faces.astype(np.int32)


def torus(major=16, minor=8, radius=.4):
  """Returns (vertices [V, 3], faces [F, 3]) of a ring of radius 1 and thickness `radius`, closed, outward."""
  i, j = np.meshgrid(np.arange(major), np.arange(minor), indexing='ij')
  u, v = 2 * np.pi * i / major, 2 * np.pi * j / minor
  ring = 1 + radius * np.cos(v)
  vertices = np.stack([ring * np.cos(u), ring * np.sin(u), radius * np.sin(v)], axis=-1).reshape(-1, 3)
  (a, b), (d, c) = ([((i + di) % major * minor + (j + dj) % minor).ravel() for dj in (0, 1)] for di in (0, 1))
  faces = np.concatenate([np.stack([a, d, c], axis=-1), np.stack([a, c, b], axis=-1)])
  return vertices, faces.astype(np.int32)


def random_rotation(random):
  q, r = np.linalg.qr(random.normal(size=(3, 3)))
  q *= np.sign(np.diag(r))
  return q * np.linalg.det(q)


def posed(vertices, size, count, seed=0, fill=.3, depth=5., rough=0.):
  """Random views of a mesh, in pixels and with positive depth: float64 [count, V, 3].

  `fill` is the mesh's unit of length as a part of the smaller image side, `rough` random displacement in that unit.
  """
  random = np.random.default_rng(seed)
  height, width = size
  scale = fill * min(height, width)
  views = []
  for _ in range(count):
    shaken = vertices + rough * random.normal(size=vertices.shape)
    view = shaken @ random_rotation(random).T * scale * random.uniform(.8, 1.2)
    view[:, :2] += np.array([width, height]) / 2 + random.uniform(-.1, .1, 2) * scale
    view[:, 2] += depth * scale
    views.append(view)
  return np.stack(views)


def samples_covered(vertices_px, faces, size, samples):
  """Whether each of samples x samples points in each pixel is inside a face: bool [H * samples, W * samples]."""
  height, width = size
  covered = np.zeros((height * samples, width * samples), bool)
  points = vertices_px[:, :2] * samples
  for a, b, c in points[faces]:
    low = np.maximum(np.floor(np.min([a, b, c], axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(np.max([a, b, c], axis=0)).astype(int), [width * samples, height * samples])
    if np.any(low >= high):
      continue
    x, y = np.meshgrid(np.arange(low[0], high[0]) + .5, np.arange(low[1], high[1]) + .5)
    edge = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
    inside = np.all([e >= 0 for e in edge], axis=0) | np.all([e <= 0 for e in edge], axis=0)
    covered[low[1]:high[1], low[0]:high[0]] |= inside
  return covered


def supersampled_area(vertices_px, faces, size, samples=16):
  """Covered part of every pixel, by samples x samples points: [H, W]."""
  covered = samples_covered(vertices_px, faces, size, samples)
  return covered.reshape(size[0], samples, size[1], samples).mean(axis=(1, 3))


def brute_force_depth(vertices_px, faces, size, perspective=False):
  """Depth of every face at every pixel's centre, inf where it does not cover it: float64 [F, H, W].

  Edge functions are in the vertices' type and run from the lower to the higher vertex index, as `fragments` says.
  """
  height, width = size
  x, y = np.meshgrid(np.arange(width, dtype=vertices_px.dtype) + .5, np.arange(height, dtype=vertices_px.dtype) + .5)
  depths = np.full((len(faces), height, width), np.inf)
  for f, face in enumerate(faces):
    edges = []
    for k in range(3):
      one, two = face[(k + 1) % 3], face[(k + 2) % 3]
      sign = 1 if one < two else -1
      p, q = vertices_px[min(one, two), :2], vertices_px[max(one, two), :2]
      dx, dy = q - p
      edges.append(sign * (((y - p[1]) * dx + p[0] * dy) - x * dy))
    edges = np.stack(edges)
    inside = (np.all(edges >= 0, axis=0) | np.all(edges <= 0, axis=0)) & np.any(edges != 0, axis=0)
    with np.errstate(all='ignore'):
      weights = edges.astype(np.float64) / edges.astype(np.float64).sum(axis=0)
      z = vertices_px[face, 2].astype(np.float64)[:, np.newaxis, np.newaxis]
      depth = 1 / (weights / z).sum(axis=0) if perspective else (weights * z).sum(axis=0)
    depths[f] = np.where(inside, depth, np.inf)
  return depths


def brute_force_soft(vertices, faces, size, sigma):
  """1 - prod(1 - sigmoid(+-d^2 / sigma)) over all faces, for every pixel: [H, W]; sigma as of `soft_silhouette`."""
  height, width = size
  x, y = np.meshgrid(np.arange(width) + .5, np.arange(height) + .5)
  point = np.stack([x, y], axis=-1)
  uncovered = np.zeros(size)
  for face in vertices[faces][..., :2]:
    distances, crosses = [], []
    for a, b in zip(face, np.roll(face, -1, axis=0)):
      d = b - a
      t = np.clip((point - a) @ d / max(d @ d, 1e-300), 0, 1)
      distances.append(((point - a - t[..., np.newaxis] * d)**2).sum(axis=-1))
      crosses.append(d[0] * (y - a[1]) - d[1] * (x - a[0]))
    inside = np.all(np.array(crosses) > 0, axis=0) | np.all(np.array(crosses) < 0, axis=0)
    exponent = np.where(inside, 1, -1) * np.min(distances, axis=0) / (sigma * (max(size) / 2)**2)
    uncovered -= np.logaddexp(0, exponent)
  return 1 - np.exp(uncovered)
