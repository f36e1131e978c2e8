"""New shapes and views of given poses, placed in crops as training data are."""
from typing import NamedTuple

import tensorflow as tf

from dhpe_tf.data import augmentation
from dhpe_tf.geometry import rotations
from dhpe_tf.hand import anatomy, joint_angles, mano_layer, skeletons
from dhpe_tf.hand.hand_model import NUM_SHAPE, HandModel
from dhpe_tf.hand.parameters import HandParameters

# The side of a crop in units of the larger side of the box around the joints (`crops.crop_from_joints`).
_CROP_MARGIN = 1.5
_TOLERATED_EXCESS = 1e-6  # radians squared: rounding


class Hands(NamedTuple):
  """Posed hands in crop space.

  Attributes:
    pose: [B, 45], radians.
    shape: [B, 10], standard deviations.
    camera: [B, 8], unit quaternion, scale, translation, as ManoLayer takes it.
    vertices: [B, V, 3].
    joints: [B, 21, 3].
  """

  pose: tf.Tensor
  shape: tf.Tensor
  camera: tf.Tensor
  vertices: tf.Tensor
  joints: tf.Tensor


class Variation:
  """Draws new shapes, views and crops, and keeps the poses.

  Args:
    hand_model: the hand.
    shape_sigma: shape coefficients are uniform in +- this.
    rotation_rad: hands are turned about x, then y, then z of the camera by uniform angles in +- this.
    scale: the crop's side is multiplied by up to exp(+-scale).
    shift: the crop moves by up to this share of its side in x and in y.
  """

  def __init__(self, hand_model: HandModel, shape_sigma: float, rotation_rad: float, scale: float, shift: float):
    self._layer = mano_layer.ManoLayer(hand_model)
    self._shape_sigma, self._rotation_rad, self._scale, self._shift = shape_sigma, rotation_rad, scale, shift

  def __call__(self, parents: HandParameters, seed: tf.Tensor) -> Hands:
    """One new hand for each parent: beta ~ U(-sigma, sigma)^10, R(r) R(q) with r ~ U(-rotation, rotation)^3.

    Args:
      parents: B hands, of which pose and rotation are used.
      seed: int [2].

    Returns:
      `Hands` of the batch.
    """
    shape_seed, turn_seed, place_seed = augmentation.split_seed(seed, 3)
    count = tf.shape(parents.pose)[0]
    shape = self._shape_sigma * tf.random.stateless_uniform([count, NUM_SHAPE], shape_seed, -1., 1.)
    turn = axis_turns(self._rotation_rad * tf.random.stateless_uniform([count, 3], turn_seed, -1., 1.))
    rotation = rotations.quaternion_multiply(turn, tf.math.l2_normalize(parents.rotation, axis=-1))
    return self.place(parents.pose, shape, rotation, tf.random.stateless_uniform([count, 3], place_seed, -1., 1.))

  def place(self, pose: tf.Tensor, shape: tf.Tensor, rotation: tf.Tensor, draws: tf.Tensor) -> Hands:
    """Places hands in crops: the box around the joints in the middle and of the usual size, varied by the draws.

      s = 2 / (1.5 b exp(scale draw_0)),    t = 2 shift (draw_1, draw_2, 0) - s (c_x, c_y, z_root),

    b the larger side and c the middle of the box around the joints R(q) x.

    Args:
      pose: [B, 45].
      shape: [B, 10].
      rotation: [B, 4], unit quaternion q.
      draws: [B, 3] in +-1: of the crop's size and its shifts in x and y.

    Returns:
      `Hands`, the root at z = 0.
    """
    unit = tf.concat([rotation, tf.ones_like(pose[:, :1]), tf.zeros_like(pose[:, :3])], axis=-1)
    joints = self._layer(pose, shape, unit)['keypoints']
    low, high = tf.reduce_min(joints, axis=1), tf.reduce_max(joints, axis=1)
    side = _CROP_MARGIN * tf.reduce_max((high - low)[:, :2], axis=-1, keepdims=True)
    scale = 2 / (side * tf.exp(self._scale * draws[:, :1]))
    middle = tf.concat([(low + high)[:, :2] / 2, joints[:, skeletons.ROOT, 2:]], axis=-1)
    shift = tf.pad(2 * self._shift * draws[:, 1:], [[0, 0], [0, 1]])
    camera = tf.concat([rotation, scale, shift - scale * middle], axis=-1)
    hand = self._layer(pose, shape, camera)
    return Hands(pose, shape, camera, hand['vertices'], hand['keypoints'])


def within_limits(pose: tf.Tensor, hand_model: HandModel) -> tf.Tensor:
  """Clips the joint angles of poses [B, 45] to their limits; poses within the limits are returned unchanged.

  The paper's objective does not see a twist that moves no joint, so predictions contain many of them.
  """
  low, high = tf.unstack(tf.constant(joint_angles.limits(), pose.dtype), axis=-1)
  angles = tf.clip_by_value(joint_angles.pose_to_angles(pose, hand_model), low, high)
  beyond = anatomy.limit_penalty(pose, hand_model) > _TOLERATED_EXCESS
  return tf.where(beyond[:, None], joint_angles.angles_to_pose(angles, hand_model), pose)


def axis_turns(angles: tf.Tensor) -> tf.Tensor:
  """Quaternions q_z q_y q_x [B, 4] that turn about x, then y, then z by angles [B, 3] radians."""
  about_x, about_y, about_z = (rotations.axis_angle_to_quaternion(angles[:, k:k + 1] * tf.one_hot([k], 3))
                               for k in range(3))
  return rotations.quaternion_multiply(about_z, rotations.quaternion_multiply(about_y, about_x))
