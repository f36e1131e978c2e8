"""The shape loss: the rendered silhouette against the true mask, and the gate that opens it."""
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf.losses import reductions


@gin.configurable(module='losses')
def shape_gate(joints_2d_crop: tf.Tensor, target: tf.Tensor, weights: tf.Tensor, threshold_px: float = 15.,
               crop_size_px: float = 224., distance: str = 'mean') -> tf.Tensor:
  """The lambda of Eq. 12: 1 for instances whose projected joints are near the true ones already, else 0.

    lambda = 1 if mean_k |pi(j3D)_k - j2D_gt,k| <= threshold_px else 0.

  The silhouette of a wrongly posed hand would pull it further away. The paper gives neither threshold nor norm; 15 px
  of a 224 px crop and the mean distance are our defaults.

  Args:
    joints_2d_crop: pi(j3D) `[B, 21, 2]`, projected joints in crop space.
    target: j2D_gt `[B, 21, 2]` in crop space.
    weights: `[B, 21]`; the gate of an instance without weights stays closed.
    threshold_px: the largest distance at which the gate is open.
    crop_size_px: side of the crop in which the distance is measured.
    distance: 'mean' over the weighted joints, or 'max'.

  Returns:
    `[B]`, 0 or 1, without gradient.

  Raises:
    ValueError: an unknown `distance`.
  """
  reductions.check_choice('distance', distance, ('mean', 'max'))
  counts = weights > 0
  errors_px = tf.norm(tf.where(counts[..., None], joints_2d_crop - target, 0.), axis=-1) * (crop_size_px / 2)  # [B, 21]
  error_px = reductions.reduce(errors_px, weights, 'mean') if distance == 'mean' else tf.reduce_max(errors_px, axis=-1)
  opened = tf.reduce_any(counts, axis=-1) & (error_px <= threshold_px)
  return tf.stop_gradient(tf.cast(opened, joints_2d_crop.dtype))


@gin.configurable(module='losses')
def shape_loss(mask: tf.Tensor, target: tf.Tensor, weights: Optional[tf.Tensor] = None,
               reduction: str = 'mean') -> tf.Tensor:
  """The shape loss of Eq. 9, for the rendered silhouette Ren(M(h)).

    L_Sh = ||Ren(M(h)) - m_gt||^2.

  Args:
    mask: Ren(M(h)) `[B, H, W]`.
    target: m_gt `[B, H, W]`; both in [0, 1].
    weights: `[B]`, the gate of `shape_gate` times any other weight of the instance; None weighs all by 1.
    reduction: over pixels.

  Returns:
    `[B]`.
  """
  return reductions.instance_squared_error(mask, target, weights, reduction)
