"""The mean pose, random poses within the joint limits, and their principal components.

Angles are those of dhpe_tf.hand.joint_angles (flexion, abduction, twist), in degrees, about the rest pose.
"""
import numpy as np
from scipy.spatial.transform import Rotation

from data_tools.hand_building.rig import FINGERS, FIRST_JOINT
from dhpe_tf.hand import joint_angles

MEAN_FLEXION_DEG = {'index': (12, 18, 10), 'middle': (14, 20, 11), 'ring': (15, 21, 12), 'little': (16, 22, 12),
                    'thumb': (6, 8, 12)}
MEAN_THUMB_ABDUCTION_DEG, MEAN_THUMB_TWIST_DEG = 10, 5
# Correlation between the flexions of the four fingers, which share tendons and mostly move together.
FINGER_CORRELATION = 0.6
NULL_VARIANCE = 1e-7


def limits_deg() -> np.ndarray:
  """Limits of the angles [15, 3, 2] in degrees: joint (MANO's order) x (flexion, abduction, twist) x (low, high)."""
  return np.rad2deg(joint_angles.limits())


def angles_to_pose(angles_deg: np.ndarray, axes: np.ndarray) -> np.ndarray:
  """Converts angles to poses: R = R_flexion R_abduction R_twist for each joint, as in `joint_angles.angles_to_pose`.

  It needs no finished model.

  Args:
    angles_deg: [..., 15, 3] degrees.
    axes: [15, 3, 3] axes of the joints.

  Returns:
    [..., 45] axis-angle, radians.
  """
  angles = np.deg2rad(angles_deg)
  total = None
  for k in range(3):
    turn = Rotation.from_rotvec((angles[..., k, None] * axes[:, k]).reshape(-1, 3))
    total = turn if total is None else total * turn
  return total.as_rotvec().reshape(angles.shape[:-2] + (45,))


def mean_angles_deg() -> np.ndarray:
  """Angles of the relaxed hand, [15, 3] degrees."""
  angles = np.zeros((15, 3))
  angles[:, 0] = np.concatenate([MEAN_FLEXION_DEG[finger] for finger in FINGERS])
  angles[FIRST_JOINT['thumb'] - 1, 1:] = MEAN_THUMB_ABDUCTION_DEG, MEAN_THUMB_TWIST_DEG
  return angles


def sample_angles_deg(count: int, seed: int) -> np.ndarray:
  """Draws angles [count, 15, 3] in degrees within the limits; flexions of the four fingers are correlated.

  A Gaussian copula: with n = sqrt(rho) n_shared + sqrt(1 - rho) n_own, all standard normal, an angle is low + (high -
  low) (1 + tanh(0.8 n)) / 2.
  """
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
  """Principal directions of random poses about the mean pose.

  Args:
    axes: [15, 3, 3] axes of the joints.
    mean_pose: [45] radians.
    count: number of random poses.
    seed: of the poses.

  Returns:
    [45, 45], orthonormal rows, largest variance first.
  """
  poses = angles_to_pose(sample_angles_deg(count, seed), axes) - mean_pose
  # Hinges leave directions without variance. A small variance, different for each, makes their basis unique.
  _, columns = np.linalg.eigh(poses.T @ poses / count + NULL_VARIANCE * np.diag(np.linspace(1, 0.5, poses.shape[1])))
  rows = columns.T[::-1]
  # The sign of an eigenvector is arbitrary: its largest entry is made positive, so that builds agree.
  largest = np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], axis=1)
  return rows * np.sign(largest)
