"""Cuts the right hand out of the body mesh."""
from dataclasses import dataclass

import numpy as np

from data_tools.hand_building.source import BodySource

MIN_SIDE_X_M = -0.3
PROXIMAL_CUT_M = -0.0205


@dataclass(frozen=True)
class HandCut:
  """The hand's part of the body.

  Attributes:
    vertex_ids: [H] indices into the body's vertices.
    quads: [Q, 4] indices into `vertex_ids`.
  """

  vertex_ids: np.ndarray
  quads: np.ndarray


def cube_centre(vertices: np.ndarray, cubes: dict[str, np.ndarray], name: str) -> np.ndarray:
  """Mean [..., 3] of a joint cube's corners.

  Args:
    vertices: [..., N, 3] of one body or of several.
    cubes: name of a joint cube -> its rows in `vertices`.
    name: of the cube.
  """
  return vertices[..., cubes[name], :].mean(-2)


def cut_hand(source: BodySource) -> HandCut:
  """Selects the hand: all quads wholly beyond a plane across the forearm, 20.5 mm above the wrist joint."""
  wrist = cube_centre(source.vertices, source.groups, 'joint-r-hand')
  axis = wrist - cube_centre(source.vertices, source.groups, 'joint-r-elbow')
  along = (source.vertices - wrist) @ (axis / np.linalg.norm(axis))
  keep = (along >= PROXIMAL_CUT_M) & (source.vertices[:, 0] < MIN_SIDE_X_M)
  quads = source.quads[keep[source.quads].all(1)]
  vertex_ids, flat = np.unique(quads, return_inverse=True)
  return HandCut(vertex_ids, flat.reshape(quads.shape))


def triangulate(quads: np.ndarray, vertices: np.ndarray) -> np.ndarray:
  """Splits quads along their shorter diagonal.

  Args:
    quads: [Q, 4].
    vertices: [N, 3].

  Returns:
    [2 Q, 3] triangles.
  """
  corners = vertices[quads]
  first = np.linalg.norm(corners[:, 0] - corners[:, 2], axis=1) <= np.linalg.norm(corners[:, 1] - corners[:, 3], axis=1)
  by_02 = quads[:, [[0, 1, 2], [0, 2, 3]]]
  by_13 = quads[:, [[0, 1, 3], [1, 2, 3]]]
  return np.where(first[:, None, None], by_02, by_13).reshape(-1, 3)
