"""How far a hand's fingers run into each other or into the palm, by spheres along the bones.

The spheres' radii are measured on the model's own skin. Overlaps that exist at rest (neighbouring knuckles) do not
count.
"""
import functools
from typing import NamedTuple

import numpy as np

from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import HandModel

_SPHERES_PER_BONE = 5
# Skin is soft: spheres of this share of the skin's distance from the bone may not meet. The palm is softer, and hollows
# when the hand closes, which the model's palm does not.
_FIRMNESS, _PALM_FIRMNESS = 0.85, 0.4


class SphereModel(NamedTuple):
  """Spheres whose centres are fixed mixtures of the keypoints.

  Attributes:
    mixture: [P, 21].
    first, second: [M] spheres of the pairs that may not overlap (different fingers, finger and palm).
    contact_m: [M] distance of the centres at which a pair touches, at most their distance at rest.
  """

  mixture: np.ndarray
  first: np.ndarray
  second: np.ndarray
  contact_m: np.ndarray


@functools.lru_cache(maxsize=8)
def sphere_model(hand_model: HandModel) -> SphereModel:
  """The spheres of a model: five along each bone, with radii from its skin, and the pairs that may not overlap."""
  mixture, fingers, radii = [], [], []
  for parent, child in skeletons.BONES:
    radius = _bone_radius(hand_model, parent, child)
    palm = parent == 0
    # The thumb's metacarpal lies in the palm as a whole: no part of it collides.
    if palm and skeletons.KEYPOINT_NAMES[child] == 'thumb1':
      continue
    for share in np.linspace(0, 1, _SPHERES_PER_BONE + 1)[1:] - 0.5 / _SPHERES_PER_BONE:
      mixture.append(np.eye(21)[parent] * (1 - share) + np.eye(21)[child] * share)
      fingers.append('palm' if palm else skeletons.KEYPOINT_NAMES[child][:-1])
      radii.append(radius * (_PALM_FIRMNESS if palm else _FIRMNESS))
  mixture, radii = np.array(mixture), np.array(radii)
  first, second = np.triu_indices(len(mixture), 1)
  apart = np.array(fingers)[first] != np.array(fingers)[second]
  first, second = first[apart], second[apart]
  centres = mixture @ hand_model.rest_keypoints
  at_rest = np.linalg.norm(centres[first] - centres[second], axis=1)
  return SphereModel(mixture, first, second, np.minimum(radii[first] + radii[second], at_rest))


def _bone_radius(hand_model: HandModel, parent: int, child: int) -> float:
  """Median distance, metres, of the skin from the bone that carries it."""
  start, end = hand_model.rest_keypoints[[parent, child]]
  carried = hand_model.weights[:, skeletons.MANO_JOINT_NAMES.index(skeletons.KEYPOINT_NAMES[parent])] > 0.5
  points = hand_model.v_template[carried] - start
  bone = end - start
  along = points @ bone / (bone @ bone)
  beside = (along > 0.1) & (along < 0.9)
  distances = np.linalg.norm(points - along[:, None] * bone, axis=1)[beside]
  if parent == 0:
    # The palm is wide: the nearest skin gives its thickness.
    return float(np.quantile(distances, 0.1))
  return float(np.median(distances))


def penetration_m(keypoints: np.ndarray, hand_model: HandModel, chunk: int = 512) -> np.ndarray:
  """The deepest overlap of two spheres, metres.

    max over pairs (i, j) of max(contact_ij - |c_i - c_j|, 0), c the spheres' centres.

  Args:
    keypoints: [N, 21, 3] metres, of hands of about the model's mean size.
    hand_model: whose spheres to use.
    chunk: number of hands computed at a time, which bounds the memory.

  Returns:
    [N], zero where nothing overlaps.
  """
  spheres = sphere_model(hand_model)
  depths = []
  for start in range(0, len(keypoints), chunk):
    centres = spheres.mixture.astype(keypoints.dtype) @ keypoints[start:start + chunk]  # [n, P, 3]
    apart = np.linalg.norm(np.take(centres, spheres.first, axis=1) - np.take(centres, spheres.second, axis=1), axis=-1)
    depths.append(np.max(spheres.contact_m - apart, axis=1).clip(0))
  return np.concatenate(depths) if depths else np.zeros([0])
