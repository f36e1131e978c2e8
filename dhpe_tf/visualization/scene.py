"""Hands over a whole picture: meshes, nearer ones before farther ones, skeletons and names."""
from collections.abc import Sequence
from typing import NamedTuple, Optional

import gin
import numpy as np

from dhpe_tf.visualization import layers


class DrawnHand(NamedTuple):
  """A hand in a picture.

  Attributes:
    joints_px: [21, 2], (x, y) in pixels of the picture, origin at the top-left corner, pixel centres at +0.5; those
      that are not finite are left out.
    vertices_px: [V, 2] likewise, or None for a hand without mesh.
    vertices_depth: [V], larger is farther; in any unit, the same for all hands of the picture.
    faces: int [F, 3], counter-clockwise seen from outside: the caller reverses those of a right hand for a left one,
      its mirror image. An opening, as at the wrist, is closed here.
    px_per_depth: pixels across that are as long as one unit of depth at the hand, for the shading: focal length /
      depth, or the scale of a weak-perspective camera. None for an estimate, which suits a hand.
    color: of the mesh, linear reflectance (red, green, blue) in 0..1.
    label: a short text to write above the hand; '' for none.
  """

  joints_px: np.ndarray
  vertices_px: Optional[np.ndarray] = None
  vertices_depth: Optional[np.ndarray] = None
  faces: Optional[np.ndarray] = None
  px_per_depth: Optional[float] = None
  color: tuple[float, float, float] = layers.MESH_COLOR
  label: str = ''


@gin.configurable(module='scene', allowlist=['opacity', 'bone_width', 'least_bone_width_px'])
def draw_hands(picture: np.ndarray, hands: Sequence[DrawnHand], mesh: bool = True, skeleton: bool = True,
               opacity: float = 0.85, bone_width: float = 1 / 90, least_bone_width_px: float = 1.,
               most_points: Optional[int] = None) -> np.ndarray:
  """Draws shaded meshes, skeletons and labels over a picture. Only the pixels around the hands are touched.

  Where meshes overlap, each pixel shows the nearest one. Skeletons and labels are drawn over all meshes, those of the
  nearest hand last.

  Args:
    picture: uint8 [H, W, 3].
    hands: of any number and size, also partly or wholly outside; one whose vertices are not all finite has no mesh
      drawn.
    mesh: whether to draw meshes.
    skeleton: whether to draw skeletons.
    opacity: of the meshes, 0..1.
    bone_width: width of the bones as a part of the longer side of the joints' box.
    least_bone_width_px: their least width.
    most_points: sample points along a mesh at most, see `layers.mesh_layer`; None for as many as there.

  Returns:
    uint8 [H, W, 3], a new picture.
  """
  drawn = np.array(picture)
  size = drawn.shape[:2]
  if mesh:
    surfaces = [layers.Surface(hand.vertices_px, hand.vertices_depth, hand.faces, hand.color, hand.px_per_depth)
                for hand in hands if hand.vertices_px is not None]
    for layer in layers.mesh_layers(surfaces, size, opacity, most_points):
      layers.lay_over(drawn, layer)
  for hand in sorted(hands, key=_depth, reverse=True):
    over = _skeleton(hand, size, bone_width, least_bone_width_px) if skeleton else None
    for layer in (over, _label(hand, size) if hand.label else None):
      if layer is not None:
        layers.lay_over(drawn, layer)
  return drawn


def _skeleton(hand: DrawnHand, size: tuple[int, int], bone_width: float, least_px: float) -> Optional[layers.Layer]:
  """The layer of a hand's skeleton; see `draw_hands`."""
  return layers.skeleton_layer(hand.joints_px, size, max(bone_width * _extent_px(hand.joints_px), least_px))


def _label(hand: DrawnHand, size: tuple[int, int]) -> Optional[layers.Layer]:
  """The layer of a hand's label, above its joints and its mesh; None for a hand outside the picture."""
  points = hand.joints_px if hand.vertices_px is None else np.concatenate([hand.joints_px, hand.vertices_px])
  points = points[np.isfinite(points).all(-1)]
  if not len(points) or (points.max(0) < 0).any() or (points.min(0) > size[::-1]).any():
    return None
  return layers.label_layer(hand.label, tuple(points.min(0)), size)


def _depth(hand: DrawnHand) -> float:
  """The mean depth of a hand's vertices; infinite for a hand without."""
  mean = np.inf if hand.vertices_depth is None else float(np.mean(hand.vertices_depth))
  return mean if mean == mean else np.inf  # NaN has no place in an order


def _extent_px(joints_px: np.ndarray) -> float:
  """The longer side of the box of the joints that are finite; 0 without any."""
  finite = joints_px[np.isfinite(joints_px).all(-1)]
  return float(np.ptp(finite, axis=0).max()) if len(finite) else 0.
