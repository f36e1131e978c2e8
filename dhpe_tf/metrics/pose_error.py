"""Distances of keypoints from the truth, and the alignments after which they are measured.

All take points `[N, K, D]` (keypoints or vertices, any unit) and compute in float64; none changes its inputs. Below,
p_k are the points of a prediction, t_k those of the truth, and r is the root.
"""
from typing import NamedTuple, Optional

import numpy as np

from dhpe_tf.metrics import pck


class EndPointError(NamedTuple):
  """Mean and median distance, in the unit of the errors."""

  mean: float
  median: float


def joint_errors(predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
  """Euclidean distances |p_k - t_k| `[N, K]` between points `[N, K, D]`."""
  return np.linalg.norm(np.asarray(predictions, np.float64) - np.asarray(truth, np.float64), axis=-1)


def end_point_error(errors: np.ndarray, valid: Optional[np.ndarray] = None, per_keypoint: bool = True) -> EndPointError:
  """The end-point error (EPE).

  Args:
    errors: `[N, K]` distances.
    valid: `[N, K]`, entries above zero count; None counts all.
    per_keypoint: take mean and median for each keypoint, then the mean over keypoints (Zimmermann and Brox 2017,
      FreiHAND); False takes them over all valid entries together. The means agree where all entries are valid.

  Returns:
    The mean and the median.

  Raises:
    ValueError: no entry is valid.
  """
  errors, counts = pck.checked(errors, valid)
  if not per_keypoint:
    return EndPointError(float(errors[counts].mean()), float(np.median(errors[counts])))
  columns = [errors[counts[:, k], k] for k in np.flatnonzero(counts.any(0))]
  return EndPointError(float(np.mean([c.mean() for c in columns])), float(np.mean([np.median(c) for c in columns])))


def align_root(predictions: np.ndarray, truth: np.ndarray, root: int = 9) -> np.ndarray:
  """Moves each prediction `[N, K, D]` so that its root lies on the true one: p_k - p_r + t_r, `[N, K, D]`."""
  predictions, truth = np.asarray(predictions, np.float64), np.asarray(truth, np.float64)
  return predictions - predictions[:, root:root + 1] + truth[:, root:root + 1]


def align_root_bone(predictions: np.ndarray, truth: np.ndarray, root: int = 9,
                    bone: tuple[int, int] = (0, 9)) -> np.ndarray:
  """Scales each prediction so that one bone has its true length, then moves its root onto the true one.

    s (p_k - p_r) + t_r,    s = |t_a - t_b| / |p_a - p_b|.

  Args:
    predictions: `[N, K, D]`.
    truth: `[N, K, D]`.
    root: index r of the root keypoint.
    bone: indices (a, b) of the bone's ends.

  Returns:
    `[N, K, D]` in the frame of the truth.
  """
  predictions, truth = np.asarray(predictions, np.float64), np.asarray(truth, np.float64)
  lengths = [np.linalg.norm(points[:, bone[0]] - points[:, bone[1]], axis=-1) for points in (truth, predictions)]
  return _scale_about(predictions, truth, root, _ratio(*lengths))


def align_root_scale(predictions: np.ndarray, truth: np.ndarray, root: int = 9,
                     valid: Optional[np.ndarray] = None) -> np.ndarray:
  """Scales each prediction about its root by the least-squares factor, and moves the root onto the true one.

    s (p_k - p_r) + t_r,    s = sum_k (p_k - p_r) . (t_k - t_r) / sum_k |p_k - p_r|^2.

  Args:
    predictions: `[N, K, D]`.
    truth: `[N, K, D]`.
    root: index of the root keypoint.
    valid: `[N, K]`, keypoints above zero determine the factor; None takes all.

  Returns:
    `[N, K, D]` in the frame of the truth.
  """
  predictions, truth = np.asarray(predictions, np.float64), np.asarray(truth, np.float64)
  moved, goal = predictions - predictions[:, root:root + 1], truth - truth[:, root:root + 1]
  if valid is not None:
    goal = np.where(np.asarray(valid)[..., None] > 0, goal, 0.)
    moved = np.where(np.asarray(valid)[..., None] > 0, moved, 0.)
  return _scale_about(predictions, truth, root, _ratio((moved * goal).sum((1, 2)), (moved * moved).sum((1, 2))))


def align_centroid(predictions: np.ndarray, truth: np.ndarray, valid: Optional[np.ndarray] = None,
                   scale: bool = False) -> np.ndarray:
  """Moves the centroid of the valid keypoints onto the true one, for data without a root keypoint.

    s (p_k - mean p) + mean t,    s = 1, or mean_k |t_k - mean t| / mean_k |p_k - mean p|.

  Args:
    predictions: `[N, K, D]`.
    truth: `[N, K, D]`.
    valid: `[N, K]`, keypoints above zero count; None takes all.
    scale: whether to scale, too, to the true mean distance from the centroid. That is a mild protocol: with the five
      fingertips of Dexter+Object it hides most errors of depth.

  Returns:
    `[N, K, D]` in the frame of the truth.
  """
  predictions, truth = np.asarray(predictions, np.float64), np.asarray(truth, np.float64)
  weights = _weights(truth, valid)
  centers = [(weights[..., None] * _filled(points, weights)).sum(1, keepdims=True) for points in (truth, predictions)]
  radii = [(weights * np.linalg.norm(_filled(points, weights) - center, axis=-1)).sum(1)
           for points, center in zip((truth, predictions), centers)]
  factor = _ratio(*radii) if scale else np.ones(len(weights))
  return (predictions - centers[1]) * factor[:, None, None] + centers[0]


def align_procrustes(predictions: np.ndarray, truth: np.ndarray, valid: Optional[np.ndarray] = None,
                     scale: bool = True, mirror: bool = False) -> np.ndarray:
  """Aligns each prediction to the truth by the similarity transform that is best by least squares.

    (s, R) = argmin sum_k w_k |s (p_k - mean p) R + mean t - t_k|^2,    points as rows.

  With the singular value decomposition U diag(sigma) V^T of sum_k w_k (p_k - mean p)^T (t_k - mean t) and d = diag(1,
  .., 1, +-1), its last sign that of det(U) det(V) (Umeyama 1991): R = U d V^T, s = sum_i d_i sigma_i / sum_k w_k |p_k -
  mean p|^2.

  Args:
    predictions: `[N, K, D]`.
    truth: `[N, K, D]`.
    valid: `[N, K]`, keypoints above zero determine the transform; None takes all.
    scale: False allows rotation and translation only.
    mirror: allows a reflection (all signs of d are +), as the evaluation code of FreiHAND and HO-3D does.

  Returns:
    `[N, K, D]` in the frame of the truth. The error after it is the PA-MPJPE or PA-MPVPE of papers.
  """
  predictions, truth = np.asarray(predictions, np.float64), np.asarray(truth, np.float64)
  weights = _weights(truth, valid)
  centers = [(weights[..., None] * _filled(points, weights)).sum(1, keepdims=True) for points in (predictions, truth)]
  moved, goal = _filled(predictions, weights) - centers[0], _filled(truth, weights) - centers[1]
  left, values, right = np.linalg.svd(np.einsum('nk,nki,nkj->nij', weights, moved, goal))
  # Umeyama 1991: turn the weakest axis where the best orthogonal matrix would mirror.
  signs = np.ones_like(values)
  if not mirror:
    signs[:, -1] = np.where(np.linalg.det(left) * np.linalg.det(right) < 0, -1., 1.)
  rotation = np.einsum('nij,nj,njk->nik', left, signs, right)
  factor = np.ones(len(values))
  if scale:
    factor = _ratio((values * signs).sum(-1), np.einsum('nk,nki,nki->n', weights, moved, moved))
  return factor[:, None, None] * (predictions - centers[0]) @ rotation + centers[1]


def acceleration_error(predictions: np.ndarray, truth: np.ndarray, frames_per_second: float = 1.) -> float:
  """Mean length of the difference of accelerations along a video.

    mean over frames f and points k of |a_f(p_k) - a_f(t_k)|,    a_f(x) = (x_{f+1} - 2 x_f + x_{f-1}) fps^2.

  Args:
    predictions: `[T, K, D]`, T > 2 frames.
    truth: `[T, K, D]`.
    frames_per_second: of the video.

  Returns:
    Units per second squared; with the default 1, units per frame squared.

  Raises:
    ValueError: fewer than three frames.
  """
  if len(predictions) < 3:
    raise ValueError(f'acceleration needs three frames or more, got {len(predictions)}')
  second = [np.diff(np.asarray(points, np.float64), n=2, axis=0) for points in (predictions, truth)]
  return float(joint_errors(*second).mean() * frames_per_second ** 2)


def _weights(points: np.ndarray, valid: Optional[np.ndarray]) -> np.ndarray:
  """Weights `[N, K]` of the valid keypoints, summing to one where there are any."""
  counts = np.ones(points.shape[:2]) if valid is None else (np.asarray(valid) > 0).astype(np.float64)
  return counts / np.maximum(counts.sum(1, keepdims=True), 1.)


def _filled(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """The points with zeros where their weight is zero, so that labels that do not count may be NaN."""
  return np.where(weights[..., None] > 0, points, 0.)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
  """The positive scale factor above / below `[N]`, 1 where either is not above 0."""
  fine = (below > 0) & (above > 0)
  return np.where(fine, above, 1.) / np.where(fine, below, 1.)


def _scale_about(predictions: np.ndarray, truth: np.ndarray, root: int, factor: np.ndarray) -> np.ndarray:
  """The points s (p_k - p_r) + t_r, `[N, K, D]`, with factors s `[N]`."""
  return (predictions - predictions[:, root:root + 1]) * factor[:, None, None] + truth[:, root:root + 1]
