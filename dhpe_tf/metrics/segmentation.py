"""Error measures on masks: the four of Long et al. 2015, which Table 2 of Baek et al. 2019 reports, and hand IoU."""
from typing import Optional

import numpy as np
import tensorflow as tf


def confusion(predictions: np.ndarray, truth: np.ndarray, classes: int = 2,
              valid: Optional[np.ndarray] = None) -> np.ndarray:
  """Counts of pixels by true class (rows) and predicted class (columns), `[classes, classes]`.

  Args:
    predictions: class numbers of any shape, or for two classes masks in [0, 1], where above one half is hand.
    truth: the true ones, of the same shape.
    classes: number of classes.
    valid: pixels above zero count; None counts all.

  Raises:
    ValueError: the shapes differ, or a class number is out of range.
  """
  predictions, truth = as_classes(predictions), as_classes(truth)
  if predictions.shape != truth.shape:
    raise ValueError(f'predicted and true masks must have the same shape, got {predictions.shape} and {truth.shape}')
  if valid is not None:
    predictions, truth = predictions[np.asarray(valid) > 0], truth[np.asarray(valid) > 0]
  if truth.size and not 0 <= min(predictions.min(), truth.min()) <= max(predictions.max(), truth.max()) < classes:
    raise ValueError(f'mask classes must be 0 to {classes - 1}')
  return np.bincount((truth * classes + predictions).ravel(), minlength=classes * classes).reshape(classes, classes)


def as_classes(mask: np.ndarray) -> np.ndarray:
  """Class numbers int64 of a mask: floating values above one half are hand (1), others background (0)."""
  mask = np.asarray(mask)
  return (mask > 0.5 if np.issubdtype(mask.dtype, np.floating) else mask).astype(np.int64)


def scores(counts: np.ndarray) -> dict[str, float]:
  """The four measures of a confusion matrix; classes that the truth lacks are left out of the means.

  With n_ij pixels of class i called j and t_i of class i:
    pixel_accuracy: sum n_ii / sum t_i.
    mean_accuracy: the mean over classes of n_ii / t_i.
    mean_iou: the mean over classes of n_ii / (t_i + sum_j n_ji - n_ii).
    frequency_weighted_iou: the same weighted by t_i.

  Raises:
    ValueError: there is no pixel.
  """
  counts = np.asarray(counts, np.float64)
  total = counts.sum(1)
  if not total.sum():
    raise ValueError('no pixel counts, so there is no mask to measure')
  right, present = np.diag(counts), total > 0
  union = total + counts.sum(0) - right
  iou = right[present] / union[present]
  return {
      'pixel_accuracy': float(right.sum() / total.sum()),
      'mean_accuracy': float((right[present] / total[present]).mean()),
      'mean_iou': float(iou.mean()),
      'frequency_weighted_iou': float((total[present] * iou).sum() / total.sum()),
  }


def mask_iou(mask: tf.Tensor, target: tf.Tensor, dtype: tf.DType = tf.float32) -> tf.Tensor:
  """Intersection over union of masks in 0..1 that are cut at one half, inside a graph.

    IoU = |A and B| / |A or B|, and 1 where both are empty.

  Args:
    mask: `[B, M, M]`.
    target: `[B, M, M]`.
    dtype: of the result.

  Returns:
    `[B]`.
  """
  one, other = mask > 0.5, target > 0.5
  both = tf.reduce_sum(tf.cast(one & other, dtype), axis=[1, 2])
  either = tf.reduce_sum(tf.cast(one | other, dtype), axis=[1, 2])
  return tf.where(either > 0, tf.math.divide_no_nan(both, either), 1.0)


def hand_iou(predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
  """`mask_iou` of NumPy arrays.

  Args:
    predictions: `[N, H, W]`, classes (above 0 is hand) or values in 0..1.
    truth: `[N, H, W]`, likewise.

  Returns:
    `[N]` float64.

  Raises:
    ValueError: the shapes differ.
  """
  one, other = (as_classes(mask) > 0 for mask in (predictions, truth))
  if one.shape != other.shape:
    raise ValueError(f'predicted and true masks must have the same shape, got {one.shape} and {other.shape}')
  return mask_iou(tf.constant(one, tf.float32), tf.constant(other, tf.float32), tf.float64).numpy()
