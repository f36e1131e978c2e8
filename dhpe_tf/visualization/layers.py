"""Layers to lay over a picture: shaded meshes, skeletons and labels, each only as large as what it shows."""
import functools
from collections.abc import Sequence
from typing import NamedTuple, Optional

import gin
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from dhpe_tf.geometry import meshes
from dhpe_tf.rendering import scanlines, shading

FINGER_COLORS = ((230, 60, 60), (240, 170, 30), (70, 190, 70), (50, 150, 240), (170, 90, 230))
_WRIST_COLOR = (255, 255, 255)
MESH_COLOR = (0.22, 0.46, 0.7)  # linear reflectance
_LABEL_GROUND, _LABEL_INK = (24, 24, 24, 200), (240, 240, 240, 255)
_LABEL_MARGIN_PX = 3
_LABEL_PX = 11  # least size of the letters; in large pictures they are larger
_LABELS_PER_PICTURE = 60
# Farther from the picture than this, in pixels, nothing is drawn, as in the differentiable renderer: float32 and the
# lines of Pillow would be inexact.
_FARTHEST_PX = 2.0**20


class Surface(NamedTuple):
  """A mesh to draw.

  Attributes:
    vertices_px: [V, 2], (x, y) in pixels of the picture, origin at the top-left corner, pixel centres at +0.5.
    depth: [V], larger is farther; of one unit in all surfaces drawn together, whatever it is.
    faces: int [F, 3], counter-clockwise seen from outside; an opening, as at the wrist, is closed.
    color: (red, green, blue), linear reflectance 0..1.
    px_per_depth: pixels across that are as long as one unit of depth at the mesh, on which the shading depends; None
      for an estimate (`estimated_px_per_depth`).
  """

  vertices_px: np.ndarray
  depth: np.ndarray
  faces: np.ndarray
  color: tuple[float, float, float] = MESH_COLOR
  px_per_depth: Optional[float] = None


class Layer(NamedTuple):
  """A part of a picture, to be laid over it.

  Attributes:
    left: column of its first pixel.
    top: row of its first pixel.
    rgba: uint8 [h, w, 4], red, green, blue for display, and opacity; the whole layer lies in the picture.
  """

  left: int
  top: int
  rgba: np.ndarray


class _Box(NamedTuple):
  """Columns left .. right - 1 and rows top .. bottom - 1 of a picture."""

  left: int
  top: int
  right: int
  bottom: int

  @property
  def width(self) -> int:
    return self.right - self.left

  @property
  def height(self) -> int:
    return self.bottom - self.top

  def touches(self, other: '_Box') -> bool:
    return (self.left < other.right and other.left < self.right
            and self.top < other.bottom and other.top < self.bottom)


def mesh_layers(surfaces: Sequence[Surface], size: tuple[int, int], opacity: float,
                most_points: Optional[int] = None) -> list[Layer]:
  """Draws meshes; those whose boxes overlap in one layer, in which the nearer one hides the farther.

  Args:
    surfaces: the meshes. One with a vertex that is not finite or farther than 2^20 pixels, or without a pixel in the
      picture, draws nothing.
    size: (height, width) of the picture in pixels.
    opacity: of the meshes, 0..1.
    most_points: as of `mesh_layer`; None leaves it as it is there.

  Returns:
    The layers; they do not overlap.
  """
  drawable = [surface for surface in surfaces if _is_drawable(surface)]
  boxes = [_box_of(surface.vertices_px, 0, size) for surface in drawable]
  shown = [k for k, box in enumerate(boxes) if box.width > 0 and box.height > 0]
  groups = _overlapping([boxes[k] for k in shown])
  given = {} if most_points is None else {'most_points': most_points}
  return [mesh_layer([drawable[shown[k]] for k in group], _union([boxes[shown[k]] for k in group]), opacity, **given)
          for group in groups]


def _is_drawable(surface: Surface) -> bool:
  """Whether a surface is finite and near enough to the picture for its normals to be computed in float32."""
  near = np.abs(surface.vertices_px) <= _FARTHEST_PX  # False for NaN
  return bool(near.all() and np.isfinite(surface.depth).all())


def _box_of(points_px: np.ndarray, margin_px: float, size: tuple[int, int]) -> _Box:
  """The pixels of a picture of `size` (height, width) in the box of points [N, 2], N > 0, and a margin around it."""
  limit = np.array(size[::-1])
  low = np.floor(points_px.min(0) - margin_px).clip(0, limit)
  high = np.ceil(points_px.max(0) + margin_px).clip(0, limit)
  return _Box(*map(int, (*low, *high)))


def _union(boxes: Sequence[_Box]) -> _Box:
  """The smallest box around boxes."""
  left, top, right, bottom = zip(*boxes)
  return _Box(min(left), min(top), max(right), max(bottom))


def _overlapping(boxes: Sequence[_Box]) -> list[list[int]]:
  """Groups of boxes, by index, so that boxes of different groups do not overlap, nor do the boxes around the groups."""
  groups, around = [], []
  for index, box in enumerate(boxes):
    members = [index]
    # A group that has grown may touch one that it did not before.
    while touched := [k for k, other in enumerate(around) if box.touches(other)]:
      for k in reversed(touched):
        members += groups.pop(k)
        box = _union([box, around.pop(k)])
    groups.append(members)
    around.append(box)
  return groups


@gin.configurable(module='layers', allowlist=['usual_points', 'most_points', 'most_samples'])
def mesh_layer(surfaces: Sequence[Surface], box: _Box, opacity: float, usual_points: int = 512,
               most_points: int = 1024, most_samples: int = 3) -> Layer:
  """Draws surfaces over the pixels of `box`.

  Args:
    surfaces: the meshes, in any order.
    box: the pixels.
    opacity: of the meshes, 0..1.
    usual_points: sample points along the longer side of the box, as far as 2 to `most_samples` points per pixel in each
      direction allow.
    most_points: sample points along the longer side at most. A box of more than half as many pixels is drawn coarser
      and enlarged, so that the time does not grow with it.
    most_samples: points per pixel in each direction at most.
  """
  side = max(box.width, box.height)
  samples = int(np.clip(usual_points // side, 2, most_samples))
  scale = min(1., most_points / (2 * side))
  height, width = max(round(box.height * scale), 1), max(round(box.width * scale), 1)
  capped = [closed(surface.faces) for surface in surfaces]
  starts = np.cumsum([0, *(len(surface.depth) for surface in surfaces)])
  points = np.concatenate([surface.vertices_px for surface in surfaces]) - [box.left, box.top]
  depth = np.concatenate([surface.depth for surface in surfaces])
  vertices = np.column_stack([points * [width / box.width, height / box.height], depth])
  colours = np.concatenate([_colours(surface, faces) for surface, faces in zip(surfaces, capped)])
  faces = np.concatenate([start + faces for start, faces in zip(starts, capped)])
  rgb, alpha = scanlines.draw(vertices, faces, colours, (height, width), samples)
  rgba = (np.concatenate([rgb, opacity * alpha[..., np.newaxis]], axis=-1) * 255 + .5).astype(np.uint8)
  if scale < 1:
    rgba = np.asarray(Image.fromarray(rgba).resize((box.width, box.height), Image.BILINEAR))
  return Layer(box.left, box.top, rgba)


def closed(faces: np.ndarray) -> np.ndarray:
  """`meshes.cap_boundary` of faces [F, 3], remembered: from frame to frame the faces are the same.

  Raises:
    ValueError: the edges of an opening form no loop.
  """
  return _closed_bytes(np.ascontiguousarray(faces, np.int64).tobytes())


@functools.lru_cache(maxsize=16)
def _closed_bytes(faces: bytes) -> np.ndarray:
  """`meshes.cap_boundary` of the bytes of int64 [F, 3]."""
  return meshes.cap_boundary(np.frombuffer(faces, np.int64).reshape(-1, 3))


def _colours(surface: Surface, faces: np.ndarray) -> np.ndarray:
  """Display colours [V, 3] in 0..1 of a surface's vertices, under a lamp over the camera's shoulder."""
  scale = surface.px_per_depth
  if scale is None:
    scale = estimated_px_per_depth(surface.vertices_px, surface.depth, faces)
  vertices = np.column_stack([surface.vertices_px, np.asarray(surface.depth) * scale])
  # About the mesh's middle, where float32 is finest.
  vertices = tf.constant((vertices - vertices.mean(0))[np.newaxis], tf.float32)
  return _shaded(vertices, tf.constant(faces), tf.constant(surface.color, tf.float32)).numpy()[0]


@tf.function(input_signature=[tf.TensorSpec([1, None, 3]), tf.TensorSpec([None, 3], tf.int64), tf.TensorSpec([3])])
def _shaded(vertices: tf.Tensor, faces: tf.Tensor, color: tf.Tensor) -> tf.Tensor:
  """Display colours [1, V, 3] of a mesh of one linear reflectance."""
  normals = meshes.vertex_normals(vertices, faces)
  lights = shading.ambient_and_lamp(1, ambient=0.3, lamp=0.75)
  return shading.to_display(shading.shade(tf.ones_like(vertices) * color, normals, lights))


def estimated_px_per_depth(vertices_px: np.ndarray, depth: np.ndarray, faces: np.ndarray) -> float:
  """Estimates how many pixels across are as long as one unit of depth, from a mesh whose edges run in all directions.

  The estimate makes the mean square of the edges' extent in depth that of their extent in x and in y:

    k^2 = mean((dx^2 + dy^2) / 2) / mean(dz^2).

  Args:
    vertices_px: [V, 2].
    depth: [V], in any unit.
    faces: int [F, 3].

  Returns:
    k; 1 for a mesh without depth.
  """
  edges = [(faces[:, k], faces[:, (k + 1) % 3]) for k in range(3)]
  across = np.mean([np.mean((vertices_px[a] - vertices_px[b])**2) for a, b in edges])
  along = np.mean([np.mean((depth[a] - depth[b])**2) for a, b in edges])
  return float(np.sqrt(across / along)) if along > 0 else 1.


@gin.configurable(module='layers', allowlist=['supersampling', 'most_points'])
def skeleton_layer(joints_px: np.ndarray, size: tuple[int, int], width_px: float, valid: Optional[np.ndarray] = None,
                   supersampling: int = 3, most_points: int = 3072) -> Optional[Layer]:
  """Draws the 21 keypoints and the bones between them, one colour for each finger.

  Args:
    joints_px: [21, 2] in pixels of the picture.
    size: (height, width) of the picture in pixels.
    width_px: of the bones.
    valid: [21]; a bone is drawn if both of its ends are above zero. None for all. Joints that are not finite are never
      drawn.
    supersampling: the skeleton is drawn at this whole multiple of its size and averaged down, for smooth edges.
    most_points: pixels along the longer side of that drawing at most; a skeleton of more pixels is drawn coarser and
      enlarged.

  Returns:
    The layer, or None if the picture shows no joint or bone.
  """
  joints = np.asarray(joints_px, np.float64)
  shown = np.ones(len(joints), bool) if valid is None else np.asarray(valid) > 0
  shown = shown & (np.abs(joints) < _FARTHEST_PX).all(-1)  # False for NaN
  if not shown.any():
    return None
  box = _box_of(joints[shown], 2 * width_px, size)
  if box.width <= 0 or box.height <= 0:
    return None
  side = max(box.width, box.height)
  scale = min(supersampling, most_points // side) or most_points / side
  # Opaque colours on black with opacity 0 are premultiplied; as RGBX, Pillow averages them without converting them.
  canvas = Image.new('RGBX', (max(round(box.width * scale), 1), max(round(box.height * scale), 1)), (0, 0, 0, 0))
  points = (joints - [box.left, box.top]) * [canvas.width / box.width, canvas.height / box.height]
  _draw_bones(ImageDraw.Draw(canvas), points, shown, width_px * scale)
  canvas = canvas.reduce(scale) if scale >= 1 else canvas.resize((box.width, box.height), Image.BILINEAR)
  return Layer(box.left, box.top, np.asarray(Image.frombytes('RGBa', canvas.size, canvas.tobytes()).convert('RGBA')))


def _draw_bones(pen: ImageDraw.ImageDraw, points: np.ndarray, shown: np.ndarray, width: float) -> None:
  """Draws bones `width` wide and dots between points [21, 2] that are shown [21]."""
  for finger, color in enumerate(FINGER_COLORS):
    color = (*color, 255)
    chain = [0, *range(1 + 4 * finger, 5 + 4 * finger)]
    for first, second in zip(chain, chain[1:]):
      if shown[first] and shown[second]:
        pen.line([tuple(points[first]), tuple(points[second])], fill=color, width=max(round(width), 1))
    for joint in chain[1:]:
      if shown[joint]:
        _dot(pen, points[joint], 0.9 * width, color)
  if shown[0]:
    _dot(pen, points[0], 1.2 * width, (*_WRIST_COLOR, 255))


def _dot(pen: ImageDraw.ImageDraw, center: np.ndarray, radius: float, color: tuple[int, int, int, int]) -> None:
  """Draws a filled circle."""
  x, y = center
  pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)


def label_layer(text: str, corner_px: tuple[float, float], size: tuple[int, int]) -> Optional[Layer]:
  """Writes a text in white on a dark ground, moved into the picture where it would stick out.

  Args:
    text: one line.
    corner_px: (x, y) of its lower left corner.
    size: (height, width) of the picture in pixels.

  Returns:
    The layer, or None if the picture has no room for it.
  """
  height, width = size
  font = ImageFont.load_default(max(_LABEL_PX, height / _LABELS_PER_PICTURE))
  left, top, right, bottom = map(round, font.getbbox(text))
  text_width, text_height = right - left + 2 * _LABEL_MARGIN_PX, bottom - top + 2 * _LABEL_MARGIN_PX
  if text_width > width or text_height > height:
    return None
  canvas = Image.new('RGBA', (text_width, text_height), _LABEL_GROUND)
  ImageDraw.Draw(canvas).text((_LABEL_MARGIN_PX - left, _LABEL_MARGIN_PX - top), text, font=font, fill=_LABEL_INK)
  x = int(np.clip(corner_px[0], 0, width - text_width))
  y = int(np.clip(corner_px[1] - text_height, 0, height - text_height))
  return Layer(x, y, np.asarray(canvas))


def lay_over(picture: np.ndarray, layer: Layer) -> None:
  """Lays a layer over a picture, in place.

  Args:
    picture: uint8 [H, W, 3], or float [H, W, 3] in 0..1.
    layer: of the picture.
  """
  height, width = layer.rgba.shape[:2]
  region = picture[layer.top:layer.top + height, layer.left:layer.left + width]
  if picture.dtype == np.uint8:
    # Bytes in, bytes out: a hand may fill a picture of many megapixels.
    canvas, over = Image.fromarray(np.ascontiguousarray(region)), Image.fromarray(layer.rgba)
    canvas.paste(over, mask=over)
    region[:] = canvas
  else:
    rgb, alpha = np.split(layer.rgba.astype(np.float32) / 255, [3], axis=-1)
    region[:] = region * (1 - alpha) + rgb * alpha
