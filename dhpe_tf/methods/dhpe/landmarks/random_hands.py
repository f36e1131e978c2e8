"""Random hands as joints, without pictures: as many labels for the estimator as one likes.

A hand's true joints become evidence by adding an error that the landmark network made on a rendered hand.
"""
import functools
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.hand import anatomy, hand_space, parameters, skeletons
from dhpe_tf.hand.hand_model import NUM_SHAPE, HandModel
from dhpe_tf.methods.dhpe.landmarks import hand_state
from dhpe_tf.methods.dhpe.landmarks.evidence import Evidence


class Truth(NamedTuple):
  """The true joints of B hands, by the names of the batch.

  Attributes:
    joints_2d: `[B, 21, 2]` crop space, where the joints are seen.
    joints_z: `[B, 21]` crop units below the root.
    joints_3d_m: `[B, 21, 3]` metres about their mean, axes of the crop.
    pose: `[B, 45]` axis-angle about the flat hand.
    shape: `[B, 10]`.
  """

  joints_2d: tf.Tensor
  joints_z: tf.Tensor
  joints_3d_m: tf.Tensor
  pose: tf.Tensor
  shape: tf.Tensor

  def evidence(self) -> Evidence:
    """What a network without any error would see."""
    depth = self.joints_z - self.joints_z[:, skeletons.WRIST, None]
    return Evidence(self.joints_2d, depth, self.joints_3d_m, tf.zeros_like(depth))


@functools.lru_cache(maxsize=2)
def _pose_bank(hand_model: HandModel, count: int) -> np.ndarray:
  """Likely poses as moving angles `[count, 26]`, radians."""
  poses = anatomy.sample_poses(count, 0, hand_model)
  return anatomy.pose_to_angles(poses, hand_model).numpy().reshape(count, -1)[:, hand_space.MOVING].astype(np.float32)


@gin.configurable(module='landmarks', denylist=['state'])
class RandomHands:
  """Draws hands: likely poses and shapes, turned at random, as large in the crop as hands are."""

  def __init__(self, state: hand_state.HandState, poses: int = 20000, angle_noise: float = 0.08,
               size: tuple = (0.9, 1.5), shift: float = 0.15, closeness: tuple = (0.03, 0.35)):
    """Prepares the poses.

    Args:
      state: of the hands.
      poses: number of poses that are drawn once, to choose from.
      angle_noise: deviation that is added to each of their angles, radians.
      size: smallest and largest longer side of the box around the joints, crop units (the crop is 2 wide).
      shift: largest distance of that box from the middle of the crop, crop units.
      closeness: smallest and largest k of the camera; its logarithm is uniform.
    """
    self._state = state
    self._bank = tf.constant(_pose_bank(state.space.hand_model, poses))
    self._noise, self._size, self._shift, self._closeness = angle_noise, size, shift, np.log(closeness)

  def sample(self, count: int, seed: tf.Tensor) -> Truth:
    """Draws hands.

    Args:
      count: B.
      seed: `[2]` integers; equal seeds give equal hands.
    """
    seeds = tf.unstack(tf.random.split(seed, 6))
    shape = tf.random.stateless_normal([count, NUM_SHAPE], seeds[0])
    closeness = tf.exp(tf.random.stateless_uniform([count, 1], seeds[1], *self._closeness))
    base = tf.math.l2_normalize(tf.random.stateless_normal([count, 4], seeds[2]), axis=1)  # uniform over all rotations
    x = tf.concat([self._angles(count, seeds[3]), shape, tf.zeros([count, 6]), closeness], axis=1)
    low, high = _box(self._state.joints(x, base).joints_2d)
    wanted = tf.random.stateless_uniform([count, 1], seeds[4], *self._size)
    growth = tf.math.log(wanted / tf.reduce_max(high - low, axis=1, keepdims=True))
    x = _with_place(x, growth, tf.zeros([count, 2]))
    low, high = _box(self._state.joints(x, base).joints_2d)
    place = tf.random.stateless_uniform([count, 2], seeds[5], -self._shift, self._shift) - (low + high) / 2
    x = _with_place(x, growth, place)
    joints = self._state.joints(x, base)
    pose = parameters.split(self._state.parameters(x, base)).pose
    return Truth(joints.joints_2d, joints.crop[..., 2], joints.metres, pose, shape)

  def _angles(self, count: int, seed: tf.Tensor) -> tf.Tensor:
    """Moving angles `[count, 26]` inside the limits, radians."""
    first, second = tf.unstack(tf.random.split(seed, 2))
    chosen = tf.random.stateless_uniform([count], first, 0, len(self._bank), tf.int32)
    angles = tf.gather(self._bank, chosen)
    angles += self._noise * tf.random.stateless_normal([count, hand_space.NUM_ANGLES], second)
    space = self._state.space
    return tf.clip_by_value(angles, *(tf.constant(limits[hand_space.ANGLES], tf.float32)
                                      for limits in (space.low, space.high)))


def _box(points: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Lowest and highest coordinates `[B, 2]` of points `[B, K, 2]`."""
  return tf.reduce_min(points, axis=1), tf.reduce_max(points, axis=1)


def _with_place(x: tf.Tensor, growth: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
  """The states x `[B, 43]` with another logarithm of the scale `[B, 1]` and another place `[B, 2]`."""
  return tf.concat([x[:, :hand_space.SCALE], growth, place, x[:, hand_space.SIZE:]], axis=1)
