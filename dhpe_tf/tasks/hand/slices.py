"""Kinds of images: by side, occlusion, size and view, and by distance to the training hands.

The HANDS 2019 challenge (Armagan et al., ECCV 2020) reports interpolation and extrapolation over pose, view and shape
separately, because a mean over both hides what a model has not learnt. Its split was made by hand. Here a hand counts
as extrapolation if its distance to the nearest training hand exceeds the usual distance among training hands.
"""
from collections.abc import Mapping

import numpy as np
from scipy import spatial

from dhpe_tf.hand import skeletons

DEFINITIONS = {
    'side': 'the labelled hand',
    'occlusion': 'labelled keypoints that are hidden: none, up to half, more',
    'hand size': 'side of the crop over 1.5, in pixels of the picture',
    'view': 'back of the hand turned within 60 degrees of the camera, palm likewise, or seen from the side',
    'pose': 'directions of the bones in the frame of the palm; far or near to the nearest training hand',
    'viewpoint': 'rotation of the palm against the camera; far or near likewise',
    'shape': 'lengths of the 20 bones; far or near likewise',
}
_NEAREST = ('pose', 'viewpoint', 'shape')
_FAR = 0.95  # quantile of nearest-neighbour distances in training; beyond it a hand is an extrapolation
_SIZES_PX = (64, 128)
_CROP_MARGIN = 1.5
_MIDDLE, _INDEX, _LITTLE = (skeletons.KEYPOINT_NAMES.index(name) for name in ('middle1', 'index1', 'little1'))

Labels = Mapping[str, np.ndarray]


def assign(labels: Labels, training: Labels) -> dict[str, np.ndarray]:
  """Assigns each image to a slice of each criterion.

  Args:
    labels: of N images, by the names of the batch.
    training: labels of the images that the model has seen; empty if unknown.

  Returns:
    criterion -> name of the slice [N], '' where the labels do not determine it.
  """
  result = {'hand size': _by_size(labels)}
  if 'is_left' in labels:
    result['side'] = np.where(labels['is_left'], 'left', 'right')
  if 'visibility' in labels:
    result['occlusion'] = _by_occlusion(labels)
  whole = _fully_labelled(labels)
  result['view'] = _where(whole, _by_view(labels['joints_3d_m']))
  known = training and _fully_labelled(training)
  if training and known.sum() >= 2:
    seen, asked = _describe(training['joints_3d_m'][known]), _describe(labels['joints_3d_m'])
    for criterion in _NEAREST:
      result[criterion] = _where(whole, _by_distance(asked[criterion], seen[criterion]))
  return result


def _where(known: np.ndarray, names: np.ndarray) -> np.ndarray:
  """The names [N], '' where they are not known."""
  return np.where(known, names, '')


def _fully_labelled(labels: Labels) -> np.ndarray:
  """Which images [N] have 3D labels of all keypoints."""
  return (labels['joints_3d_weight'] > 0).all(1) & np.isfinite(labels['joints_3d_m']).all((1, 2))


def _by_size(labels: Labels) -> np.ndarray:
  """Slices [N] by the size of the hand in the picture, in pixels."""
  small, large = _SIZES_PX
  names = np.array([f'below {small} px', f'{small} to {large} px', f'above {large} px'])
  return names[np.searchsorted(_SIZES_PX, labels['crop_side_px'] / _CROP_MARGIN, side='right')]


def _by_occlusion(labels: Labels) -> np.ndarray:
  """Slices [N] by the share of labelled keypoints that are hidden; '' without labels."""
  labelled = labels['joints_2d_weight'] > 0
  hidden = (labelled & (labels['visibility'] <= 0)).sum(1) / np.maximum(labelled.sum(1), 1)
  return np.where(labelled.any(1), np.where(hidden == 0, 'none', np.where(hidden <= 0.5, 'up to half', 'more')), '')


def _by_view(joints_m: np.ndarray) -> np.ndarray:
  """Slices [N] of right hands [N, 21, 3] by the side that faces the camera: 'back', 'palm' or 'side'."""
  # b is the palm's third axis, out of the back; cos(angle between b and the direction to the camera) = -b_z.
  cosine = -_palm_frames(joints_m)[:, 2, 2]
  return np.where(cosine > 0.5, 'back', np.where(cosine < -0.5, 'palm', 'side'))


def _palm_frames(joints_m: np.ndarray) -> np.ndarray:
  """Axes of the palm in rows, [N, 3, 3]: along the hand, across toward the thumb, out of the back.

  With wrist w and knuckles m (middle), i (index) and l (little), rows (a, c, a x c):

    a = unit(m - w),    c = unit(((l - w) x (i - w)) x a).
  """
  wrist = joints_m[:, skeletons.WRIST]
  along = _unit(joints_m[:, _MIDDLE] - wrist)
  # With fingers up and the back toward the viewer, a right hand has its index finger on the left.
  back = np.cross(joints_m[:, _LITTLE] - wrist, joints_m[:, _INDEX] - wrist)
  across = _unit(np.cross(back, along))
  return np.stack([along, across, np.cross(along, across)], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
  """Scales vectors [..., 3] to length one."""
  return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _describe(joints_m: np.ndarray) -> dict[str, np.ndarray]:
  """Describes hands by points [N, D], one set for each criterion; Euclidean distances tell how much hands differ.

  With R_n [3, 3] the axes of the palm (`_palm_frames`) and the 20 bones e:

    pose       R_n unit(bone_e) for all e, directions in the frame of the palm: D = 60
    viewpoint  R_n: D = 9
    shape      |bone_e|, metres: D = 20

  Args:
    joints_m: [N, 21, 3] metres.
  """
  frames = _palm_frames(joints_m)
  parents, children = np.transpose(skeletons.BONES)
  offsets = joints_m[:, children] - joints_m[:, parents]
  count = len(joints_m)
  return {
      # Directions without lengths, so that hands of different size in one pose are close.
      'pose': np.einsum('nij,nkj->nki', frames, _unit(offsets)).reshape(count, -1),
      'viewpoint': frames.reshape(count, -1),
      'shape': np.linalg.norm(offsets, axis=-1),
  }


def _by_distance(asked: np.ndarray, seen: np.ndarray) -> np.ndarray:
  """Classifies points as 'interpolation' or 'extrapolation' by their distance to the nearest seen point.

  The threshold is the 95 % quantile, over the seen points, of the distance to the nearest other seen point.

  Args:
    asked: [N, D].
    seen: [M, D], M >= 2.

  Returns:
    [N] names.
  """
  tree = spatial.cKDTree(seen)
  usual = np.quantile(tree.query(seen, k=2)[0][:, 1], _FAR)
  return np.where(tree.query(asked)[0] <= usual, 'interpolation', 'extrapolation')
