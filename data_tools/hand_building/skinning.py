"""Linear blend skinning in NumPy, to build and check the model; elsewhere use dhpe_tf.hand.mano_layer."""
from typing import Optional

import numpy as np
from scipy.spatial.transform import Rotation

from dhpe_tf.hand.skeletons import PARENTS


def global_transforms(joints: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Forward kinematics: the rigid motion of each joint's frame from rest to pose.

    R_k = R_parent R_k_local,    t_k = R_parent J_k + t_parent - R_k J_k.

  Args:
    joints: J [16, 3] rest joints, metres.
    pose: [45] axis-angle of joints 1 to 15, radians, about the rest pose.

  Returns:
    rotations [16, 3, 3] and translations [16, 3]: joint k carries x to rotations[k] @ x + translations[k].
  """
  local = Rotation.from_rotvec(np.asarray(pose, np.float64).reshape(15, 3)).as_matrix()
  rotations, translations = [np.eye(3)], [np.zeros(3)]
  for k in range(1, len(PARENTS)):
    parent = PARENTS[k]
    rotation = rotations[parent] @ local[k - 1]
    origin = rotations[parent] @ joints[k] + translations[parent]
    rotations.append(rotation)
    translations.append(origin - rotation @ joints[k])
  return np.stack(rotations), np.stack(translations)


def skin(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, pose: np.ndarray,
         posedirs: Optional[np.ndarray] = None) -> np.ndarray:
  """Poses a mesh: v' = sum_k w_vk (R_k v + t_k), with v the rest vertex plus its corrective.

  Args:
    vertices: [V, 3] metres.
    joints: [16, 3] metres.
    weights: [V, 16].
    pose: [45] axis-angle, radians.
    posedirs: [V, 3, 135] pose correctives, or None.

  Returns:
    [V, 3] metres.
  """
  if posedirs is not None:
    vertices = vertices + posedirs @ pose_features(pose)
  rotations, translations = global_transforms(joints, pose)
  blended = np.tensordot(weights, rotations, 1)
  return np.einsum('vij,vj->vi', blended, vertices) + weights @ translations


def pose_features(pose: np.ndarray) -> np.ndarray:
  """MANO's 135 pose features: R - I of joints 1 to 15, row by row."""
  return (Rotation.from_rotvec(np.asarray(pose, np.float64).reshape(15, 3)).as_matrix() - np.eye(3)).ravel()
