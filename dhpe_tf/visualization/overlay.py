"""Pictures of results: the mesh over a photograph, the skeleton, and the mesh from the side."""
from typing import Optional

import numpy as np

from dhpe_tf.visualization import layers
from dhpe_tf.visualization.pictures import to_bytes

BACKGROUND = 0.94
PANEL_PX = 224  # side of a panel where there is no picture
_BONE_WIDTH = 1 / 90  # as a part of the picture's side


def draw_mesh(image: np.ndarray, vertices_crop: np.ndarray, faces: np.ndarray, opacity: float = 0.85) -> np.ndarray:
  """Draws a shaded mesh over a crop.

  Args:
    image: [S, S, 3] in 0..1.
    vertices_crop: [V, 3] in crop space.
    faces: [F, 3], counter-clockwise seen from outside; an opening, as at the wrist, is closed.
    opacity: of the mesh, 0..1.

  Returns:
    [S, S, 3] float32 in 0..1.
  """
  size = image.shape[0]
  # Depth has the scale of x and y in crop space.
  pixels = (np.asarray(vertices_crop) + [1., 1., 0.]) * (size / 2)
  surface = layers.Surface(pixels[:, :2], pixels[:, 2], faces, px_per_depth=1.)
  picture = np.array(image, np.float32)
  for layer in layers.mesh_layers([surface], (size, size), opacity):
    layers.lay_over(picture, layer)
  return picture


def draw_skeleton(image: np.ndarray, joints_crop: np.ndarray, valid: Optional[np.ndarray] = None) -> np.ndarray:
  """Draws the 21 keypoints and the bones between them, one colour for each finger.

  Args:
    image: [S, S, 3] in 0..1.
    joints_crop: [21, 2] in crop space.
    valid: [21]; a bone is drawn if both of its ends are above zero. None for all.

  Returns:
    [S, S, 3] float32 in 0..1.
  """
  size = image.shape[0]
  points = (np.asarray(joints_crop) + 1.) * (size / 2)
  picture = np.array(image, np.float32)
  layer = layers.skeleton_layer(points, (size, size), size * _BONE_WIDTH, valid)
  if layer is not None:
    layers.lay_over(picture, layer)
  return picture


def draw_turned(vertices_crop: np.ndarray, faces: np.ndarray, size: int, angle: float = np.pi / 2) -> np.ndarray:
  """Draws the mesh alone, turned about the vertical axis and scaled to the picture.

  Args:
    vertices_crop: [V, 3] in crop space.
    faces: [F, 3].
    size: side of the picture, px.
    angle: of the turn, radians.

  Returns:
    [size, size, 3] float32 in 0..1.
  """
  centered = vertices_crop - (vertices_crop.min(0) + vertices_crop.max(0)) / 2
  cos, sin = np.cos(angle), np.sin(angle)
  turned = centered @ np.array([[cos, 0., -sin], [0., 1., 0.], [sin, 0., cos]])
  turned *= 0.9 / max(np.abs(turned[:, :2]).max(), 1e-9)
  return draw_mesh(blank(size), turned, faces, opacity=1.)


def draw_panels(image: np.ndarray, vertices_crop: Optional[np.ndarray], joints_crop: np.ndarray,
                faces: np.ndarray) -> np.ndarray:
  """Draws four panels side by side: the crop, with the mesh, with the skeleton, and the mesh turned by 90 degrees.

  Args:
    image: [S, S, 3] in 0..1.
    vertices_crop: [V, 3] in crop space; None for the crop and the skeleton only.
    joints_crop: [21, 2] in crop space.
    faces: [F, 3].

  Returns:
    uint8 [S, 4 S, 3], or [S, 2 S, 3] without a mesh.
  """
  panels = [image, draw_skeleton(image, joints_crop)]
  if vertices_crop is not None:
    panels.insert(1, draw_mesh(image, vertices_crop, faces))
    panels.append(draw_turned(vertices_crop, faces, image.shape[0]))
  return to_bytes(np.concatenate(panels, axis=1))


def draw_labels(image: np.ndarray, joints_crop: np.ndarray, valid: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Draws labels over a crop: the skeleton, and the outline of the mask in white.

  Args:
    image: [S, S, 3] in 0..1.
    joints_crop: [21, 2] in crop space.
    valid: [21], 0 where a joint has no label.
    mask: [S, S] in 0..1.

  Returns:
    uint8 [S, S, 3].
  """
  inside = mask > 0.5
  rim = inside & ~(np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1))
  return to_bytes(np.where(rim[..., None], 1.0, draw_skeleton(image, joints_crop, valid)))


def blank(size: int) -> np.ndarray:
  """An empty picture [size, size, 3] in 0..1, for results without a photograph."""
  return np.full([size, size, 3], BACKGROUND, np.float32)
