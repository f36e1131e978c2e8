"""Anatomical axes of the finger joints, their limits, the mean pose and the principal components of poses.

Angles in the field's terms, about the rest pose: flexion toward the palm, abduction toward the thumb (the thumb's own:
toward the palm's side), twist about the bone.
"""
import numpy as np
from scipy.spatial.transform import Rotation

from data_tools.hand_building.rig import FINGERS, FIRST_JOINT

# Degrees, (low, high) of flexion, abduction, twist for the three joints of each finger.
_PIP, _DIP, _NONE = (-10, 100), (-10, 60), (0, 0)
LIMITS_DEG = {
    finger: (((-25, 85), side, (-5, 5)), (_PIP, _NONE, _NONE), (_DIP, _NONE, _NONE))
    for finger, side in (('index', (-12, 18)), ('middle', (-10, 10)), ('ring', (-14, 10)), ('little', (-22, 10)))}
LIMITS_DEG['thumb'] = (((-20, 30), (-25, 35), (-10, 25)), ((-15, 50), (-8, 8), _NONE), ((-20, 70), _NONE, _NONE))

MEAN_FLEXION_DEG = {'index': (12, 18, 10), 'middle': (14, 20, 11), 'ring': (15, 21, 12), 'little': (16, 22, 12),
                    'thumb': (6, 8, 12)}
MEAN_THUMB_ABDUCTION_DEG, MEAN_THUMB_TWIST_DEG = 10, 5
# Correlation of the flexions of the four fingers: they share tendons, and mostly move together.
FINGER_CORRELATION = 0.6


def limits_deg() -> np.ndarray:
  """Limits [15, 3, 2] in MANO's joint order, degrees: (flexion, abduction, twist) x (low, high)."""
  return np.array([LIMITS_DEG[finger][k] for finger in FINGERS for k in range(3)], np.float64)


def joint_axes(joints: np.ndarray, tips: np.ndarray) -> np.ndarray:
  """Axes of flexion, abduction and twist.

  Args:
    joints: [16, 3] rest joints.
    tips: [5, 3] fingertips, in the order of FINGERS.

  Returns:
    [15, 3, 3]: joint, (flexion, abduction, twist), unit vector.
  """
  row = joints[FIRST_JOINT['index']] - joints[FIRST_JOINT['little']]
  row = row / np.linalg.norm(row)
  axes = []
  for i, finger in enumerate(FINGERS):
    chain = np.concatenate([joints[FIRST_JOINT[finger]:][:3], tips[i:i + 1]])
    bones = np.diff(chain, axis=0)
    bones = bones / np.linalg.norm(bones, axis=1, keepdims=True)
    bend = np.cross(bones[0], bones[2])
    bend = bend / np.linalg.norm(bend)
    if finger != 'thumb':
      bend = bend + row
    for bone in bones:
      flexion = bend - bone * (bend @ bone)
      flexion = flexion / np.linalg.norm(flexion)
      axes.append([flexion, np.cross(bone, flexion), bone])
  return np.array(axes)


def angles_to_pose(angles_deg: np.ndarray, axes: np.ndarray) -> np.ndarray:
  """Turns angles [..., 15, 3] (flexion, abduction, twist; degrees) into axis-angle poses [..., 45].

  A joint's rotation is flexion after abduction after twist: R_flexion R_abduction R_twist.
  """
  angles = np.deg2rad(angles_deg)
  total = None
  for k in range(3):
    turn = Rotation.from_rotvec((angles[..., k, None] * axes[:, k]).reshape(-1, 3))
    total = turn if total is None else total * turn
  return total.as_rotvec().reshape(angles.shape[:-2] + (45,))


def mean_angles_deg() -> np.ndarray:
  """The relaxed hand, [15, 3] degrees."""
  angles = np.zeros((15, 3))
  angles[:, 0] = np.concatenate([MEAN_FLEXION_DEG[finger] for finger in FINGERS])
  angles[FIRST_JOINT['thumb'] - 1, 1:] = MEAN_THUMB_ABDUCTION_DEG, MEAN_THUMB_TWIST_DEG
  return angles


def sample_angles_deg(count: int, seed: int) -> np.ndarray:
  """Draws angles [count, 15, 3] inside the limits; flexions of the four fingers are correlated (Gaussian copula)."""
  rng = np.random.default_rng(seed)
  normal = rng.normal(size=(count, 15, 3))
  shared = rng.normal(size=(count, 1))
  fingers = slice(0, FIRST_JOINT['thumb'] - 1)
  normal[:, fingers, 0] = (np.sqrt(FINGER_CORRELATION) * shared
                           + np.sqrt(1 - FINGER_CORRELATION) * normal[:, fingers, 0])
  uniform = 0.5 * (1 + np.tanh(0.8 * normal))
  low, high = limits_deg()[..., 0], limits_deg()[..., 1]
  return low + (high - low) * uniform


def pose_components(axes: np.ndarray, mean_pose: np.ndarray, count: int = 5000, seed: int = 0) -> np.ndarray:
  """Principal directions of sampled poses about the mean pose: [45, 45], orthonormal rows, largest variance first."""
  poses = angles_to_pose(sample_angles_deg(count, seed), axes) - mean_pose
  _, _, rows = np.linalg.svd(poses, full_matrices=False)
  # The sign of a singular vector is arbitrary: the largest entry is made positive, so that builds agree.
  largest = np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], axis=1)
  return rows * np.sign(largest)
