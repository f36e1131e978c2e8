"""Pose-dependent correctives (posedirs) that keep the fingers' volume when they bend.

Linear blend skinning averages rotation matrices, so a bent joint loses its knuckle and its sides sink in. Each joint is
bent alone through its range; the wanted surface turns every vertex outside the bend by its share of the angle about the
joint (so that its distance to the joint stays), then swells the flesh around the joint, most on the palm's side, until
the closed mesh has its rest volume. What skinning lacks to that, taken back to the rest pose and smoothed over the
surface, is fitted by ridge regression to MANO's features R - I of that joint alone, so that the correctives of
different joints add up and are zero away from their joint.
"""
import numpy as np
from scipy.spatial.transform import Rotation

from data_tools.hand_building import pose_space
from data_tools.hand_building.rig import neighbour_averaging, smooth_step
from dhpe_tf.hand.skeletons import PARENTS

# Steps through the range of flexion, abduction and twist.
GRID = (9, 3, 3)
RIDGE = 1e-3
# Where the swelling around a joint ends, in lengths of a bone next to it, and the share that the back swells by.
SWELLING_REACH, BACK_SHARE = 1.2, 0.4
INSIDE_SHARPNESS, VOLUME_ROUNDS, SMOOTHING_ROUNDS = 0.7, 6, 3
# Vertices that other fingers carry by more than this do not swell.
MAX_FOREIGN_WEIGHT = 0.3
WRIST_MARGIN_M = 0.01
NEGLIGIBLE_M = 2e-5


def closed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
  """Signed volume inside a closed mesh with outward faces."""
  a, b, c = np.moveaxis(vertices[faces], 1, 0)
  return float(np.einsum('fi,fi->', a, np.cross(b, c)) / 6)


def volume_gradient(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
  """Derivative [V, 3] of `closed_volume`; it is a third of the area vector of the faces around each vertex."""
  a, b, c = np.moveaxis(vertices[faces], 1, 0)
  gradient = np.zeros_like(vertices)
  for k, value in enumerate((np.cross(b, c), np.cross(c, a), np.cross(a, b))):
    np.add.at(gradient, faces[:, k], value / 6)
  return gradient


def fit_posedirs(vertices: np.ndarray, faces: np.ndarray, joints: np.ndarray, weights: np.ndarray,
                 axes: np.ndarray) -> np.ndarray:
  """Fits the correctives of all joints.

  Args:
    vertices: [V, 3] rest pose, metres.
    faces: [F, 3] closed mesh.
    joints: [16, 3] metres.
    weights: [V, 16].
    axes: [15, 3, 3] from `joint_angles.axes_of`.

  Returns:
    [V, 3, 135].
  """
  posedirs = np.zeros((len(vertices), 3, 9 * len(axes)))
  averaging = neighbour_averaging(faces, len(vertices))
  for joint in range(1, len(PARENTS)):
    carried = weights[:, _descendants(joint)].sum(1)
    swelling = _swelling(vertices, joints, weights, joint, axes[joint - 1])
    turns = _turns(joint, axes[joint - 1])
    wanted = np.stack([_wanted(vertices, faces, joints[joint], carried, axes[joint - 1, 2], swelling, turn)
                       for turn in turns])
    offsets = _rest_offsets(vertices, joints[joint], carried, turns, wanted)
    for _ in range(SMOOTHING_ROUNDS):
      offsets = 0.5 * (offsets + averaging @ offsets)
    features = (turns.as_matrix() - np.eye(3)).reshape(len(turns), 9)
    gram = features.T @ features + RIDGE * len(turns) * np.eye(9)
    solution = np.linalg.solve(gram, features.T @ offsets.reshape(len(turns), -1)).reshape(9, -1, 3)
    posedirs[:, :, 9 * joint - 9:9 * joint] = np.moveaxis(solution, 0, -1)
  posedirs[np.abs(posedirs) < NEGLIGIBLE_M] = 0
  return posedirs


def _descendants(joint: int) -> list[int]:
  """The joint and those after it on its finger."""
  return list(range(joint, _finger(joint)[-1] + 1))


def _finger(joint: int) -> list[int]:
  first = joint - (joint - 1) % 3
  return [first, first + 1, first + 2]


def _turns(joint: int, axes: np.ndarray) -> Rotation:
  """Rotations of one joint over a grid of its limits."""
  limits = pose_space.limits_deg()[joint - 1]
  steps = [np.linspace(low, high, count) if high > low else np.zeros(1)
           for (low, high), count in zip(limits, GRID)]
  angles = np.deg2rad(np.stack(np.meshgrid(*steps, indexing='ij'), axis=-1).reshape(-1, 3))
  turns = [Rotation.from_rotvec(angles[:, k, None] * axes[k]) for k in range(3)]
  return turns[0] * turns[1] * turns[2]


def _swelling(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, joint: int,
              axes: np.ndarray) -> np.ndarray:
  """How much [V] each vertex takes part in the swelling around a joint: 1 at the joint on the palm's side, 0 away."""
  own = _finger(joint)
  foreign = 1 - weights[:, [0] + own].sum(1)
  far, near = (joint + 1, joint) if joint == own[0] else (joint, joint - 1)
  reach = SWELLING_REACH * np.linalg.norm(joints[far] - joints[near])
  away = vertices - joints[joint]
  distance = np.linalg.norm(away, axis=1)
  # Bending carries the bone (axes[2]) toward the palm: flexion x bone.
  palm = np.cross(axes[0], axes[2])
  side = away @ palm
  palmar = smooth_step(0.5 + 0.5 * side / np.maximum(distance, 1e-9))
  # The forearm does not swell, nor the rim of the opening with it: the wrist lies at x = 0.
  hand = smooth_step(0.5 - vertices[:, 0] / WRIST_MARGIN_M) * (foreign < MAX_FOREIGN_WEIGHT)
  return smooth_step(1 - distance / reach) * (BACK_SHARE + (1 - BACK_SHARE) * palmar) * hand


def _wanted(vertices: np.ndarray, faces: np.ndarray, centre: np.ndarray, carried: np.ndarray, bone: np.ndarray,
            swelling: np.ndarray, turn: Rotation) -> np.ndarray:
  """The surface wanted when one joint turns: arcs about the joint outside the bend, and the rest pose's volume."""
  rest_volume = closed_volume(vertices, faces)
  away = vertices - centre
  arc = Rotation.from_rotvec(carried[:, None] * turn.as_rotvec()).apply(away)
  chord = away + carried[:, None] * (turn.apply(away) - away)
  # On the inside of the bend flesh folds: there the shorter way of plain skinning makes the better crease.
  axis = turn.as_rotvec() / max(turn.magnitude(), 1e-9)
  inside = away @ np.cross(axis, bone) / np.maximum(np.linalg.norm(away, axis=1), 1e-9)
  posed = centre + arc + smooth_step(0.5 + INSIDE_SHARPNESS * inside)[:, None] * (chord - arc)
  for _ in range(VOLUME_ROUNDS):
    gradient = volume_gradient(posed, faces)
    normals = gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-12)
    direction = swelling[:, None] * normals
    posed = posed + direction * (rest_volume - closed_volume(posed, faces)) / (direction * gradient).sum()
  return posed


def _rest_offsets(vertices: np.ndarray, centre: np.ndarray, carried: np.ndarray, turns: Rotation,
                  wanted: np.ndarray) -> np.ndarray:
  """Offsets [T, V, 3] in the rest pose that skinning carries to the wanted surfaces [T, V, 3]."""
  blended = np.eye(3) + carried[:, None, None] * (turns.as_matrix() - np.eye(3))[:, None]
  skinned = centre + np.einsum('tvij,vj->tvi', blended, vertices - centre)
  return np.linalg.solve(blended, (wanted - skinned)[..., None])[..., 0]
