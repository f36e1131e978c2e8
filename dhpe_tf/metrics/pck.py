"""The share of keypoints within a distance of the truth (PCK), and the area under its curve (AUC).

The definition of Zimmermann and Brox 2017, which the field follows: the share is taken for each keypoint over the
samples where it is labelled, distances equal to the threshold included, and then averaged over the keypoints.
"""
from typing import Optional

import numpy as np

# Thresholds in metres. The "AUC of 20 to 50 mm" of papers is one of the first two, about 0.01 apart.
THRESHOLDS_M = {
    # The evaluation code of Zimmermann and Brox: 12 thresholds from 21.05 to 50 mm.
    'zb': np.linspace(0., .05, 20)[8:],
    # As the name says: 20, 21, ..., 50 mm.
    'std': np.linspace(.02, .05, 31),
    # FreiHAND and HO-3D: 100 thresholds from 0 to 50 mm.
    'full': np.linspace(0., .05, 100),
}


def pck_curve(errors: np.ndarray, valid: Optional[np.ndarray], thresholds: np.ndarray) -> np.ndarray:
  """The share of keypoints whose error is at most each threshold.

    PCK(threshold) = mean over keypoints k of sum_n valid_nk [error_nk <= threshold] / sum_n valid_nk.

  Args:
    errors: `[N, K]` distances; entries that are not valid may be anything.
    valid: `[N, K]`, entries above zero count; None counts all. Keypoints that are never valid are left out.
    thresholds: `[T]` in the unit of the errors.

  Returns:
    `[T]` float64 in [0, 1].

  Raises:
    ValueError: no entry is valid.
  """
  errors, counts = checked(errors, valid)
  counts, errors = counts[:, counts.any(0)], errors[:, counts.any(0)]
  inside = (errors[..., None] <= np.asarray(thresholds, np.float64)) & counts[..., None]
  return (inside.sum(0) / counts.sum(0)[:, None]).mean(0)


def auc(curve: np.ndarray, thresholds: np.ndarray) -> float:
  """The area under a curve `[T]` over its thresholds `[T]`, divided by that of a curve of ones: 1.0 is perfect.

  By the trapezoid rule, for a curve y over thresholds x: sum_t (x_{t+1} - x_t) (y_t + y_{t+1}) / 2 / (x_T - x_1).
  """
  curve, thresholds = np.asarray(curve, np.float64), np.asarray(thresholds, np.float64)
  # The trapezoid rule as weights: np.trapz has another name in NumPy 2.
  steps = np.diff(thresholds) / 2
  weights = np.append(steps, 0.) + np.insert(steps, 0, 0.)
  return float((weights * curve).sum() / weights.sum())


def pck(errors: np.ndarray, valid: Optional[np.ndarray], threshold: float) -> float:
  """The share of keypoints whose error is at most one threshold; see `pck_curve`."""
  return float(pck_curve(errors, valid, np.array([threshold]))[0])


def checked(errors: np.ndarray, valid: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
  """The errors as float64 and the validity as bool, both `[N, K]`.

  Raises:
    ValueError: the shapes differ or are not `[N, K]`, or no entry is valid.
  """
  errors = np.asarray(errors, np.float64)
  counts = np.ones(errors.shape, bool) if valid is None else np.asarray(valid) > 0
  if errors.ndim != 2 or counts.shape != errors.shape:
    raise ValueError(f'errors and valid must both be [samples, keypoints], got {errors.shape} and {counts.shape}')
  if not counts.any():
    raise ValueError('no keypoint is labelled as valid, so there is nothing to measure')
  return errors, counts
