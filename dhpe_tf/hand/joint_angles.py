"""Poses in the field's terms: flexion, abduction and twist of each finger joint, and how far each can go.

Angles are in radians, [..., 15, 3] = joint (MANO's order, skeletons.MANO_JOINT_NAMES without the wrist) x (flexion,
abduction, twist), about the rest pose. Flexion is positive toward the palm, abduction toward the thumb (the thumb's
own: toward the palm's side), twist about the bone toward the fingertip. The axes come from the rest joints of whatever
model is used: no rig's roll axes are trusted.
"""
import functools

import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import HandModel

FLEXION, ABDUCTION, TWIST = range(3)
# Sine of the angle between a finger's first and last bone below which the finger is straight and defines no plane.
_STRAIGHT = 0.05

_NONE, _PIP, _DIP = (0, 0), (-10, 100), (-10, 60)
# Degrees, (low, high) of flexion, abduction and twist of a finger's three joints.
LIMITS_DEG = {
    'index': (((-25, 85), (-12, 18), (-5, 5)), (_PIP, _NONE, _NONE), (_DIP, _NONE, _NONE)),
    'middle': (((-25, 85), (-10, 10), (-5, 5)), (_PIP, _NONE, _NONE), (_DIP, _NONE, _NONE)),
    'ring': (((-25, 85), (-14, 10), (-5, 5)), (_PIP, _NONE, _NONE), (_DIP, _NONE, _NONE)),
    'little': (((-25, 85), (-22, 10), (-5, 5)), (_PIP, _NONE, _NONE), (_DIP, _NONE, _NONE)),
    'thumb': (((-20, 30), (-25, 35), (-10, 25)), ((-15, 50), (-8, 8), _NONE), ((-20, 70), _NONE, _NONE)),
}


def joint_number(name: str) -> int:
  """Row of a joint, such as 'index1', in [15, 3] angles."""
  return skeletons.MANO_JOINT_NAMES.index(name) - 1


@functools.cache
def limits() -> np.ndarray:
  """Limits [15, 3, 2], radians: joint x (flexion, abduction, twist) x (low, high)."""
  return np.deg2rad(np.array([LIMITS_DEG[finger][k] for finger in skeletons.MANO_FINGERS for k in range(3)]))


@functools.lru_cache(maxsize=8)
def joint_axes(hand_model: HandModel) -> np.ndarray:
  """Axes of flexion, abduction and twist of each joint, from the model's rest joints.

  A finger bends in its own plane, which for the four fingers is averaged with the row of knuckles; abduction is
  perpendicular to that and to the bone.

  Args:
    hand_model: of either side.

  Returns:
    [15, 3, 3]: joint x (flexion, abduction, twist) x unit vector, a right-handed frame for each joint.
  """
  # A left hand is measured as the right hand it mirrors; axes are pseudo-vectors and mirror as such.
  mirror = np.array([-1.0, 1, 1]) if hand_model.side == 'left' else np.ones(3)
  tips = [skeletons.KEYPOINT_NAMES.index(f'{finger}4') for finger in skeletons.MANO_FINGERS]
  return axes_of(hand_model.rest_joints * mirror, hand_model.rest_keypoints[tips] * mirror) * mirror * np.prod(mirror)


def axes_of(joints: np.ndarray, tips: np.ndarray) -> np.ndarray:
  """The axes [15, 3, 3] of a right hand with rest joints [16, 3] and fingertips [5, 3] (MANO's order of fingers).

  With a bone's unit vector b and its finger's bending direction n (the row of knuckles plus the normal of the finger's
  own plane; for the thumb the normal alone):

    twist = b,    flexion = (n - (n . b) b) normalised,    abduction = twist cross flexion.
  """
  row = joints[1 + joint_number('index1')] - joints[1 + joint_number('little1')]
  row = row / np.linalg.norm(row)
  axes = []
  for finger, tip in zip(skeletons.MANO_FINGERS, tips):
    first = 1 + joint_number(f'{finger}1')
    bones = np.diff(np.concatenate([joints[first:first + 3], tip[None]]), axis=0)
    bones = bones / np.linalg.norm(bones, axis=1, keepdims=True)
    bend = np.cross(bones[0], bones[2])  # normal of the plane in which the finger bends
    size = np.linalg.norm(bend)
    if finger == 'thumb':
      bend = bend / size
    else:
      bend = row + (bend / size if size > _STRAIGHT else 0)
    for bone in bones:
      flexion = bend - bone * (bend @ bone)
      flexion = flexion / np.linalg.norm(flexion)
      axes.append([flexion, np.cross(bone, flexion), bone])
  return np.array(axes)


def angles_to_turns(angles: tf.Tensor, hand_model: HandModel) -> tf.Tensor:
  """Rotation matrices of angles: each joint twists, then abducts, then flexes.

    R = R(f, flexion) R(a, abduction) R(t, twist) = A^T R_x(flexion) R_y(abduction) R_z(twist) A,

  each about one of the joint's axes f, a and t, the rows of A (`joint_axes`).

  Args:
    angles: [..., 15, 3] radians.
    hand_model: whose axes to turn about.

  Returns:
    [..., 15, 3, 3] about the flat hand.
  """
  angles = tf.convert_to_tensor(angles)
  axes = tf.constant(joint_axes(hand_model), angles.dtype)
  (sx, sy, sz), (cx, cy, cz) = (tf.unstack(part, axis=-1) for part in (tf.sin(angles), tf.cos(angles)))
  rows = [[cy * cz, -cy * sz, sy],
          [cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy],
          [sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy]]
  local = tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2)
  return tf.matmul(axes, tf.matmul(local, axes), transpose_a=True)


def turning_axes(angles: tf.Tensor, hand_model: HandModel) -> tf.Tensor:
  """The axes about which a joint turns when one of its angles grows: dR = K(axis) R of `angles_to_turns`.

  They are f, R(f, flexion) a and R(f, flexion) R(a, abduction) t.

  Args:
    angles: [..., 15, 3] radians.
    hand_model: whose axes to turn about.

  Returns:
    [..., 15, 3, 3]: joint x (flexion, abduction, twist) x unit vector.
  """
  axes = tf.constant(joint_axes(hand_model), angles.dtype)
  (sx, sy, _), (cx, cy, _) = (tf.unstack(part, axis=-1) for part in (tf.sin(angles), tf.cos(angles)))
  zero, one = tf.zeros_like(sx), tf.ones_like(sx)
  rows = [[one, zero, zero], [zero, cx, sx], [sy, -sx * cy, cx * cy]]
  return tf.matmul(tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2), axes)


def angles_to_pose(angles: tf.Tensor, hand_model: HandModel) -> tf.Tensor:
  """Axis-angle poses [..., 45] about the flat hand of angles [..., 15, 3], radians; see `angles_to_turns`."""
  vectors = rotations.matrix_to_axis_angle(angles_to_turns(angles, hand_model))
  return tf.reshape(vectors, tf.concat([tf.shape(vectors)[:-2], [45]], axis=0))


def pose_to_angles(pose: tf.Tensor, hand_model: HandModel) -> tf.Tensor:
  """Angles of axis-angle poses; the inverse of angles_to_pose while abduction stays within 90 degrees.

  In the joint's own frame (flexion, abduction, twist) its rotation is L = R_x(flexion) R_y(abduction) R_z(twist), and

    flexion = atan2(-L_12, L_22),    abduction = atan2(L_02, sqrt(L_00^2 + L_01^2)),    twist = atan2(-L_01, L_00).

  Args:
    pose: [..., 45] about the flat hand.
    hand_model: whose axes to measure about.

  Returns:
    [..., 15, 3] radians, flexion and twist in (-pi, pi], abduction in [-pi/2, pi/2]; gradients are finite everywhere.
  """
  pose = tf.convert_to_tensor(pose)
  vectors = tf.reshape(pose, tf.concat([tf.shape(pose)[:-1], [15, 3]], axis=0))
  axes = tf.constant(joint_axes(hand_model), pose.dtype)
  # L [..., 15, 3, 3]: the axis-angle vector in the joint's own frame turns the same way.
  local = rotations.axis_angle_to_matrix(tf.linalg.matvec(axes, vectors))
  flexion = _angle(-local[..., 1, 2], local[..., 2, 2])
  twist = _angle(-local[..., 0, 1], local[..., 0, 0])
  cosine = tf.sqrt(local[..., 0, 0] ** 2 + local[..., 0, 1] ** 2 + 1e-12)
  return tf.stack([flexion, tf.atan2(local[..., 0, 2], cosine), twist], axis=-1)


def _angle(sine: tf.Tensor, cosine: tf.Tensor) -> tf.Tensor:
  """The angle atan2(sine, cosine) [...], with a finite gradient where both are zero."""
  return tf.atan2(sine, tf.where(tf.abs(sine) + tf.abs(cosine) < 1e-12, tf.ones_like(cosine), cosine))
