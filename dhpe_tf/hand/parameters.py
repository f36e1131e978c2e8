"""The 63 numbers h that describe one hand in a crop: their order, their parts, their mean.

  h = (pose 45, shape 10, quaternion q 4, scale s 1, translation t 3),    V = s R(q) LBS(pose, shape) + t

(Baek et al. 2019, Eq. 4): the mesh V [778, 3] in crop space. The order of the parts within h is ours.
"""
from collections.abc import Sequence
from typing import NamedTuple, Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import NUM_POSE, NUM_SHAPE, HandModel
from dhpe_tf.hand.mano_layer import ManoLayer

NUM_CAMERA = 8
NUM_PARAMETERS = NUM_POSE + NUM_SHAPE + NUM_CAMERA
SIZES = (NUM_POSE, NUM_SHAPE, 4, 1, 3)  # of the parts of h: pose, shape, rotation, scale, translation
# Where each part of h stands, and the scale within the camera.
POSE, SHAPE, ROTATION, SCALE, TRANSLATION = (
    slice(sum(SIZES[:part]), sum(SIZES[:part + 1])) for part in range(len(SIZES)))
CAMERA_SCALE = 4  # the scale's place in the camera [8]

# Fingers up in the image, back of the right hand to the camera: from the hand's frame (fingers -x, back of the hand +y,
# thumb +z) to the camera's (x right, y down, z forward).
_UPRIGHT = (0.5, -0.5, -0.5, 0.5)


def upright(side: str) -> tuple[float, float, float, float]:
  """The rotation (w, x, y, z) that shows a hand of a side with its fingers up and its back to the camera."""
  w, x, y, z = _UPRIGHT
  return (w, x, y, z) if side == 'right' else (w, x, -y, -z)


class HandParameters(NamedTuple):
  """The parts of h [B, 63], in this order.

  Attributes:
    pose: [B, 45] axis-angle of joints 1 to 15 about the flat hand, radians.
    shape: [B, 10], standard deviations of the model's shape space.
    rotation: [B, 4] quaternion (w, x, y, z), of any length but zero.
    scale: [B, 1], crop units per metre.
    translation: [B, 3], crop units.
  """

  pose: tf.Tensor
  shape: tf.Tensor
  rotation: tf.Tensor
  scale: tf.Tensor
  translation: tf.Tensor

  @property
  def camera(self) -> tf.Tensor:
    """The camera [B, 8] = (rotation, scale, translation), an input of ManoLayer."""
    return tf.concat([self.rotation, self.scale, self.translation], axis=-1)


def split(h: tf.Tensor) -> HandParameters:
  """Splits h [..., 63] into its parts."""
  return HandParameters(*tf.split(h, SIZES, axis=-1))


def join(parameters: HandParameters) -> tf.Tensor:
  """Joins the parts to h [..., 63]; the inverse of `split`."""
  return tf.concat(list(parameters), axis=-1)


def to_camera(h: tf.Tensor) -> tf.Tensor:
  """The camera [..., 8] of h [..., 63]: quaternion, scale, translation."""
  return h[..., NUM_POSE + NUM_SHAPE:]


@gin.configurable(denylist=['hand_model'])
def mean_parameters(hand_model: HandModel, mean_pose: bool = True, rotation: Optional[Sequence[float]] = None,
                    crop_margin: float = 1.5) -> np.ndarray:
  """The regressor's start h(0): the mean hand, as large in its crop as hands are.

  The paper starts from zeros except for MANO's mean pose. A zero scale and a zero quaternion define no hand, so here
  the hand is scaled and shifted such that the crop around its keypoints is [-1, 1] and the root's z is 0: with the
  keypoints' box of centre c and larger side b, both in metres after the rotation,

    s = 2 / (crop_margin b),    t = -s (c_x, c_y, z_root).

  Args:
    hand_model: gives mean pose and size.
    mean_pose: start from the model's mean pose instead of the flat hand.
    rotation: quaternion (w, x, y, z); None: upright, the back of the hand to the camera.
    crop_margin: the crop's side in units of the larger side of the keypoints' box.

  Returns:
    [63] float32.
  """
  pose = hand_model.hands_mean if mean_pose else np.zeros(NUM_POSE)
  rotation = upright(hand_model.side) if rotation is None else rotation
  rotation = np.asarray(rotation, np.float64) / np.linalg.norm(rotation)
  camera = np.concatenate([rotation, [1, 0, 0, 0]])
  layer = ManoLayer(hand_model, dtype='float64')
  keypoints = layer(pose[None], np.zeros([1, NUM_SHAPE]), camera[None])['keypoints'][0].numpy()
  low, high = keypoints.min(0), keypoints.max(0)
  scale = 2 / (crop_margin * (high - low)[:2].max())
  centre = np.append((low + high)[:2] / 2, keypoints[skeletons.ROOT, 2])
  return np.concatenate([pose, np.zeros(NUM_SHAPE), rotation, [scale], -scale * centre]).astype(np.float32)


def camera_from_global_orient(hand_model: HandModel, global_orient: tf.Tensor, shape: tf.Tensor,
                              translation: Optional[tf.Tensor] = None) -> tf.Tensor:
  """The camera [B, 8], at scale 1, that places a hand as MANO's global orientation and translation do.

  MANO (and smplx, FreiHAND, HO-3D) turns about the shaped wrist joint J_0; here a hand turns about the origin of its
  frame:

    R (x - J_0) + J_0 + translation = R x + t,    t = J_0 - R J_0 + translation.

  Args:
    hand_model: the model to which the parameters belong.
    global_orient: [B, 3] axis-angle, radians.
    shape: [B, 10], on which the wrist joint depends.
    translation: [B, 3] metres, or None.

  Returns:
    [B, 8] = quaternion, 1, translation.
  """
  dirs = np.einsum('v,vcs->sc', hand_model.joint_regressor[0], hand_model.shapedirs)
  wrist = tf.matmul(shape, tf.constant(dirs, shape.dtype)) + tf.constant(hand_model.rest_joints[0], shape.dtype)
  turned = tf.linalg.matvec(rotations.axis_angle_to_matrix(global_orient), wrist)  # R J_0, [B, 3]
  moved = wrist - turned if translation is None else wrist - turned + translation
  return tf.concat([rotations.axis_angle_to_quaternion(global_orient), tf.ones_like(shape[:, :1]), moved], axis=1)
