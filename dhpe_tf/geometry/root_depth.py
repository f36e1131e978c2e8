"""2.5D hands: where joints are seen, and how much deeper than a root they are, in units of one bone.

After Iqbal et al., Hand Pose Estimation via Latent 2.5D Heatmap Regression, ECCV 2018. The length of one bone is 1, so
the camera and these numbers give the depth of the root, and with it the whole hand up to its size. `cameras` has
another 2.5D, whose depths are in units of the crop.
"""
import tensorflow as tf

from dhpe_tf.geometry import cameras, crops
from dhpe_tf.geometry.crops import Crop

_LEAST = 1e-8  # of squared lengths that are divided by or of which a root is taken


def camera_or_assumed(intrinsics: tf.Tensor, crop: Crop, distance: float) -> tf.Tensor:
  """The cameras `[B, 3, 3]`; where none is known, one straight before the middle of the crop.

  Args:
    intrinsics: `[B, 3, 3]` px, zeros where they are not known.
    crop: `[B]`, in the same picture.
    distance: of an assumed camera from what fills the crop, in halves of the crop's side.
  """
  focal = distance * crop.side_px / 2
  assumed = cameras.make_intrinsics(tf.stack([focal, focal], axis=-1), crop.center_px)
  known = cameras.focal_length(intrinsics) > 0
  return tf.where(known[:, None, None], intrinsics, assumed)


def rays(joints: tf.Tensor, intrinsics: tf.Tensor, crop: Crop, turn: tf.Tensor) -> tf.Tensor:
  """The places `[B, K, 2]` at depth 1 that are seen where joints are: (X / Z, Y / Z), turned as the crop is.

  Args:
    joints: `[B, K, 2]` in crop space.
    intrinsics: `[B, 3, 3]` px.
    crop: `[B]`.
    turn: `[B]` radians by which the content of the crop was turned.
  """
  pixels = crops.from_crop(joints, crop, turn)
  ones = tf.ones_like(pixels[..., 0])
  return crops.turn(cameras.unproject(pixels, ones, intrinsics)[..., :2], turn)


def solve(seen: tf.Tensor, relative: tf.Tensor, bone: tuple[int, int], nearest: float = 1.,
          farthest: float = 100.) -> tf.Tensor:
  """The depth of the root at which a bone has the length 1.

  With rays r_a, r_b and relative depths z_a, z_b of its ends, the bone is Z d + s with d = (r_a - r_b, 0) and
  s = (r_a z_a - r_b z_b, z_a - z_b), so

    |d|^2 Z^2 + 2 (d . s) Z + |s|^2 - 1 = 0.

  Of two solutions this is the farther one. It is the true one unless the bone points so nearly along the view ray that
  its image runs against it; then two depths explain the same numbers. Where none exists, since the relative depth is
  longer than the bone, the bone comes as near to 1 as it can. A bone that lies in the view ray tells no depth: its
  image is a point, and the result is `farthest`.

  Args:
    seen: `[..., K, 2]`, see `rays`.
    relative: `[..., K]`, depths relative to the root, in units of the bone.
    bone: numbers of its two joints.
    nearest: least result.
    farthest: largest result.

  Returns:
    `[...]`, in units of the bone; gradients are finite everywhere, and 0 at the bounds.
  """
  first, second = ((seen[..., end, :], relative[..., end, None]) for end in bone)
  apart = first[0] - second[0]
  shift = first[0] * first[1] - second[0] * second[1]
  square = tf.reduce_sum(tf.square(apart), axis=-1)
  half = tf.reduce_sum(apart * shift, axis=-1)
  rest = tf.reduce_sum(tf.square(shift), axis=-1) + tf.square(first[1] - second[1])[..., 0] - 1.
  known = square > _LEAST
  square = tf.where(known, square, 1.)
  discriminant = tf.square(half) - square * rest
  root = tf.where(discriminant > _LEAST, tf.sqrt(tf.maximum(discriminant, _LEAST)), 0.)
  # Two forms of the same, so that never two numbers of nearly the same size are subtracted.
  above = half > 0
  stable = tf.where(above & (half + root > _LEAST), half + root, 1.)
  depth = tf.where(above, -rest / stable, (root - half) / square)
  depth = tf.where(discriminant > 0, depth, -half / square)
  return tf.clip_by_value(tf.where(known, depth, tf.constant(farthest, depth.dtype)), nearest, farthest)


def place(seen: tf.Tensor, relative: tf.Tensor, depth: tf.Tensor) -> tf.Tensor:
  """The joints `[..., K, 3]` before the camera: Z_k (r_k, 1), Z_k = Z + z_k.

  Args:
    seen: r `[..., K, 2]`, see `rays`.
    relative: z `[..., K]`.
    depth: Z `[...]`, of the root, in the unit of `relative`.
  """
  deep = (depth[..., None] + relative)[..., None]
  return tf.concat([seen * deep, deep], axis=-1)
