"""Steadies a hand over the frames of a clip: one shape, smooth joints and turns, and a mesh that agrees with them.

Of each frame's hand the 2D joints, the turns of the finger joints and the rotation before the camera are smoothed, each
by a One Euro filter. Shape and camera do not change in a clip, so their medians over the frames so far are taken. The
hand that is so posed is then laid onto the smoothed 2D joints by scale and place (`lay`).
"""
from typing import NamedTuple, Optional

import gin
import numpy as np
import tensorflow as tf
from scipy.spatial.transform import Rotation

from dhpe_tf.geometry.smoothing import OneEuro, OneEuroRotations
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import NUM_SHAPE
from dhpe_tf.networks import hand_layers
from dhpe_tf.tasks.hand import outputs as hand_outputs
from dhpe_tf.tasks.hand import prediction
from dhpe_tf.tasks.task import Tensors

_ROUNDS = 3  # of `lay`; with perspective each divides the error of the scale by ten or more


class Measured(NamedTuple):
  """A hand as it was found in one frame; for a left hand, rotation, pose and shape are those of its mirror image.

  Attributes:
    joints_px: [21, 2] px of the picture.
    pose: [45] axis-angle, radians.
    shape: [10].
    rotation: [4] quaternion (w, x, y, z) to the axes of the picture (x right, y down, z forward), mirrored for a left
      hand; not those of a turned square.
    px_per_metre: pixels that a metre at the hand spans.
    nearness: 1 / focal length, 1/px; 0 without perspective.
  """

  joints_px: np.ndarray
  pose: np.ndarray
  shape: np.ndarray
  rotation: np.ndarray
  px_per_metre: float
  nearness: float


@gin.configurable(module='steady')
class SteadyHand:
  """Smooths the frames of one hand. Call it with each `Measured` and its time; it returns the smoothed one.

  The speed coefficients are larger than the filters' own: against a fast fist those left the mesh behind the hand.
  """

  def __init__(self, joint_cutoff_hz: float = 1.5, joint_speed_coefficient: float = 100., turn_cutoff_hz: float = 1.5,
               turn_speed_coefficient: float = 8., shape_frames: int = 150):
    """Starts without a frame.

    Args:
      joint_cutoff_hz: cutoff of the 2D joints at rest, see `smoothing.OneEuro`.
      joint_speed_coefficient: hertz by which it grows with a speed of one metre a second at the hand.
      turn_cutoff_hz: cutoff of the turns of the fingers and of the hand at rest.
      turn_speed_coefficient: hertz by which it grows with a speed of one radian a second.
      shape_frames: number of frames, the first ones, of which shape and nearness are the median.
    """
    self._joints = OneEuro(joint_cutoff_hz, joint_speed_coefficient)
    self._turns = OneEuroRotations(turn_cutoff_hz, turn_speed_coefficient)
    self._shape_frames = shape_frames
    self._constants: list[np.ndarray] = []
    self._median = np.zeros(NUM_SHAPE + 1)
    self._px_per_metre: Optional[float] = None

  def __call__(self, measured: Measured, time_s: float) -> Measured:
    """Takes the hand of a frame, later than the one before, and returns the smoothed one."""
    # The filter counts in metres; a constant unit keeps the noise of the scale out of the places.
    self._px_per_metre = self._px_per_metre or measured.px_per_metre
    joints_px = self._joints(measured.joints_px / self._px_per_metre, time_s) * self._px_per_metre
    turns = self._turns(np.concatenate([_quaternions(measured.pose), measured.rotation[None]]), time_s)
    constant = self._steady_constant(np.append(measured.shape, measured.nearness))
    return Measured(joints_px, _axis_angles(turns[:-1]), constant[:-1], turns[-1], measured.px_per_metre,
                    float(constant[-1]))

  def _steady_constant(self, constant: np.ndarray) -> np.ndarray:
    """The median of shape and nearness [11] over the first frames; a frame that is not finite does not count."""
    if len(self._constants) < self._shape_frames and np.isfinite(constant).all():
      self._constants.append(constant)
      self._median = np.median(self._constants, axis=0)
    return self._median


@gin.configurable(module='steady')
class SteadyPoints:
  """Smooths joints and mesh of one hand point by point, for methods that do not say how the hand is posed.

  Call it with each `prediction.Hand` and its time; it returns the smoothed one, without pose, shape and camera.
  """

  _PX, _METRES = ('joints_2d_px', 'vertices_px'), ('joints_3d_m', 'vertices_m')
  _DROPPED = ('pose', 'shape', 'camera')

  def __init__(self, cutoff_hz: float = 1.5, speed_coefficient: float = 100.):
    """Starts without a frame; the arguments are those of `smoothing.OneEuro`, in metres at the hand."""
    self._filters = {name: OneEuro(cutoff_hz, speed_coefficient) for name in (*self._PX, *self._METRES)}
    self._px_per_metre: Optional[float] = None

  def __call__(self, hand: prediction.Hand, time_s: float) -> prediction.Hand:
    """Takes the hand of a frame, later than the one before, and returns the smoothed one."""
    self._px_per_metre = self._px_per_metre or hand.px_per_metre
    values = {name: value for name, value in hand.values.items() if name not in self._DROPPED}
    for names, unit in ((self._PX, self._px_per_metre), (self._METRES, 1.)):
      for name in names:
        if name in values:
          values[name] = unit * self._filters[name](values[name] / unit, time_s)
    return hand._replace(values=values)


def _quaternions(pose: np.ndarray) -> np.ndarray:
  """The quaternions [15, 4] (w, x, y, z) of a pose [45]. TensorFlow would take milliseconds a frame."""
  return Rotation.from_rotvec(pose.reshape(-1, 3)).as_quat()[:, [3, 0, 1, 2]]


def _axis_angles(quaternions: np.ndarray) -> np.ndarray:
  """The pose [45] of quaternions [15, 4] (w, x, y, z)."""
  return Rotation.from_quat(quaternions[:, [1, 2, 3, 0]]).as_rotvec().ravel()


def about_view(angles: np.ndarray, quaternions: np.ndarray) -> np.ndarray:
  """Turns rotations [N, 4] (w, x, y, z) further, by angles [N] about the z axis, from +x toward +y, radians."""
  half = np.asarray(angles) / 2
  w, x, y, z = np.moveaxis(np.asarray(quaternions), -1, 0)
  cos, sin = np.cos(half), np.sin(half)
  return np.stack([cos * w - sin * z, cos * x - sin * y, cos * y + sin * x, cos * z + sin * w], axis=-1)


def lay(layer: hand_layers.PosedHand, pose: tf.Tensor, shape: tf.Tensor, rotation: tf.Tensor, scale: tf.Tensor,
        closeness: tf.Tensor, joints_2d: tf.Tensor) -> Tensors:
  """Lays posed hands onto 2D joints by scale and place.

  With the posed and turned joints X_j in metres about the root, joint j is seen at

    w_j (a X_j + p)_xy,    w_j = 1 / (1 + k a Z_j),

  with closeness k. For fixed w this is linear in scale a and place p; a few rounds of linear least squares follow, each
  with the w of the last scale. Without perspective (k = 0) the first is exact.

  Args:
    layer: of the hand.
    pose: [N, 45].
    shape: [N, 10].
    rotation: [N, 4] unit quaternions (w, x, y, z) to the axes of the crop.
    scale: [N] about how many crop units a metre has.
    closeness: [N] of the camera, 1 / crop units; 0 for weak perspective.
    joints_2d: [N, 21, 2] crop space.

  Returns:
    The outputs of a method (`outputs.OUTPUTS`): vertices, joints_3d, joints_2d, pose, shape, camera, units_per_metre
    and camera_distance.
  """
  count = tf.shape(scale)[0]
  still = tf.concat([rotation, tf.ones([count, 1]), tf.zeros([count, 3])], axis=-1)
  posed = layer(tf.concat([pose, shape, still], axis=-1))
  root = posed['joints_3d'][:, skeletons.ROOT, None]
  joints = posed['joints_3d'] - root
  for _ in range(_ROUNDS):
    scale, place = _onto(joints, scale, closeness, joints_2d)
  place = tf.pad(place, [[0, 0], [0, 1]])[:, None]
  grown = scale[:, None, None]
  camera = tf.concat([rotation, scale[:, None], place[:, 0] - scale[:, None] * root[:, 0]], axis=-1)
  laid = {'vertices': grown * (posed['vertices'] - root) + place, 'joints_3d': grown * joints + place, 'pose': pose,
          'shape': shape, 'camera': camera, 'units_per_metre': scale,
          'camera_distance': 1. / tf.maximum(closeness, 1e-6)}
  return {**laid, 'joints_2d': hand_outputs.seen(laid['joints_3d'], laid)[..., :2]}


def _onto(joints: tf.Tensor, scale: tf.Tensor, closeness: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """One round of `lay`: the scale [N] and the place [N, 2] of joints [N, 21, 3] on a target [N, 21, 2]."""
  w = 1. / tf.maximum(1. + (closeness * scale)[:, None] * joints[..., 2], 0.2)
  # Least squares of w (a X + p) - T: the weights are w^2, the targets T / w.
  weights = (w * w / tf.reduce_sum(w * w, axis=1, keepdims=True))[..., None]
  points, target = joints[..., :2], target / w[..., None]
  center, target_center = (tf.reduce_sum(weights * x, axis=1, keepdims=True) for x in (points, target))
  offsets = points - center
  spread = tf.maximum(tf.reduce_sum(weights * offsets * offsets, axis=[1, 2]), 1e-9)
  scale = tf.maximum(tf.reduce_sum(weights * offsets * (target - target_center), axis=[1, 2]) / spread, 1e-3)
  return scale, (target_center - scale[:, None, None] * center)[:, 0]
