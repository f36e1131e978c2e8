"""The measures of a report, each with unit and definition."""
from collections.abc import Sequence
from typing import Optional

import numpy as np

from dhpe_tf.geometry.crops import REPORT_PX
from dhpe_tf.metrics import mesh, pck, pose_error, segmentation
from dhpe_tf.tasks.measured import Measure

_MILLIMETRES = 1000.
_F_SCORES_MM = (5, 15)
_ROUNDING_M = 1e-12


def keypoints_3d(errors_m: np.ndarray, valid: np.ndarray, ranges: Sequence[str], words: str,
                 pck_mm: Sequence[float] = ()) -> dict[str, Measure]:
  """Computes error and PCK measures of 3D keypoints.

  Args:
    errors_m: `[N, K]` distances in metres.
    valid: `[N, K]`, at least one above zero.
    ranges: keys of `pck.THRESHOLDS_M` for the areas under the PCK curve.
    words: name of the alignment, appended to each definition.
    pck_mm: distances in millimetres for which the share of keypoints within them is computed.

  Returns:
    Measures by name.
  """
  error = pose_error.end_point_error(errors_m, valid)
  result = {
      'epe_mean': Measure(error.mean * _MILLIMETRES, 'mm', f'distance, mean by keypoint, then over keypoints, {words}'),
      'epe_median': Measure(error.median * _MILLIMETRES, 'mm', f'distance, mean of the keypoints\' medians, {words}'),
  }
  for name in ranges:
    thresholds = pck.THRESHOLDS_M[name]
    low, high = thresholds[[0, -1]] * _MILLIMETRES
    result[f'auc_{name}'] = Measure(
        pck.auc(pck.pck_curve(errors_m, valid, thresholds), thresholds), '',
        f'area under the PCK curve from {low:.2f} to {high:.2f} mm at {len(thresholds)} thresholds, {words}')
  for limit in pck_mm:
    result[f'pck_{limit}mm'] = Measure(pck.pck(errors_m, valid, limit / _MILLIMETRES), '',
                                       f'share of keypoints within {limit} mm, mean over keypoints, {words}')
  result['images'] = Measure(int(valid.any(1).sum()), '', f'images with a keypoint that counts, {words}')
  return result


def vertices(predictions_m: np.ndarray, truth_m: np.ndarray, words: str) -> dict[str, Measure]:
  """Computes mean distance, area under the PCK curve and F-scores of aligned meshes.

  The area is what the scripts of the FreiHAND and HO-3D challenges print: 100 thresholds from 0 to 50 mm.

  Args:
    predictions_m: `[N, V, 3]` metres.
    truth_m: `[N, V, 3]` metres.
    words: name of the alignment, appended to each definition.

  Returns:
    Measures by name; none if N = 0.
  """
  if not len(truth_m):
    return {}
  words = f'{truth_m.shape[1]} vertices {words}'
  errors = rounded(pose_error.joint_errors(predictions_m, truth_m))
  thresholds = pck.THRESHOLDS_M['full']
  # All vertices are labelled, so the mean of their curves is the share of all errors; it needs less memory.
  curve = np.array([(errors <= threshold).mean() for threshold in thresholds])
  result = {'vertex_mean': Measure(float(errors.mean()) * _MILLIMETRES, 'mm', f'distance, mean over {words}'),
            'vertex_auc_full': Measure(pck.auc(curve, thresholds), '', 'area under the PCK curve from 0 to 50 mm at '
                                       f'{len(thresholds)} thresholds, {words}')}
  for threshold_mm in _F_SCORES_MM:
    score = mesh.f_score(predictions_m, truth_m, threshold_mm / _MILLIMETRES)
    result[f'f_{threshold_mm}'] = Measure(float(score.mean()), '', f'F-score at {threshold_mm} mm, {words}')
  return result


def keypoints_2d(errors_px: np.ndarray, valid: np.ndarray, crop_side_px: Optional[np.ndarray]) -> dict[str, Measure]:
  """Computes measures of 2D keypoints, without any alignment.

  Args:
    errors_px: `[N, K]` distances in pixels of the image.
    valid: `[N, K]`.
    crop_side_px: `[N]`, to give the measures in pixels of a crop of REPORT_PX as well; or None.

  Returns:
    Measures by name; none if no keypoint is valid.
  """
  if not valid.any():
    return {}
  scales = {'px': (1., 'pixels of the image')}
  if crop_side_px is not None:
    scales[f'px{REPORT_PX}'] = (REPORT_PX / np.asarray(crop_side_px, np.float64)[:, None],
                               f'pixels of a {REPORT_PX} px crop')
  thresholds, result = np.linspace(0., 30., 20), {}
  for name, (factor, words) in scales.items():
    scaled = np.where(valid, errors_px, 0.) * factor
    error = pose_error.end_point_error(scaled, valid, per_keypoint=False)
    result[f'epe_2d_mean_{name}'] = Measure(error.mean, 'px', f'mean 2D distance over labelled keypoints, {words}')
    result[f'epe_2d_median_{name}'] = Measure(error.median, 'px', f'median 2D distance over them, {words}')
    result[f'auc_2d_{name}'] = Measure(
        pck.auc(pck.pck_curve(scaled, valid, thresholds), thresholds), '',
        f'area under the 2D PCK curve from 0 to 30 px at {len(thresholds)} thresholds, {words}')
  return result


def masks(predictions: np.ndarray, truth: np.ndarray) -> dict[str, Measure]:
  """Computes measures of masks: the four of Table 2 over the pixels of all pictures, and the hand's IoU by picture.

  Args:
    predictions: `[N, H, W]` in 0..1.
    truth: `[N, H, W]` in 0..1.

  Returns:
    Measures by name; none if N = 0.
  """
  if not len(truth):
    return {}
  words = 'over the pixels of all pictures, hand and background (Long et al. 2015)'
  result = {name: Measure(value, '', f'{name.replace("_", " ").replace("iou", "IoU")} {words}')
            for name, value in segmentation.scores(segmentation.confusion(predictions, truth)).items()}
  iou, words = segmentation.hand_iou(predictions, truth), 'intersection over union of the hand'
  result['hand_iou_mean'] = Measure(float(iou.mean()), '', f'{words}, mean over pictures')
  result['hand_iou_median'] = Measure(float(np.median(iou)), '', f'{words}, median over pictures')
  return result


def rounded(errors_m: np.ndarray) -> np.ndarray:
  """Removes an alignment's rounding, so that a perfect prediction counts at the threshold zero as well."""
  return np.where(errors_m < _ROUNDING_M, 0., errors_m)
