"""Varies fingers and palm of a hand separately; MakeHuman's targets lengthen or thicken all fingers at once only.

Spreads are relative standard deviations. Finger lengths relative to the palm vary by 4 to 5 % between people, partly
together and partly each by itself, so the ratio of index to ring varies by about 4 %. Breadths vary a little more.
"""
from dataclasses import dataclass

import numpy as np

from data_tools.hand_building.rig import FINGERS, FIRST_JOINT

FINGERS_LENGTH_SPREAD, PHALANX_LENGTH_SPREAD = 0.03, 0.015
# Index, middle, little, ring, thumb; thumb and little finger vary most.
FINGER_LENGTH_SPREADS = (0.03, 0.03, 0.04, 0.03, 0.045)
GIRTH_SPREAD, FINGER_GIRTH_SPREAD = 0.07, 0.03
PALM_LENGTH_SPREAD, PALM_WIDTH_SPREAD, PALM_THICKNESS_SPREAD = 0.02, 0.045, 0.04
CLIP = 2.5


@dataclass(frozen=True)
class HandVariation:
  """Sizes of P hands relative to MakeHuman's.

  Attributes:
    length: [P, 5, 3] of the fingers' bones.
    girth: [P, 5, 3] of the fingers' bones.
    palm: [P, 3] along the x, y and z axes of the rest frame.
  """

  length: np.ndarray
  girth: np.ndarray
  palm: np.ndarray


def sample_variation(count: int, seed: int) -> HandVariation:
  """Draws independent variations for `count` hands: one size for all fingers, one for each, and one for each bone."""
  rng = np.random.default_rng(seed)

  def normal(spread, *shape):
    return spread * np.clip(rng.normal(size=(count, *shape)), -CLIP, CLIP)

  length = 1 + normal(FINGERS_LENGTH_SPREAD, 1, 1) + np.reshape(FINGER_LENGTH_SPREADS, (5, 1)) * normal(1.0, 5, 1)
  length = length + normal(PHALANX_LENGTH_SPREAD, 5, 3)
  girth = 1 + normal(GIRTH_SPREAD, 1, 1) + normal(FINGER_GIRTH_SPREAD, 5, 1)
  palm = 1 + np.array([PALM_LENGTH_SPREAD, PALM_WIDTH_SPREAD, PALM_THICKNESS_SPREAD]) * normal(1.0, 3)
  return HandVariation(length, np.broadcast_to(girth, length.shape), palm)


def vary(vertices: np.ndarray, joints: np.ndarray, tips: np.ndarray, weights: np.ndarray,
         variation: HandVariation) -> tuple[np.ndarray, np.ndarray]:
  """Stretches each bone along itself and across, and the palm along the rest frame's axes.

  Bone k moves by x -> M_k x + s_k, M_k from `_stretch`, s_k such that its joint lies at the end of the bone before.
  Vertices blend these by their skinning weights, so the surface stays smooth:

    v' = sum_k w_vk (M_k v + s_k).

  Args:
    vertices: [P, V, 3] in the rest frame (wrist at the origin), metres.
    joints: [P, 16, 3] metres.
    tips: [P, 5, 3] fingertips in the order of FINGERS, metres.
    weights: [V, 16].
    variation: P variations.

  Returns:
    vertices [P, V, 3] and joints [P, 16, 3].
  """
  new_joints = np.zeros_like(joints)
  new_joints[:, 0] = joints[:, 0] * variation.palm
  matrices = np.zeros(joints.shape + (3,))
  matrices[:, 0] = variation.palm[:, :, None] * np.eye(3)
  for i, finger in enumerate(FINGERS):
    first = FIRST_JOINT[finger]
    chain = np.concatenate([joints[:, first:first + 3], tips[:, i:i + 1]], axis=1)
    position = joints[:, first] * variation.palm
    for k in range(3):
      matrix = _stretch(chain[:, k + 1] - chain[:, k], variation.length[:, i, k], variation.girth[:, i, k])
      new_joints[:, first + k], matrices[:, first + k] = position, matrix
      position = position + np.einsum('pij,pj->pi', matrix, chain[:, k + 1] - chain[:, k])
  shift = new_joints - np.einsum('pkij,pkj->pki', matrices, joints)
  blended = np.einsum('vk,pkij->pvij', weights, matrices, optimize=True)
  return (np.einsum('pvij,pvj->pvi', blended, vertices, optimize=True)
          + np.einsum('vk,pki->pvi', weights, shift, optimize=True)), new_joints


def _stretch(bone: np.ndarray, length: np.ndarray, girth: np.ndarray) -> np.ndarray:
  """Matrices [P, 3, 3] that scale by `length` [P] along the bone [P, 3] and by `girth` [P] across it.

  With the unit vector b along the bone, M = girth (I - b b^T) + length b b^T.
  """
  along = bone / np.linalg.norm(bone, axis=1, keepdims=True)
  outer = along[:, :, None] * along[:, None, :]
  return girth[:, None, None] * (np.eye(3) - outer) + length[:, None, None] * outer
