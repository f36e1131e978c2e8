"""Pose-dependent correctives (posedirs) that preserve the volume of bent fingers.

Linear blend skinning averages rotation matrices, so a bent joint loses its knuckle and its sides sink in. The
correctives of each joint are fitted in four steps:

1. The joint alone is bent through its range (`_turns`).
2. The wanted surface is built for each bend (`_wanted`): every vertex outside the bend moves on an arc about the joint,
   by its share of the angle; then the flesh around the joint swells, most on the palm's side, until the closed mesh has
   its rest volume.
3. The difference between the wanted and the skinned surface is carried back to the rest pose (`_rest_offsets`) and
   smoothed over the surface.
4. Ridge regression fits it by MANO's features R - I of that joint alone. Correctives of several joints therefore add
   up, and each is zero far from its joint.
"""
import numpy as np
from scipy.spatial.transform import Rotation

from data_tools.hand_building import pose_space
from data_tools.hand_building.rig import neighbour_averaging, smooth_step
from dhpe_tf.hand.skeletons import PARENTS

# Number of angles in the range of flexion, abduction and twist.
GRID = (9, 3, 3)
RIDGE = 1e-3
# Radius of the swelling around a joint in lengths of an adjacent bone, and the swelling of the back relative to the
# palm.
SWELLING_REACH, BACK_SHARE = 1.2, 0.4
INSIDE_SHARPNESS, VOLUME_ROUNDS, SMOOTHING_ROUNDS = 0.7, 6, 3
# Vertices with a larger weight of other fingers do not swell.
MAX_FOREIGN_WEIGHT = 0.3
WRIST_MARGIN_M = 0.01
NEGLIGIBLE_M = 2e-5


def closed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
  """Signed volume inside a closed mesh with outward faces: sum over faces (a, b, c) of a . (b x c) / 6.

  Args:
    vertices: [V, 3] metres.
    faces: [F, 3].

  Returns:
    Cubic metres.
  """
  a, b, c = np.moveaxis(vertices[faces], 1, 0)
  return float(np.einsum('fi,fi->', a, np.cross(b, c)) / 6)


def volume_gradient(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
  """Derivative of `closed_volume` by the vertices, [V, 3]: a third of the area vectors of the faces around each."""
  a, b, c = np.moveaxis(vertices[faces], 1, 0)
  gradient = np.zeros_like(vertices)
  for k, value in enumerate((np.cross(b, c), np.cross(c, a), np.cross(a, b))):
    np.add.at(gradient, faces[:, k], value / 6)
  return gradient


def fit_posedirs(vertices: np.ndarray, faces: np.ndarray, joints: np.ndarray, weights: np.ndarray,
                 axes: np.ndarray) -> np.ndarray:
  """Fits the correctives of all joints.

  For each joint with T bends, features Phi [T, 9] (R - I, row by row), offsets D [T, 3 V] of the rest vertices and the
  weight RIDGE:

    P = (Phi^T Phi + RIDGE T I)^-1 Phi^T D    [9, 3 V].

  Args:
    vertices: [V, 3] rest pose, metres.
    faces: [F, 3] closed mesh.
    joints: [16, 3] metres.
    weights: [V, 16].
    axes: [15, 3, 3] from `joint_angles.axes_of`.

  Returns:
    [V, 3, 135] metres.
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
  """Numbers of a joint and of those after it on its finger."""
  return list(range(joint, _finger(joint)[-1] + 1))


def _finger(joint: int) -> list[int]:
  """Numbers of the three joints on a joint's finger."""
  first = joint - (joint - 1) % 3
  return [first, first + 1, first + 2]


def _turns(joint: int, axes: np.ndarray) -> Rotation:
  """Rotations of one joint on a grid over its limits, R_flexion R_abduction R_twist.

  Args:
    joint: 1 to 15.
    axes: [3, 3] axes of flexion, abduction and twist.
  """
  limits = pose_space.limits_deg()[joint - 1]
  steps = [np.linspace(low, high, count) if high > low else np.zeros(1)
           for (low, high), count in zip(limits, GRID)]
  angles = np.deg2rad(np.stack(np.meshgrid(*steps, indexing='ij'), axis=-1).reshape(-1, 3))
  turns = [Rotation.from_rotvec(angles[:, k, None] * axes[k]) for k in range(3)]
  return turns[0] * turns[1] * turns[2]


def _swelling(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, joint: int,
              axes: np.ndarray) -> np.ndarray:
  """Share of each vertex in the swelling around a joint, [V]: 1 at the joint on the palm's side, 0 far away.

  Args:
    vertices: [V, 3] metres.
    joints: [16, 3] metres.
    weights: [V, 16].
    joint: 1 to 15.
    axes: [3, 3] of the joint.
  """
  own = _finger(joint)
  foreign = 1 - weights[:, [0] + own].sum(1)
  far, near = (joint + 1, joint) if joint == own[0] else (joint, joint - 1)
  reach = SWELLING_REACH * np.linalg.norm(joints[far] - joints[near])
  away = vertices - joints[joint]
  distance = np.linalg.norm(away, axis=1)
  # Flexion moves the bone (axes[2]) toward the palm, so flexion axis x bone points there.
  palm = np.cross(axes[0], axes[2])
  side = away @ palm
  palmar = smooth_step(0.5 + 0.5 * side / np.maximum(distance, 1e-9))
  # The forearm does not swell, and neither does the rim of the opening: the wrist lies at x = 0.
  hand = smooth_step(0.5 - vertices[:, 0] / WRIST_MARGIN_M) * (foreign < MAX_FOREIGN_WEIGHT)
  return smooth_step(1 - distance / reach) * (BACK_SHARE + (1 - BACK_SHARE) * palmar) * hand


def _wanted(vertices: np.ndarray, faces: np.ndarray, centre: np.ndarray, carried: np.ndarray, bone: np.ndarray,
            swelling: np.ndarray, turn: Rotation) -> np.ndarray:
  """Returns the wanted surface [V, 3] for one bend of a joint: arcs outside the bend, and the volume of the rest pose.

  With r = v - centre and the carried share w of a vertex v, the arc turns r by w times the angle, and the chord is
  plain skinning, r + w (R r - r). A smooth step blends from arc to chord toward the inside of the bend. Newton steps
  along the normals n, weighted by the swelling s, then restore the volume Vol, whose gradient is G:

    v <- v + s n (Vol_rest - Vol) / sum_v (s n . G).

  Args:
    vertices: [V, 3] rest pose, metres.
    faces: [F, 3] closed mesh.
    centre: [3] the joint.
    carried: [V] weight of the joint and those after it.
    bone: [3] unit vector along the bone.
    swelling: [V] from `_swelling`.
    turn: rotation of the joint.
  """
  rest_volume = closed_volume(vertices, faces)
  away = vertices - centre
  arc = Rotation.from_rotvec(carried[:, None] * turn.as_rotvec()).apply(away)
  chord = away + carried[:, None] * (turn.apply(away) - away)
  # The flesh folds inside the bend, where the shorter path of plain skinning makes a better crease.
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
  """Offsets [T, V, 3] in the rest pose that skinning carries to the wanted surfaces [T, V, 3].

    B d = wanted - skinned,    B = I + w (R - I),    skinned = centre + B (v - centre).

  Args:
    vertices: [V, 3] rest pose, metres.
    centre: [3] the joint.
    carried: w [V].
    turns: T rotations R.
    wanted: [T, V, 3] metres.
  """
  blended = np.eye(3) + carried[:, None, None] * (turns.as_matrix() - np.eye(3))[:, None]
  skinned = centre + np.einsum('tvij,vj->tvi', blended, vertices - centre)
  return np.linalg.solve(blended, (wanted - skinned)[..., None])[..., 0]
