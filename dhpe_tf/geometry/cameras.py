"""Cameras: pinhole projection, and the way between crop space and metres.

Camera axes: x right, y down, z forward. Crop space (see `crops`) has a third axis of the same scale, zero at the root
joint (middle MCP):

  z_crop = (Z - Z_root) / u,    u = Z_root (g / 2) / f,    f = (fx + fy) / 2,

so one unit of crop space is u metres at the depth of the root; this is the normalisation N of Baek et al. 2019, Eq. 8.

x and y of a point with depth have two readings:
  * perspective: the place where the point is seen in the picture. Labels are of this kind.
  * weak perspective: the place where it would be seen if the whole hand lay at the depth of its root. The paper's mesh,
    V = s R(q) LBS(pose, shape) + t, is of this kind: the true hand up to scale and translation.
`add_perspective` and `remove_perspective` convert between them with one distance per crop.
"""
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from dhpe_tf.geometry import crops


class CropCamera(NamedTuple):
  """A pinhole camera in crop space.

  Attributes:
    distance: `[...]` d = f / (g / 2), from the camera to the root joint along z, in units of crop space.
    principal: `[..., 2]` p, the point where the optical axis meets the picture, in crop space.
  """

  distance: tf.Tensor
  principal: tf.Tensor


def focal_length(intrinsics: tf.Tensor) -> tf.Tensor:
  """The mean of fx and fy, `[...]` pixels, of intrinsics `[..., 3, 3]`."""
  return (intrinsics[..., 0, 0] + intrinsics[..., 1, 1]) / 2


def make_intrinsics(focal_px: tf.Tensor, principal_px: tf.Tensor) -> tf.Tensor:
  """Intrinsics `[..., 3, 3]` from focal lengths `[..., 2]` (fx, fy) and principal points `[..., 2]` (cx, cy)."""
  zero, one = tf.zeros_like(focal_px[..., 0]), tf.ones_like(focal_px[..., 0])
  rows = [[focal_px[..., 0], zero, principal_px[..., 0]], [zero, focal_px[..., 1], principal_px[..., 1]],
          [zero, zero, one]]
  return tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2)


def project_pinhole(points_m: tf.Tensor, intrinsics: tf.Tensor) -> tf.Tensor:
  """Projects points `[..., N, 3]` in camera axes to pixels `[..., N, 2]`; intrinsics K `[..., 3, 3]`, skew included.

  w (x, y, 1) = K (X, Y, Z), and so x = (fx X + skew Y) / Z + cx, y = fy Y / Z + cy.
  """
  image = tf.einsum('...ij,...nj->...ni', intrinsics, points_m)
  return image[..., :2] / image[..., 2:]


def unproject(points_px: tf.Tensor, depth_m: tf.Tensor, intrinsics: tf.Tensor) -> tf.Tensor:
  """The points `[..., N, 3]` in camera axes seen at pixels `[..., N, 2]` and depth Z `[..., N]` metres.

  (X, Y, Z) = Z K^-1 (x, y, 1); the inverse of `project_pinhole`.
  """
  y = (points_px[..., 1] - intrinsics[..., 1, 2, None]) / intrinsics[..., 1, 1, None]
  x = (points_px[..., 0] - intrinsics[..., 0, 2, None] - intrinsics[..., 0, 1, None] * y) / intrinsics[..., 0, 0, None]
  return tf.stack([x * depth_m, y * depth_m, depth_m], axis=-1)


def metres_per_unit(root_depth_m: tf.Tensor, intrinsics: tf.Tensor, crop: crops.Crop) -> tf.Tensor:
  """Metres `[...]` that one unit of crop space spans at the depth of the root: u = Z_root (g / 2) / f.

  Args:
    root_depth_m: `[...]`.
    intrinsics: `[..., 3, 3]`; zeros where they are not known, which gives 0.
    crop: `[...]`.
  """
  return tf.math.divide_no_nan(root_depth_m * crop.side_px, 2 * focal_length(intrinsics))


def depth_at_unit(unit_m: tf.Tensor, intrinsics: tf.Tensor, crop: crops.Crop) -> tf.Tensor:
  """The root's depth `[...]` in metres at which one unit of crop space spans `unit_m`; inverse of `metres_per_unit`."""
  return unit_m * 2 * focal_length(intrinsics) / crop.side_px


def crop_to_metric(points_crop: tf.Tensor, root_depth_m: tf.Tensor, intrinsics: tf.Tensor,
                   crop: crops.Crop) -> tf.Tensor:
  """Takes points from crop space (perspective reading) to camera space; the paper's inverse normalisation.

    Z = Z_root + u z_crop,    (X, Y, Z) = Z K^-1 (x_px, y_px, 1).

  Args:
    points_crop: `[..., N, 3]`.
    root_depth_m: `[...]` depth of the root joint; given, or from `solve_root_depth`.
    intrinsics: `[..., 3, 3]` of the image that `crop` refers to.
    crop: `[...]`.

  Returns:
    `[..., N, 3]` metres in camera axes.
  """
  unit = metres_per_unit(root_depth_m, intrinsics, crop)
  depth = points_crop[..., 2] * unit[..., None] + root_depth_m[..., None]
  return unproject(crops.from_crop(points_crop[..., :2], crop), depth, intrinsics)


def metric_to_crop(points_m: tf.Tensor, root_depth_m: tf.Tensor, intrinsics: tf.Tensor,
                   crop: crops.Crop) -> tf.Tensor:
  """Takes points `[..., N, 3]` in camera space, metres, to crop space; the inverse of `crop_to_metric`."""
  unit = metres_per_unit(root_depth_m, intrinsics, crop)
  depth = (points_m[..., 2] - root_depth_m[..., None]) / unit[..., None]
  return tf.concat([crops.to_crop(project_pinhole(points_m, intrinsics), crop), depth[..., None]], axis=-1)


def crop_camera(intrinsics: tf.Tensor, crop: crops.Crop) -> CropCamera:
  """The camera of a crop `[...]` of an image with these intrinsics `[..., 3, 3]`; exact where fx = fy.

  distance d = Z_root / u = f / (g / 2), principal p = 2 ((cx, cy) - c) / g.
  """
  principal = crops.to_crop(intrinsics[..., None, :2, 2], crop)[..., 0, :]
  return CropCamera(2 * focal_length(intrinsics) / crop.side_px, principal)


def add_perspective(points_crop: tf.Tensor, camera: CropCamera) -> tf.Tensor:
  """From the weak-perspective to the perspective reading of crop-space points `[..., N, 3]`; z stays.

  Points nearer to the camera than the root move away from the principal point: x' = p + (x - p) d / (d + z), with
  the camera's distance d and principal point p in crop units.
  """
  distance, principal = camera.distance[..., None, None], camera.principal[..., None, :]
  scale = distance / (distance + points_crop[..., 2:])
  return tf.concat([principal + (points_crop[..., :2] - principal) * scale, points_crop[..., 2:]], axis=-1)


def remove_perspective(points_crop: tf.Tensor, camera: CropCamera) -> tf.Tensor:
  """From the perspective to the weak-perspective reading of crop-space points `[..., N, 3]`; z stays.

  The inverse of `add_perspective`: x = p + (x' - p) (d + z) / d.
  """
  distance, principal = camera.distance[..., None, None], camera.principal[..., None, :]
  scale = (distance + points_crop[..., 2:]) / distance
  return tf.concat([principal + (points_crop[..., :2] - principal) * scale, points_crop[..., 2:]], axis=-1)


def solve_root_depth(joints_crop: tf.Tensor, intrinsics: tf.Tensor, crop: crops.Crop, bone_lengths_m: tf.Tensor,
                     bones: Sequence[tuple[int, int]] = ((0, 9),), weak: bool = False) -> tf.Tensor:
  """The depth of the root at which the hand in the crop has its known size.

  Every metric length that the crop implies is proportional to the root's depth: bone e is Z_root l_e metres long, l_e
  its length at depth 1. So least squares against the true lengths L_e has a closed form:

    Z_root = argmin sum_e (Z_root l_e - L_e)^2 = sum_e l_e L_e / sum_e l_e^2.

  Args:
    joints_crop: `[..., 21, 3]`, with z relative to the root.
    intrinsics: `[..., 3, 3]`.
    crop: `[...]`.
    bone_lengths_m: `[..., E]` or `[E]` true lengths of the bones.
    bones: E pairs of joints; by default the wrist and the middle MCP.
    weak: whether x and y are the weak-perspective reading, as those of the paper's mesh, not image positions.

  Returns:
    `[...]` metres.
  """
  if weak:
    points = joints_crop * metres_per_unit(tf.ones_like(crop.side_px), intrinsics, crop)[..., None, None]
  else:
    points = crop_to_metric(joints_crop, tf.ones_like(crop.side_px), intrinsics, crop)
  first, second = (tf.gather(points, [bone[end] for bone in bones], axis=-2) for end in (0, 1))
  lengths = tf.norm(first - second, axis=-1)  # l_e, [..., E]
  return tf.reduce_sum(lengths * bone_lengths_m, axis=-1) / tf.reduce_sum(tf.square(lengths), axis=-1)
