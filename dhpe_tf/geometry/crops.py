"""Square crops: crop space, the coordinates of networks and hands, and the pictures of crops.

A crop is a square of the image, centre c and side g in pixels. In crop space it is [-1, 1] in x and y:

  x_crop = 2 (x_px - c_x) / g,    y_crop = 2 (y_px - c_y) / g.

With g = 1.5 max(width, height) of the tight box around the joints this is the normalisation of Baek et al. 2019, whose
unit interval is (x_crop + 1) / 2. An in-plane rotation, where one is given, turns the content of the crop by that angle
in radians from +x toward +y, that is clockwise on the screen.

Pixels are (x, y) with the origin at the image's top-left corner and pixel centres at +0.5.
"""
from typing import NamedTuple, Optional, Union

import gin
import tensorflow as tf

Angle = Union[float, tf.Tensor]
REPORT_PX = 256  # errors in pixels are stated for a crop of this side, in logs and reports alike


class Crop(NamedTuple):
  """A batch of square image regions.

  Attributes:
    center_px: `[..., 2]` centre (x, y) in pixels.
    side_px: `[...]` side in pixels, above zero.
  """

  center_px: tf.Tensor
  side_px: tf.Tensor


@gin.configurable(module='crops')
def crop_from_joints(joints_px: tf.Tensor, visible: Optional[tf.Tensor] = None, margin: float = 1.5,
                     root: Optional[int] = None, min_side_px: float = 2.) -> Crop:
  """The square around the joints that count: g = margin max(width, height) of their box, c its centre or the root.

  Args:
    joints_px: `[..., K, 2]` joint positions in pixels.
    visible: `[..., K]`, joints above zero count; None counts all. Positions of the others may be anything, even NaN.
    margin: crop side over the longer side of the tight box around the joints.
    root: the joint to centre on, as the paper normalises; None centres on the box.
    min_side_px: smallest side, for joints that all coincide.

  Returns:
    The crop; its centre is the origin and its side `min_side_px` where no joint counts.
  """
  counts = tf.ones(tf.shape(joints_px)[:-1], tf.bool) if visible is None else visible > 0
  far = tf.constant(joints_px.dtype.max, joints_px.dtype)
  low = tf.reduce_min(tf.where(counts[..., None], joints_px, far), axis=-2)
  high = tf.reduce_max(tf.where(counts[..., None], joints_px, -far), axis=-2)
  any_counts = tf.reduce_any(counts, axis=-1, keepdims=True)
  low, high = tf.where(any_counts, low, 0.), tf.where(any_counts, high, 0.)
  center = (low + high) / 2
  if root is not None:
    center = tf.where(counts[..., root, None], joints_px[..., root, :], center)
  return Crop(center, tf.maximum(margin * tf.reduce_max(high - low, axis=-1), min_side_px))


def crop_from_box(box_xywh: tf.Tensor, margin: float = 1.) -> Crop:
  """The square around a box `[..., 4]` (left, top, width, height) in pixels; `margin` scales its longer side."""
  return Crop(box_xywh[..., :2] + box_xywh[..., 2:] / 2, margin * tf.reduce_max(box_xywh[..., 2:], axis=-1))


def turn(points: tf.Tensor, rotation: Angle) -> tf.Tensor:
  """Turns points `[..., N, 2 or 3]` about the z axis by `rotation` `[...]` radians, from +x toward +y; z stays."""
  rotation = tf.convert_to_tensor(rotation, points.dtype)[..., None]
  cos, sin = tf.cos(rotation), tf.sin(rotation)
  x, y = points[..., 0], points[..., 1]
  return tf.concat([tf.stack([cos * x - sin * y, sin * x + cos * y], axis=-1), points[..., 2:]], axis=-1)


def to_crop(points_px: tf.Tensor, crop: Crop, rotation: Optional[Angle] = None) -> tf.Tensor:
  """Takes points `[..., N, 2]` from image pixels to the crop space of `crop` `[...]`."""
  points = (points_px - crop.center_px[..., None, :]) * (2 / crop.side_px[..., None, None])
  return points if rotation is None else turn(points, rotation)


def from_crop(points_crop: tf.Tensor, crop: Crop, rotation: Optional[Angle] = None) -> tf.Tensor:
  """Takes points `[..., N, 2]` from crop space back to image pixels; the inverse of `to_crop`."""
  points = points_crop if rotation is None else turn(points_crop, -tf.convert_to_tensor(rotation, points_crop.dtype))
  return points * (crop.side_px[..., None, None] / 2) + crop.center_px[..., None, :]


def mirror_image(image: tf.Tensor) -> tf.Tensor:
  """Mirrors images `[..., H, W, C]` left to right."""
  return tf.reverse(image, axis=[-2])


def mirror_points(points: tf.Tensor, width_px: Union[float, tf.Tensor] = 0.) -> tf.Tensor:
  """Mirrors points `[..., 2 or 3]` left to right.

  Args:
    points: pixels of an image `width_px` wide; or, with width 0, points in crop space or camera space.
    width_px: image width, scalar or broadcastable to `points[..., 0]`.

  Returns:
    The mirrored points: x becomes width - x, the rest stays.
  """
  return tf.concat([tf.cast(width_px, points.dtype)[..., None] - points[..., :1], points[..., 1:]], axis=-1)


def mirror_crop(crop: Crop, width_px: Union[float, tf.Tensor]) -> Crop:
  """The crop of the mirrored image, `width_px` pixels wide, that shows the same part of it as `crop` of the image."""
  return Crop(mirror_points(crop.center_px, width_px), crop.side_px)


@gin.configurable(module='crops')
def extract(image: tf.Tensor, crop: Crop, size: int, rotation: Angle = 0., fill: Optional[float] = 0.5) -> tf.Tensor:
  """Cuts crops out of images and resamples them: bilinear, after a box filter where a crop shrinks.

  There is no gradient to the image.

  Args:
    image: `[H, W, C]` or `[B, H, W, C]`; integer types come out in [0, 1], floats keep their range.
    crop: the crop, unbatched or `[B]` like the image.
    size: height and width of the result in pixels.
    rotation: angle by which the content turns, as in `to_crop`; scalar or `[B]`.
    fill: the value outside the image, in the range of the result (use 0 for masks); None repeats the edge.

  Returns:
    `[size, size, C]` or `[B, size, size, C]` float32.
  """
  rotation = tf.convert_to_tensor(rotation, tf.float32)
  crop = Crop(tf.cast(crop.center_px, tf.float32), tf.cast(crop.side_px, tf.float32))
  if image.shape.rank == 3:
    return _extract_one(image, crop, size, rotation, fill)
  batch = tf.shape(image)[0]
  result = tf.map_fn(
      lambda inputs: _extract_one(inputs[0], Crop(inputs[1], inputs[2]), size, inputs[3], fill),
      (image, crop.center_px, crop.side_px, tf.broadcast_to(rotation, [batch])), fn_output_signature=tf.float32)
  return tf.ensure_shape(result, [image.shape[0], size, size, image.shape[-1]])


def _extract_one(image: tf.Tensor, crop: Crop, size: int, rotation: tf.Tensor, fill: Optional[float]) -> tf.Tensor:
  """`extract` for one image `[H, W, C]`: `[size, size, C]`.

  Output pixel index i (centre i + 0.5) shows the image at

    x_px = c + (g / size) R(-rotation) (i - (size - 1) / 2),

  which is entry (x_px - origin) / factor - 0.5 of the reduced image.
  """
  full_range = float(image.dtype.max) if image.dtype.is_integer else 1.
  # No larger than the image, for a crop may be of any size.
  largest = tf.cast(tf.reduce_max(tf.shape(image)[:2]), tf.float32)
  factor = tf.maximum(tf.cast(tf.minimum(tf.round(crop.side_px / size), largest), tf.int32), 1)
  part, origin_px = _surroundings(image, crop, factor)
  reduced = tf.cond(factor > 1, lambda: _shrink(part, factor), lambda: tf.cast(part, tf.float32))
  # x_px = matrix i + offset, then the same map to entries of the reduced image: the equations above.
  step = crop.side_px / size
  matrix = step * tf.stack([[tf.cos(rotation), tf.sin(rotation)], [-tf.sin(rotation), tf.cos(rotation)]])
  offset = crop.center_px - tf.linalg.matvec(matrix, tf.fill([2], (size - 1) / 2))
  # Blocks are no longer than the part, of which every side shrinks by a factor of its own.
  factors = tf.cast(_block_sizes(part, factor)[::-1], tf.float32)
  matrix, offset = matrix / factors[:, None], (offset - origin_px) / factors - 0.5
  transform = tf.stack([matrix[0, 0], matrix[0, 1], offset[0], matrix[1, 0], matrix[1, 1], offset[1], 0., 0.])
  result = tf.raw_ops.ImageProjectiveTransformV3(
      images=reduced[None], transforms=transform[None], output_shape=[size, size], interpolation='BILINEAR',
      fill_mode='NEAREST' if fill is None else 'CONSTANT', fill_value=(0. if fill is None else fill) * full_range)[0]
  return tf.ensure_shape(result / full_range, [size, size, image.shape[-1]])


def _surroundings(image: tf.Tensor, crop: Crop, factor: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """The part of an image `[H, W, C]` that any turn of a crop can touch, so that large images cost no more than small.

  Returns:
    The part `[h, w, C]`, and the image pixel `[2]` (x, y) of its top-left corner.
  """
  height_width = tf.shape(image)[:2]
  most = tf.cast(height_width, tf.float32)
  # A margin of one block, because bilinear interpolation looks one block further.
  reach = crop.side_px / 2 * 2 ** 0.5 + tf.cast(factor, tf.float32)
  center = tf.reverse(crop.center_px, [0])
  # Clipped before they become integers, of which large numbers would be too large.
  low = tf.cast(tf.clip_by_value(tf.floor(center - reach), 0., most - 1.), tf.int32)
  high = tf.maximum(tf.cast(tf.clip_by_value(tf.math.ceil(center + reach), 0., most), tf.int32), low + 1)
  return image[low[0]:high[0], low[1]:high[1]], tf.cast(tf.reverse(low, [0]), tf.float32)


def _shrink(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
  """Averages blocks (`_block_sizes`) of pixels of an image `[H, W, C]` to float32; the last ones may be cut."""
  shape, sizes = tf.shape(image), _block_sizes(image, factor)
  blocks = (shape[:2] + sizes - 1) // sizes
  missing = blocks * sizes - shape[:2]
  padded = tf.pad(image, [[0, missing[0]], [0, missing[1]], [0, 0]])
  # It reads integers as they are: a photograph as floats would take four times the memory.
  means = tf.raw_ops.ResizeArea(images=padded[None], size=blocks)[0]
  lengths = _block_lengths(shape[0], sizes[0])[:, None] * _block_lengths(shape[1], sizes[1])
  return means * (tf.cast(tf.reduce_prod(sizes), tf.float32) / lengths)[..., None]


def _block_sizes(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
  """Height and width [2] of the blocks that become pixels: `factor`, or less in an image that is smaller."""
  return tf.minimum(factor, tf.shape(image)[:2])


def _block_lengths(length: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
  """How many of `length` pixels fall into each block of `factor`, float32."""
  return tf.cast(tf.minimum(factor, length - tf.range(0, length, factor)), tf.float32)
