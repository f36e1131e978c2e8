"""Joints, skinning weights and rest frame of the hand, from MakeHuman's joint cubes and bone weights.

MANO's joint order: wrist, then three joints each of index, middle, little, ring and thumb, base to tip. The rest frame
has the wrist at the origin, the fingers toward -x, the back of the hand +y and the thumb +z. Lengths are metres.
"""
import numpy as np

from data_tools.hand_building.cut import cube_centre
from data_tools.hand_building.source import BodySource
from dhpe_tf.geometry import meshes
from dhpe_tf.hand.skeletons import PARENTS

# MakeHuman numbers the fingers from the thumb; this is MANO's order.
FINGERS = ('index', 'middle', 'little', 'ring', 'thumb')
FINGER_NUMBERS = {'thumb': 1, 'index': 2, 'middle': 3, 'ring': 4, 'little': 5}
FIRST_JOINT = {name: 1 + 3 * i for i, name in enumerate(FINGERS)}
TIP_VERTICES = {'index': 1927, 'middle': 2119, 'little': 2503, 'ring': 2311, 'thumb': 2680}

# MakeHuman's knuckles sit at the webs of the fingers, where a fist breaks through the back of the hand; this share of
# the way to the wrist puts them where anatomy has them.
KNUCKLE_MOVES = {'index': 0.118, 'middle': 0.122, 'ring': 0.127, 'little': 0.088}
# MakeHuman's thumb base is 30 mm from the next joint; the metacarpal of a hand of this size has 46 mm.
THUMB_BASE_MOVE_M = (0.0213, 0.0028, -0.0034)
# What hand landmark nets and data sets call the thumb's base, measured on photographs against MakeHuman's joint.
THUMB_BASE_KEYPOINT_MOVE_M = (0.0117, -0.0097, -0.0013)
MERGED_INTO_WRIST = ('wrist.R', 'metacarpal1.R', 'metacarpal2.R', 'metacarpal3.R', 'metacarpal4.R', 'lowerarm01.R',
                     'lowerarm02.R')
MAX_INFLUENCES, MIN_INFLUENCE = 5, 5e-3
# The thumb's flesh: all of it within the first distance of the metacarpal's axis, none beyond the second.
THENAR_RADII_M = (0.012, 0.026)
# Where its weights are smoothed, and how often each vertex takes the mean of its neighbours there.
SMOOTHED_RADII_M, SMOOTHING_ROUNDS = (0.022, 0.045), 8


def rest_frame(wrist: np.ndarray, index1: np.ndarray, middle1: np.ndarray, little1: np.ndarray) -> np.ndarray:
  """Rotation [3, 3] whose rows are the rest frame's axes in the given coordinates."""
  x = wrist - middle1
  x = x / np.linalg.norm(x)
  z = index1 - little1
  z = z - x * (x @ z)
  z = z / np.linalg.norm(z)
  return np.stack([x, np.cross(z, x), z])


def body_joints(vertices: np.ndarray, cubes: dict[str, np.ndarray],
                base_coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Skinning joints and the thumb's base keypoint of one body or of many.

  Args:
    vertices: [..., N, 3] vertices, those of the joint cubes among them.
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
  """Affine coordinates [2, 4] of the moved thumb base (joint, keypoint) over wrist, thumb, index and little cubes.

  Written so, the moves scale and turn with the hand of every person.
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
  """Skinning weights [H, 16] of the hand's vertices: forearm, wrist and palm bones merge into joint 0."""
  weights = np.zeros((len(vertex_ids), len(PARENTS)))
  weights[:, 0] = sum(source.weights[bone][vertex_ids] for bone in MERGED_INTO_WRIST)
  for finger, number in FINGER_NUMBERS.items():
    for k in range(3):
      weights[:, FIRST_JOINT[finger] + k] = source.weights[f'finger{number}-{k + 1}.R'][vertex_ids]
  return limit_influences(weights)


def soften_thumb(weights: np.ndarray, vertices: np.ndarray, faces: np.ndarray, joints: np.ndarray) -> np.ndarray:
  """Fits the weights around the thumb's metacarpal to its longer bone, and smooths them there.

  MakeHuman's weights belong to a base joint 20 mm further out; about the moved one they would tear the web between
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
  # The thumb's next joint, at 1, keeps its own crease: only the skin between it and the palm is smoothed there.
  mask = (_fall_off(distance, SMOOTHED_RADII_M) * (1 - thumb * smooth_step((along - 0.6) / 0.35)))[:, None]
  for _ in range(SMOOTHING_ROUNDS):
    raised = (1 - mask) * raised + mask * 0.5 * (raised + averaging @ raised)
  return limit_influences(raised)


def neighbour_averaging(faces: np.ndarray, count: int) -> np.ndarray:
  """Matrix [count, count] that gives each vertex the mean of its neighbours."""
  return np.eye(count) - meshes.uniform_laplacian(faces, count).toarray()


def smooth_step(x: np.ndarray) -> np.ndarray:
  """0 below 0, 1 above 1, a cubic with flat ends between."""
  x = np.clip(x, 0, 1)
  return x * x * (3 - 2 * x)


def _fall_off(distance: np.ndarray, radii: tuple[float, float]) -> np.ndarray:
  return smooth_step((radii[1] - distance) / (radii[1] - radii[0]))


def limit_influences(weights: np.ndarray, count: int = MAX_INFLUENCES) -> np.ndarray:
  """Keeps each row's `count` largest weights, if they count at all, and normalises the rows to sum 1."""
  order = np.argsort(-weights, axis=1, kind='stable')
  kept = weights.copy()
  np.put_along_axis(kept, order[:, count:], 0.0, axis=1)
  kept[kept < MIN_INFLUENCE] = 0
  return kept / kept.sum(1, keepdims=True)


def align(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
  """Rotations [P, 3, 3] that turn points [P, K, 3] best onto reference [K, 3], centroids removed (Kabsch).

  Use as `points @ rotation`.
  """
  centred = points - points.mean(-2, keepdims=True)
  covariance = np.swapaxes(centred, -1, -2) @ (reference - reference.mean(0))
  u, _, vt = np.linalg.svd(covariance)
  flip = np.ones(covariance.shape[:-2] + (3,))
  flip[..., 2] = np.linalg.det(u @ vt)
  return (u * flip[..., None, :]) @ vt
