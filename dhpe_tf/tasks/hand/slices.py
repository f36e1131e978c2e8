"""Results by kind of image: side, occlusion, size, view, and how far a hand is from those that were trained on.

The HANDS 2019 challenge (Armagan et al., ECCV 2020) tells interpolation from extrapolation over pose, view and shape,
because a mean over both hides what a model has not learnt. Its split was made by hand; here a hand counts as
extrapolation where its nearest training hand is farther off than is usual among training hands.
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
_FAR = 0.95  # quantile of the distances between neighbours in training beyond which a hand is an extrapolation
_SIZES_PX = (64, 128)
_CROP_MARGIN = 1.5
_MIDDLE, _INDEX, _LITTLE = (skeletons.KEYPOINT_NAMES.index(name) for name in ('middle1', 'index1', 'little1'))

Labels = Mapping[str, np.ndarray]


def assign(labels: Labels, training: Labels) -> dict[str, np.ndarray]:
  """Says of each image which slices it belongs to.

  Args:
    labels: of N images, by the names of the batch.
    training: of the images that the model has seen; empty if unknown.

  Returns:
    By criterion the names [N] of the slices, '' where the labels do not tell.
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
  return np.where(known, names, '')


def _fully_labelled(labels: Labels) -> np.ndarray:
  """Images [N] all of whose keypoints are labelled in 3D."""
  return (labels['joints_3d_weight'] > 0).all(1) & np.isfinite(labels['joints_3d_m']).all((1, 2))


def _by_size(labels: Labels) -> np.ndarray:
  small, large = _SIZES_PX
  names = np.array([f'below {small} px', f'{small} to {large} px', f'above {large} px'])
  return names[np.searchsorted(_SIZES_PX, labels['crop_side_px'] / _CROP_MARGIN, side='right')]


def _by_occlusion(labels: Labels) -> np.ndarray:
  labelled = labels['joints_2d_weight'] > 0
  hidden = (labelled & (labels['visibility'] <= 0)).sum(1) / np.maximum(labelled.sum(1), 1)
  return np.where(labelled.any(1), np.where(hidden == 0, 'none', np.where(hidden <= 0.5, 'up to half', 'more')), '')


def _by_view(joints_m: np.ndarray) -> np.ndarray:
  """Whether the camera sees the palm, the back or the side of right hands [N, 21, 3]."""
  # The third axis of the palm points out of the back; it faces the camera where it points against the depth axis.
  cosine = -_palm_frames(joints_m)[:, 2, 2]
  return np.where(cosine > 0.5, 'back', np.where(cosine < -0.5, 'palm', 'side'))


def _palm_frames(joints_m: np.ndarray) -> np.ndarray:
  """Axes of the palm in rows, [N, 3, 3]: wrist to middle knuckle, across toward the thumb, out of the back."""
  wrist = joints_m[:, skeletons.WRIST]
  along = _unit(joints_m[:, _MIDDLE] - wrist)
  # Of a right hand with its fingers up and the back toward us, the index is on the left.
  back = _unit(np.cross(joints_m[:, _LITTLE] - wrist, joints_m[:, _INDEX] - wrist))
  return np.stack([along, np.cross(back, along), back], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
  return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _describe(joints_m: np.ndarray) -> dict[str, np.ndarray]:
  """Hands [N, 21, 3] as points [N, D] whose distances tell how unlike they are, by criterion."""
  frames = _palm_frames(joints_m)
  parents, children = np.transpose(skeletons.BONES)
  offsets = joints_m[:, children] - joints_m[:, parents]
  count = len(joints_m)
  return {
      # Directions of the bones alone, so that a large hand in a pose is near a small one in the same.
      'pose': np.einsum('nij,nkj->nki', frames, _unit(offsets)).reshape(count, -1),
      'viewpoint': frames.reshape(count, -1),
      'shape': np.linalg.norm(offsets, axis=-1),
  }


def _by_distance(asked: np.ndarray, seen: np.ndarray) -> np.ndarray:
  """Whether the nearest of the points `seen` is as near as is usual among themselves."""
  tree = spatial.cKDTree(seen)
  usual = np.quantile(tree.query(seen, k=2)[0][:, 1], _FAR)
  return np.where(tree.query(asked)[0] <= usual, 'interpolation', 'extrapolation')
