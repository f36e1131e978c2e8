"""The space of the search for a hand: only those numbers that 2D evidence can tell apart, each with a meaning.

z [B, 42] = 26 joint angles (those that can move at all, hand.joint_angles), 10 shape coefficients, the rotation as
axis-angle r about the camera's axes from a base rotation, the logarithm u of the scale over that of the mean hand, and
the place p = (x, y) of the root in the crop. The root's depth is 0, because 2D evidence does not determine it:

  J(z) = s R (Reg(LBS(pose, shape)) - root) + (p, 0),    s = s_mean exp(u),    R = R(r) R_base.

The base is the upright hand, or for each instance a rotation [B, 4] near its own, so that r stays small.
"""
from collections.abc import Sequence
from typing import Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import joint_angles, parameters, skeletons
from dhpe_tf.hand.hand_model import NUM_POSE, NUM_SHAPE, HandModel
from dhpe_tf.hand.keypoint_layer import KeypointLayer

_LIMITS = joint_angles.limits().reshape(-1, 2)
MOVING = np.flatnonzero(_LIMITS[:, 1] > _LIMITS[:, 0])
NUM_ANGLES = len(MOVING)
_SIZES = (NUM_ANGLES, NUM_SHAPE, 3, 1, 2)
SIZE = sum(_SIZES)
ANGLES, SHAPE = slice(0, NUM_ANGLES), slice(NUM_ANGLES, NUM_ANGLES + NUM_SHAPE)  # where they stand in z
SCALE = SIZE - 3  # where u stands
_TURN = slice(SCALE - 3, SCALE)


@gin.configurable(module='hand', denylist=['hand_model', 'dtype'])
class HandSpace:
  """Conversions from z to joints and parameters, and the bounds of z.

  Attributes:
    hand_model: the hand.
    low, high: `[42]` the box of plausible hands: joint limits, shape, size and place.
    mean: `[42]` the mean hand, upright, with the scale of `parameters.mean_parameters`.
    mean_scale: that scale, crop units a metre.
  """

  def __init__(self, hand_model: HandModel, dtype: str = 'float32', shape_limit: float = 3.0,
               size_factor: float = 2.5, place_limit: float = 1.5):
    """Prepares the constants.

    Args:
      hand_model: a right hand.
      dtype: of all computations.
      shape_limit: largest shape coefficient, standard deviations.
      size_factor: largest ratio of a hand's size in the crop to the mean hand's, and the reverse.
      place_limit: largest distance of the root from the crop's centre in x and in y, crop units.
    """
    self.hand_model = hand_model
    self._dtype = dtype
    self._keypoints = KeypointLayer(hand_model, dtype=dtype)
    start = parameters.mean_parameters(hand_model)
    mean_pose = tf.constant(start[None, parameters.POSE], 'float64')
    angles = joint_angles.pose_to_angles(mean_pose, hand_model).numpy().reshape(-1)[MOVING]
    self.mean_scale = float(start[parameters.SCALE.start])
    low, high = _LIMITS[MOVING].T
    free = np.array([4.0] * 3 + [np.log(size_factor)] + [place_limit] * 2)
    self.low = np.concatenate([low, [-shape_limit] * NUM_SHAPE, -free])
    self.high = np.concatenate([high, [shape_limit] * NUM_SHAPE, free])
    self.mean = np.concatenate([np.clip(angles, low, high), np.zeros(SIZE - NUM_ANGLES)])

  def joints(self, z: tf.Tensor, base: Optional[tf.Tensor] = None) -> tf.Tensor:
    """Keypoints J(z) `[B, 21, 3]` in crop space of z `[B, 42]` and base rotations `[B, 4]`."""
    turns, shape, rotation, scale, place = self._parts(z, base)
    points = self._keypoints(turns, shape)
    points = points - points[:, skeletons.ROOT, None]  # metres, [B, 21, 3]
    turned = tf.matmul(points, rotations.quaternion_to_matrix(rotation), transpose_b=True) * scale[:, None]
    return turned + tf.pad(place, [[0, 0], [0, 1]])[:, None]

  @property
  def can_linearise(self) -> bool:
    """Whether `linearised` works; not for a hand whose keypoint regressors differ by axis."""
    return self._keypoints.can_linearise

  def linearised(self, z: tf.Tensor, base: Optional[tf.Tensor] = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Keypoints J(z) `[B, 21, 3]`, as of `joints`, and their derivatives dJ / dz `[B, 42, 21, 3]`, in closed form."""
    turns, shape, rotation, scale, place = self._parts(z, base)
    axes = tf.reshape(joint_angles.turning_axes(self._all_angles(z), self.hand_model), [-1, len(_LIMITS), 3])
    points, tangents = self._keypoints.linearised(turns, shape, 1 + MOVING // 3, tf.gather(axes, MOVING, axis=1))
    points, tangents = (x - x[..., skeletons.ROOT, None, :] for x in (points, tangents))
    matrix, scale = rotations.quaternion_to_matrix(rotation), scale[:, None]
    turned = tf.matmul(points, matrix, transpose_b=True) * scale  # s R x, [B, 21, 3]
    within = tf.matmul(tangents, matrix[:, None], transpose_b=True) * scale[:, None]
    # The columns of the left Jacobian are the turns that follow changes of r.
    axes = tf.linalg.matrix_transpose(rotations.left_jacobian(z[:, _TURN]))
    by_turn = rotations.cross(axes[:, :, None], turned[:, None])
    by_place = tf.tile(tf.eye(2, 3, dtype=z.dtype)[None, :, None], [tf.shape(z)[0], 1, skeletons.NUM_KEYPOINTS, 1])
    return (turned + tf.pad(place, [[0, 0], [0, 1]])[:, None],
            tf.concat([within, by_turn, turned[:, None], by_place], axis=1))

  def beyond(self, angles: tf.Tensor) -> tf.Tensor:
    """How far angles `[B, 26]` lie outside the joint limits, radians `[B, 26]`; zero inside."""
    return tf.abs(self.excess(angles))

  def excess(self, angles: tf.Tensor) -> tf.Tensor:
    """How far angles `[B, 26]` lie above the joint limits, or below them with a minus, radians; zero inside."""
    low, high = (tf.constant(limits[ANGLES], angles.dtype) for limits in (self.low, self.high))
    return angles - tf.clip_by_value(angles, low, high)

  def to_parameters(self, z: tf.Tensor, base: Optional[tf.Tensor] = None) -> tf.Tensor:
    """The parameters h `[B, 63]` of z `[B, 42]` and bases `[B, 4]`: the translation is t = (p, 0) - s R root."""
    turns, shape, rotation, scale, place = self._parts(z, base)
    pose = tf.reshape(rotations.matrix_to_axis_angle(turns), [-1, NUM_POSE])
    root = self._keypoints(turns, shape)[:, skeletons.ROOT]
    turned = tf.linalg.matvec(rotations.quaternion_to_matrix(rotation), root) * scale
    return parameters.join(parameters.HandParameters(
        pose, shape, rotation, scale, tf.pad(place, [[0, 0], [0, 1]]) - turned))

  def starts(self, joints_2d: tf.Tensor, weights: tf.Tensor, views: Sequence[Sequence[float]],
             poses: Optional[tf.Tensor] = None) -> tf.Tensor:
    """Hands turned to several views, each moved onto 2D joints by the best similarity of the plane.

    Of the hand's joints p_k and the target q_k, as complex numbers relative to their weighted means, the similarity is

      a exp(i phi) = sum_k w_k conj(p_k) q_k / sum_k w_k |p_k|^2,

    a scale a and a turn phi about the camera's z axis, which follows the view's.

    Args:
      joints_2d: `[B, 21, 2]`; joints of weight 0 may be anything.
      weights: `[B, 21]`.
      views: K turns (axis-angle about the camera's axes, radians) of the upright hand.
      poses: `[K, 42]` hands to use instead of the mean hand; their rotation, scale and place are ignored.

    Returns:
      `[B, K, 42]`.
    """
    views, count = tf.constant(views, self._dtype), len(views)
    hands = tf.constant(np.tile(self.mean, [count, 1]), self._dtype) if poses is None else poses
    flat = [hands[:, :NUM_ANGLES + NUM_SHAPE], views, tf.zeros([count, 3], self._dtype)]
    model = self.joints(tf.concat(flat, axis=1))[None, ..., :2]  # the root at the origin
    weights = tf.cast(weights, self._dtype)[:, None, :, None]
    target = tf.where(weights > 0, tf.cast(joints_2d, self._dtype)[:, None], 0.)
    total = tf.maximum(tf.reduce_sum(weights, axis=2, keepdims=True), 1e-6)
    model_mean = tf.reduce_sum(weights * model, axis=2, keepdims=True) / total
    target_mean = tf.reduce_sum(weights * target, axis=2, keepdims=True) / total
    p, q = model - model_mean, weights * (target - target_mean)
    spread = tf.maximum(tf.reduce_sum(weights * p * p, axis=[2, 3]), 1e-6)
    # a cos(phi) and a sin(phi), [B, K]. Without any joint the hand stays as it is, its root in the middle.
    cosine = tf.where(total[..., 0, 0] > 1e-6, tf.reduce_sum(p * q, axis=[2, 3]) / spread, 1.)
    sine = tf.reduce_sum(p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0], axis=2) / spread
    a = model_mean[:, :, 0]
    place = target_mean[:, :, 0] - tf.stack([cosine * a[..., 0] - sine * a[..., 1],
                                             sine * a[..., 0] + cosine * a[..., 1]], axis=-1)
    about_z = tf.pad(tf.atan2(sine, cosine)[..., None], [[0, 0], [0, 0], [2, 0]])
    turn = rotations.quaternion_to_axis_angle(rotations.quaternion_multiply(
        rotations.axis_angle_to_quaternion(about_z), rotations.axis_angle_to_quaternion(views)[None]))
    scale = 0.5 * tf.math.log(tf.maximum(cosine ** 2 + sine ** 2, 1e-6))
    hand = tf.tile(flat[0][None], [tf.shape(joints_2d)[0], 1, 1])
    return tf.concat([hand, turn, scale[..., None], place], axis=-1)

  def _parts(self, z: tf.Tensor, base: Optional[tf.Tensor]) -> tuple[tf.Tensor, ...]:
    """Turns `[B, 15, 3, 3]`, shape `[B, 10]`, quaternion `[B, 4]`, scale `[B, 1]` (units a metre), place `[B, 2]`."""
    _, shape, turn, scale, place = tf.split(z, _SIZES, axis=1)
    turns = joint_angles.angles_to_turns(self._all_angles(z), self.hand_model)
    if base is None:
      base = tf.tile(tf.constant([parameters.upright(self.hand_model.side)], z.dtype), [tf.shape(z)[0], 1])
    rotation = rotations.quaternion_multiply(rotations.axis_angle_to_quaternion(turn), base)
    return turns, shape, rotation, self.mean_scale * tf.exp(scale), place

  def _all_angles(self, z: tf.Tensor) -> tf.Tensor:
    """All angles `[B, 15, 3]` of z, by a product with zeros and ones, which has every derivative."""
    spread = tf.constant(np.eye(len(_LIMITS))[MOVING], z.dtype)
    return tf.reshape(tf.matmul(z[:, ANGLES], spread), [-1, 15, 3])
