"""The numbers that the evidence determines: a hand of `hand.hand_space` and how near the camera is.

x [B, 43] = (z [B, 42], k): z is the hand near a base rotation of its own, k = (g / 2) / f the closeness of the camera,
the inverse of `cameras.CropCamera.distance`, with crop side g and focal length f in pixels. With J(z) in crop space
(weak perspective) and the optical axis through the middle of the crop, joint j is seen at

  J_xy / (1 + k J_z).

This is `cameras.add_perspective` with p = 0, written so that k = 0 is weak perspective.
"""
from typing import NamedTuple

import gin
import tensorflow as tf

from dhpe_tf.geometry import cameras, rotations
from dhpe_tf.hand import hand_space, skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.methods.dhpe.landmarks.evidence import Evidence

SIZE = hand_space.SIZE + 1
_PALM = (skeletons.WRIST, *skeletons.KNUCKLES)
_LEAST_DEPTH = 0.2  # smallest 1 + k z, so that no joint passes the camera


class Joints(NamedTuple):
  """The joints of B hands.

  Attributes:
    crop: `[B, 21, 3]` crop space, weak perspective; z relative to the root.
    joints_2d: `[B, 21, 2]` crop space, where they are seen.
    metres: `[B, 21, 3]` about their mean, axes of the crop.
  """

  crop: tf.Tensor
  joints_2d: tf.Tensor
  metres: tf.Tensor


@gin.configurable(module='landmarks', denylist=['hand_model'])
class HandState:
  """Conversions from x to joints and to the parameters h, and the closed-form start.

  Attributes:
    space: of the hand.
    closeness: of the camera at the start.
  """

  def __init__(self, hand_model: HandModel, closeness: float = 0.12, perspective: bool = True):
    """Prepares the constants.

    Args:
      hand_model: a right hand.
      closeness: k at the start. A hand whose crop is a fifth of the picture, taken with a focal length of 0.85 of the
        picture's side, has 0.12.
      perspective: whether joints are seen in perspective; otherwise k has no effect.
    """
    self.space = hand_space.HandSpace(hand_model)
    self.closeness, self._perspective = closeness, float(perspective)

  # A function of its own, so that an export holds its constants once and not at each of its calls.
  @tf.function(autograph=False, reduce_retracing=True)
  def joints(self, x: tf.Tensor, base: tf.Tensor) -> Joints:
    """The joints of x `[B, 43]` about base rotations `[B, 4]`."""
    crop = self.space.joints(x[:, :hand_space.SIZE], base)
    return Joints(crop, crop[..., :2] / self._depths(crop, x), _about_mean(crop) / self.scale(x)[:, None, None])

  def linearised(self, x: tf.Tensor, base: tf.Tensor) -> tuple[Joints, Joints]:
    """`joints` and their derivatives by x: `[B, 43, 21, 3]`, `[B, 43, 21, 2]` and `[B, 43, 21, 3]`, in closed form."""
    crop, steps = self.space.linearised(x[:, :hand_space.SIZE], base)
    steps = tf.pad(steps, [[0, 0], [0, 1], [0, 0], [0, 0]])  # the closeness moves nothing in the crop
    depths, scale = self._depths(crop, x), self.scale(x)[:, None, None]
    found = Joints(crop, crop[..., :2] / depths, _about_mean(crop) / scale)
    # d(1 + k z) = k dz + z dk, where it is not held at the least depth.
    by_closeness = tf.one_hot(hand_space.SIZE, SIZE, dtype=x.dtype)[:, None, None] * crop[:, None, :, 2:]
    deeper = (x[:, hand_space.SIZE, None, None, None] * steps[..., 2:] + by_closeness) * self._perspective
    deeper = tf.where(depths[:, None] > _LEAST_DEPTH, deeper, 0.)
    seen = (steps[..., :2] - found.joints_2d[:, None] * deeper) / depths[:, None]
    by_scale = tf.one_hot(hand_space.SCALE, SIZE, dtype=x.dtype)[:, None, None] * found.metres[:, None]
    return found, Joints(steps, seen, _about_mean(steps) / scale[:, None] - by_scale)

  def scale(self, x: tf.Tensor) -> tf.Tensor:
    """Crop units a metre, `[B]`."""
    return self.space.mean_scale * tf.exp(x[:, hand_space.SCALE])

  def parameters(self, x: tf.Tensor, base: tf.Tensor) -> tf.Tensor:
    """The parameters h `[B, 63]` of x `[B, 43]`."""
    return self.space.to_parameters(x[:, :hand_space.SIZE], base)

  def camera(self, x: tf.Tensor) -> cameras.CropCamera:
    """The camera of x `[B, 43]`; without perspective it is far away."""
    closeness = tf.maximum(x[:, hand_space.SIZE] * self._perspective, 1e-3)
    return cameras.CropCamera(1. / closeness, tf.zeros([tf.shape(x)[0], 2], x.dtype))

  def start(self, evidence: Evidence) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean hand, laid onto the evidence without any search; no gradient passes.

    Its five palm joints are turned onto those of `world_m` by the best rotation (Kabsch 1976), and all its joints are
    scaled and moved onto the 2D joints by least squares.

    Returns:
      x `[B, 43]` and the base rotation, a quaternion `[B, 4]`.
    """
    count = tf.shape(evidence.depth)[0]
    mean = tf.constant(self.space.mean[None], tf.float32)
    still = tf.constant([[1., 0., 0., 0.]])
    flat = self.space.joints(mean, still)
    base = _rotation_onto(tf.tile(flat, [count, 1, 1]), evidence.world_m)
    x = tf.pad(tf.tile(mean, [count, 1]), [[0, 0], [0, 1]], constant_values=self.closeness)
    seen = self.joints(x, base).joints_2d
    center, target_center = (tf.reduce_mean(points, axis=1, keepdims=True) for points in (seen, evidence.joints_2d))
    offsets, targets = seen - center, evidence.joints_2d - target_center
    size = tf.reduce_sum(offsets * targets, axis=[1, 2]) / tf.reduce_sum(offsets * offsets, axis=[1, 2])
    size = tf.clip_by_value(size, 0.3, 3.)
    place = (target_center - size[:, None, None] * center)[:, 0]
    x = tf.concat([x[:, :hand_space.SCALE], tf.math.log(size)[:, None], place, x[:, hand_space.SIZE:]], axis=1)
    return tf.stop_gradient(x), tf.stop_gradient(base)

  def _depths(self, crop: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """1 + k z `[B, 21, 1]` of joints `[B, 21, 3]` in crop space."""
    closeness = x[:, hand_space.SIZE:, None] * self._perspective
    return tf.maximum(1. + closeness * crop[..., 2:], _LEAST_DEPTH)


def _about_mean(points: tf.Tensor) -> tf.Tensor:
  """Points `[..., 21, 3]` about their mean."""
  return points - tf.reduce_mean(points, axis=-2, keepdims=True)


def _rotation_onto(points: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
  """The quaternions `[B, 4]` that turn the palm joints of `points` best onto those of `target`, both `[B, 21, 3]`."""
  p, q = (tf.gather(x, _PALM, axis=1) for x in (points, target))
  p, q = p - tf.reduce_mean(p, axis=1, keepdims=True), q - tf.reduce_mean(q, axis=1, keepdims=True)
  return rotations.nearest_rotation(tf.matmul(q, p, transpose_a=True))
