"""Joints, skinning weights and rest frame of the hand, from MakeHuman's joint cubes and bone weights.

MANO's joint order: wrist, then three joints each of index, middle, little, ring and thumb, base to tip. The rest frame
has the wrist at the origin, the fingers toward -x, the back of the hand +y and the thumb +z. Lengths are in metres.
"""
import numpy as np

from data_tools.hand_building.cut import cube_centre
from data_tools.hand_building.source import BodySource
from dhpe_tf.geometry import meshes
from dhpe_tf.hand.skeletons import PARENTS

# Fingers in MANO's order, and MakeHuman's numbers of them.
FINGERS = ('index', 'middle', 'little', 'ring', 'thumb')
FINGER_NUMBERS = {'thumb': 1, 'index': 2, 'middle': 3, 'ring': 4, 'little': 5}
FIRST_JOINT = {name: 1 + 3 * i for i, name in enumerate(FINGERS)}
TIP_VERTICES = {'index': 1927, 'middle': 2119, 'little': 2503, 'ring': 2311, 'thumb': 2680}

# MakeHuman's knuckles lie at the webs of the fingers, where the back of a fist would break. Moving them by this share
# of the way to the wrist puts them in their anatomical place.
KNUCKLE_MOVES = {'index': 0.118, 'middle': 0.122, 'ring': 0.127, 'little': 0.088}
# Moves the thumb's base joint. MakeHuman's is 30 mm from the next joint; the metacarpal of a hand of this size has 46
# mm.
THUMB_BASE_MOVE_M = (0.0213, 0.0028, -0.0034)
# Moves the thumb's base keypoint to where landmark networks and datasets put it, measured on photographs.
THUMB_BASE_KEYPOINT_MOVE_M = (0.0117, -0.0097, -0.0013)
MERGED_INTO_WRIST = ('wrist.R', 'metacarpal1.R', 'metacarpal2.R', 'metacarpal3.R', 'metacarpal4.R', 'lowerarm01.R',
                     'lowerarm02.R')
MAX_INFLUENCES, MIN_INFLUENCE = 5, 5e-3
# Distance from the metacarpal's axis up to which flesh belongs to the thumb, and from which none does.
THENAR_RADII_M = (0.012, 0.026)
# Its weights are smoothed fully within the first distance and not at all beyond the second; and the number of rounds.
SMOOTHED_RADII_M, SMOOTHING_ROUNDS = (0.022, 0.045), 8


def rest_frame(wrist: np.ndarray, index1: np.ndarray, middle1: np.ndarray, little1: np.ndarray) -> np.ndarray:
  """Axes of the rest frame in the given coordinates.

  With d = index1 - little1: x = unit(wrist - middle1), z = unit(d - x (x . d)), y = cross(z, x).

  Args:
    wrist: [3].
    index1: [3] knuckle.
    middle1: [3] knuckle.
    little1: [3] knuckle.

  Returns:
    [3, 3] rotation with the axes x, y, z in rows.
  """
  x = wrist - middle1
  x = x / np.linalg.norm(x)
  z = index1 - little1
  z = z - x * (x @ z)
  z = z / np.linalg.norm(z)
  return np.stack([x, np.cross(z, x), z])


def body_joints(vertices: np.ndarray, cubes: dict[str, np.ndarray],
                base_coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns skinning joints and the thumb's base keypoint of one body or of several.

  Args:
    vertices: [..., N, 3], including those of the joint cubes.
    cubes: name of a joint cube -> its rows in `vertices`.
    base_coordinates: [2, 4] from `thumb_base_coordinates`.

  Returns:
    joints [..., 16, 3] and the thumb base keypoint [..., 3], in the frame of `vertices`.
  """
  wrist = cube_centre(vertices, cubes, 'joint-r-hand')
  centres = {(finger, k): cube_centre(vertices, cubes, f'joint-r-finger-{number}-{k}')
             for finger, number in FINGER_NUMBERS.items() for k in (1, 2, 3)}
  joints = [wrist]
  for finger in FINGERS:
    share = KNUCKLE_MOVES.get(finger, 0.0)
    joints += [(1 - share) * centres[finger, 1] + share * wrist, centres[finger, 2], centres[finger, 3]]
  corners = np.stack([wrist] + [centres[finger, 1] for finger in ('thumb', 'index', 'little')], axis=-2)
  bases = base_coordinates @ corners
  joints[FIRST_JOINT['thumb']] = bases[..., 0, :]
  return np.stack(joints, axis=-2), bases[..., 1, :]


def thumb_base_coordinates(source: BodySource) -> np.ndarray:
  """Affine coordinates [2, 4] of the moved thumb base (joint, keypoint) over four joint cubes.

  The cubes are wrist, thumb, index and little. In these coordinates the moves scale and turn with every person's hand.
  With the cubes' centres c [4, 3] and the moved points t [2, 3] they are A = (t, 1) (c, 1)^-1.
  """
  names = ['joint-r-hand'] + [f'joint-r-finger-{FINGER_NUMBERS[f]}-1' for f in ('thumb', 'index', 'middle', 'little')]
  wrist, thumb, index, middle, little = (cube_centre(source.vertices, source.groups, name) for name in names)
  share = [KNUCKLE_MOVES[f] for f in ('index', 'middle', 'little')]
  moved = [(1 - t) * joint + t * wrist for t, joint in zip(share, (index, middle, little))]
  frame = rest_frame(wrist, *moved)
  targets = thumb + np.array([THUMB_BASE_MOVE_M, THUMB_BASE_KEYPOINT_MOVE_M]) @ frame
  corners = np.stack([wrist, thumb, index, little])
  system = np.concatenate([corners, np.ones((4, 1))], axis=1)
  return np.concatenate([targets, np.ones((2, 1))], axis=1) @ np.linalg.inv(system)


def merge_weights(source: BodySource, vertex_ids: np.ndarray) -> np.ndarray:
  """Returns skinning weights [H, 16] of the hand's vertices; forearm, wrist and palm bones merge into joint 0."""
  weights = np.zeros((len(vertex_ids), len(PARENTS)))
  weights[:, 0] = sum(source.weights[bone][vertex_ids] for bone in MERGED_INTO_WRIST)
  for finger, number in FINGER_NUMBERS.items():
    for k in range(3):
      weights[:, FIRST_JOINT[finger] + k] = source.weights[f'finger{number}-{k + 1}.R'][vertex_ids]
  return limit_influences(weights)


def soften_thumb(weights: np.ndarray, vertices: np.ndarray, faces: np.ndarray, joints: np.ndarray) -> np.ndarray:
  """Adapts the weights around the thumb's metacarpal to its moved base, and smooths them there.

  MakeHuman's weights belong to a base joint 20 mm farther out. With the moved joint they would tear the web between
  thumb and index and leave the ball of the thumb behind.

  Args:
    weights: [H, 16], rows sum to 1.
    vertices: [H, 3] at rest, metres.
    faces: [F, 3].
    joints: [16, 3] metres.

  Returns:
    [H, 16], rows sum to 1.
  """
  first = FIRST_JOINT['thumb']
  base, bone = joints[first], joints[first + 1] - joints[first]
  along = (vertices - base) @ bone / (bone @ bone)
  distance = np.linalg.norm(vertices - base - np.clip(along, 0, 1)[:, None] * bone, axis=1)
  thenar = smooth_step((along + 0.15) / 0.75) * _fall_off(distance, THENAR_RADII_M)
  thumb = weights[:, first:].sum(1)
  surplus = np.maximum(0, thenar - thumb)
  raised = weights * np.where(thumb < 1, (1 - thumb - surplus) / np.maximum(1 - thumb, 1e-12), 1)[:, None]
  raised[:, first:] = weights[:, first:]
  raised[:, first] += surplus
  averaging = neighbour_averaging(faces, len(vertices))
  # The thumb's next joint, at along = 1, keeps its crease: only the skin between it and the palm is smoothed.
  mask = (_fall_off(distance, SMOOTHED_RADII_M) * (1 - thumb * smooth_step((along - 0.6) / 0.35)))[:, None]
  for _ in range(SMOOTHING_ROUNDS):
    raised = (1 - mask) * raised + mask * 0.5 * (raised + averaging @ raised)
  return limit_influences(raised)


def neighbour_averaging(faces: np.ndarray, count: int) -> np.ndarray:
  """Matrix [count, count] that replaces each vertex by the mean of its neighbours: I - uniform Laplacian."""
  return np.eye(count) - meshes.uniform_laplacian(faces, count).toarray()


def smooth_step(x: np.ndarray) -> np.ndarray:
  """Smooth step from 0 (x <= 0) to 1 (x >= 1): x^2 (3 - 2 x)."""
  x = np.clip(x, 0, 1)
  return x * x * (3 - 2 * x)


def _fall_off(distance: np.ndarray, radii: tuple[float, float]) -> np.ndarray:
  """1 up to the first of two radii, 0 beyond the second, smooth between."""
  return smooth_step((radii[1] - distance) / (radii[1] - radii[0]))


def limit_influences(weights: np.ndarray, count: int = MAX_INFLUENCES) -> np.ndarray:
  """Keeps the `count` largest weights of each row, without negligible ones, and normalises the rows to sum 1."""
  order = np.argsort(-weights, axis=1, kind='stable')
  kept = weights.copy()
  np.put_along_axis(kept, order[:, count:], 0.0, axis=1)
  kept[kept < MIN_INFLUENCE] = 0
  return kept / kept.sum(1, keepdims=True)


def align(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
  """Rotations [P, 3, 3] that best turn point sets onto a reference, centroids removed (Kabsch): points @ rotation.

  With U S V^T the singular value decomposition of (points - mean)^T (reference - mean): rotation = U diag(1, 1, det(U
  V^T)) V^T.

  Args:
    points: [P, K, 3].
    reference: [K, 3].
  """
  centred = points - points.mean(-2, keepdims=True)
  covariance = np.swapaxes(centred, -1, -2) @ (reference - reference.mean(0))
  u, _, vt = np.linalg.svd(covariance)
  flip = np.ones(covariance.shape[:-2] + (3,))
  flip[..., 2] = np.linalg.det(u @ vt)
  return (u * flip[..., None, :]) @ vt
