"""Anatomical limits of poses: a penalty on impossible ones and a sampler of likely ones."""
from typing import Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.hand import collisions
from dhpe_tf.hand.gestures import GESTURES, gesture_pose
from dhpe_tf.hand.hand_model import NUM_POSE, NUM_SHAPE, HandModel, load_hand_model
from dhpe_tf.hand.joint_angles import ABDUCTION, FLEXION, angles_to_pose, joint_number, limits, pose_to_angles
from dhpe_tf.hand.mano_layer import ManoLayer

__all__ = ['GESTURES', 'angles_to_pose', 'gesture_pose', 'limit_penalty', 'limits', 'pose_to_angles', 'sample_poses']

_FINGERS = slice(0, joint_number('thumb1'))


def limit_penalty(pose: tf.Tensor, hand_model: Optional[HandModel] = None) -> tf.Tensor:
  """How far a pose lies outside the joint limits.

    sum over joints k and angles c of (max(low - x, 0) + max(x - high, 0))^2, x = angle [k, c], radians.

  Args:
    pose: [B, 45] axis-angle about the flat hand.
    hand_model: whose axes to measure about; the built-in hand by default.

  Returns:
    [B], the sum over the 45 angles of the squared excess, radians squared; zero inside the limits.
  """
  angles = pose_to_angles(pose, hand_model or load_hand_model())
  low, high = tf.unstack(tf.constant(limits(), angles.dtype), axis=-1)
  excess = tf.nn.relu(low - angles) + tf.nn.relu(angles - high)  # [B, 15, 3]
  return tf.reduce_sum(excess * excess, axis=[-2, -1])


@gin.configurable(denylist=['hand_model'])
def sample_poses(count: int, seed: int, hand_model: Optional[HandModel] = None, gesture_share: float = 0.6,
                 correlation: float = 0.6, tolerance_m: float = 0.005, attempts: int = 5) -> np.ndarray:
  """Random poses inside the joint limits.

  Some lie between two gestures, each finger at a point of its own, with some noise; the others draw every finger's curl
  from one correlated distribution, since fingers share tendons and mostly move together. A pose whose fingers run into
  each other or into the palm is drawn again.

  Args:
    count: N.
    seed: the same poses for the same seed.
    hand_model: whose joints to turn; the built-in hand by default.
    gesture_share: share of poses drawn about gestures.
    correlation: of the curls of the four fingers, in the others.
    tolerance_m: overlap that soft skin allows.
    attempts: number of draws after which the best so far is kept, whatever its overlap.

  Returns:
    [N, 45] float32, axis-angle about the flat hand.
  """
  hand_model = hand_model or load_hand_model()
  random = np.random.default_rng(seed)
  near_gesture = random.uniform(size=count) < gesture_share
  poses, depths = np.zeros([count, NUM_POSE], np.float32), np.full(count, np.inf)
  layer, todo = ManoLayer(hand_model), np.arange(count)
  for _ in range(attempts):
    drawn = angles_to_pose(_draw(random, near_gesture[todo], correlation), hand_model).numpy().astype(np.float32)
    depth = collisions.penetration_m(layer(drawn, np.zeros([len(todo), NUM_SHAPE]))['keypoints'].numpy(), hand_model)
    better = depth < depths[todo]
    poses[todo[better]], depths[todo[better]] = drawn[better], depth[better]
    todo = np.flatnonzero(depths > tolerance_m)
    if not len(todo):
      break
  return poses


def _draw(random: np.random.Generator, near_gesture: np.ndarray, correlation: float) -> np.ndarray:
  """Random angles [N, 15, 3] inside the limits, radians: between gestures where `near_gesture` [N], else correlated."""
  count = len(near_gesture)
  angles = np.where(near_gesture[:, None, None], _between_gestures(random, count),
                    _correlated(random, count, correlation))
  # A bent knuckle's ligaments are tight: it cannot spread.
  knuckles = [joint_number(f'{finger}1') for finger in ('index', 'middle', 'ring', 'little')]
  angles[:, knuckles, ABDUCTION] *= np.cos(angles[:, knuckles, FLEXION]).clip(0)
  return np.clip(angles, limits()[..., 0], limits()[..., 1])


def _between_gestures(random: np.random.Generator, count: int) -> np.ndarray:
  """Random angles [N, 15, 3], radians: each finger somewhere between two random gestures, with noise."""
  gestures = np.stack(list(GESTURES.values()))
  first, second = gestures[random.integers(len(gestures), size=[2, count])]
  # U-shaped: mostly near one of the two; the fingers go nearly, not quite, together.
  share = random.beta(0.6, 0.6, [count, 1]) + random.normal(scale=0.12, size=[count, 5])
  share = np.repeat(share.clip(0, 1), 3, axis=1)[..., None]
  noise = np.deg2rad([7, 3, 2]) * random.normal(size=[count, 15, 3])
  return first * (1 - share) + second * share + noise


def _correlated(random: np.random.Generator, count: int, correlation: float) -> np.ndarray:
  """Random angles [N, 15, 3], radians, over all of the limits; the fingers' curls have the given correlation."""
  low, high = limits()[..., 0], limits()[..., 1]
  normal = random.normal(size=[count, 15, 3])
  curl = (np.sqrt(correlation) * random.normal(size=[count, 1])
          + np.sqrt(1 - correlation) * random.normal(size=[count, 4]))
  # Half of a joint's variance is its finger's curl.
  normal[:, _FINGERS, FLEXION] = np.sqrt(0.5) * (np.repeat(curl, 3, axis=1) + normal[:, _FINGERS, FLEXION])
  # The logistic curve in place of the normal distribution: the limits are reached, and not crowded.
  angles = low + (high - low) / (1 + np.exp(-1.6 * normal))
  # The last joint cannot bend by itself: one tendon bends the last two.
  middle, last = angles[:, _FINGERS][:, 1::3, FLEXION], angles[:, _FINGERS][:, 2::3, FLEXION]
  last[:] = 0.6 * middle + np.deg2rad(8) * random.normal(size=middle.shape)
  return angles
