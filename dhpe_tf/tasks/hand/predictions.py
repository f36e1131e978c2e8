"""Predictions of a method, or of a constant answer, for N images of right hands, as arrays for protocols.

By name: 'joints_3d_m' [N, 21, 3], metres by the hand's own size, relative to any origin; if the method gives them,
'joints_crop' [N, 21, 3], where they are seen, and 'joints_2d' [N, 21, 2] in crop space, and 'mask' [N, S, S] in 0..1 at
the size of the labels. Those that name a side may have 'is_left' [N] bool.
"""
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from dhpe_tf.hand import skeletons
from dhpe_tf.tasks.hand import outputs as hand_outputs

Arrays = Mapping[str, np.ndarray]


def from_outputs(outputs: dict[str, tf.Tensor], mask_size: int) -> dict[str, np.ndarray]:
  """Converts a batch of outputs (see `outputs.OUTPUTS`) to predictions; masks are resampled to `mask_size` pixels."""
  found = {'joints_3d_m': hand_outputs.joints_m(outputs),
           'joints_crop': hand_outputs.seen(outputs['joints_3d'], outputs)}
  if 'joints_2d' in outputs:
    found['joints_2d'] = outputs['joints_2d']
  if 'mask' in outputs:
    found['mask'] = tf.image.resize(outputs['mask'][..., None], [mask_size, mask_size])[..., 0]
  return {name: np.asarray(value) for name, value in found.items()}


def from_root(predictions: Arrays) -> dict[str, np.ndarray]:
  """Returns predictions whose joints in metres are relative to the root, so that those of several methods compare."""
  joints = np.asarray(predictions['joints_3d_m'])
  return {**predictions, 'joints_3d_m': joints - joints[:, skeletons.ROOT, None]}


def mean_hand(labels: Arrays, count: int) -> dict[str, np.ndarray]:
  """Returns the mean of the training labels for every image: joints relative to the root, 2D joints and mask.

  Args:
    labels: of the training images, by the names of the batch.
    count: number of images to answer.

  Returns:
    Predictions by name, `count` equal rows each.
  """
  joints = labels['joints_3d_m'] - labels['joints_3d_m'][:, skeletons.ROOT, None]
  valid = labels['joints_3d_weight'] * labels['joints_3d_weight'][:, skeletons.ROOT, None]
  means = {'joints_3d_m': _weighted_mean(joints, valid),
           'joints_2d': _weighted_mean(labels['joints_2d'], labels['joints_2d_weight']),
           'mask': _weighted_mean(labels['mask'], labels['mask_weight'])}
  return {name: np.repeat(mean[None], count, axis=0) for name, mean in means.items()}


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """Mean over the first axis of the entries whose weight is above zero; 0 where there are none.

  Args:
    values: `[N, ...]`; entries of weight 0 may be anything.
    weights: `[N, ...]`, its shape the first axes of `values`.
  """
  weights = (weights > 0).astype(np.float64).reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
  total = np.where(weights > 0, values, 0.).sum(0)
  return total / np.maximum(weights.sum(0), 1.)
