"""Selects the predictions from which new instances are made."""
import gin
import tensorflow as tf

from dhpe_tf.geometry import masks
from dhpe_tf.hand import anatomy
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.metrics import segmentation

_ABSURD = 100.  # crop units; beyond it nothing can be drawn


@gin.configurable(module='selfsup', denylist=['parents', 'results', 'hand_model'])
def plausible(parents: dict, results: dict, hand_model: HandModel, least_size: float = 0.4, most_outside: float = 0.3,
              most_excess: float = 30., least_iou: float = 0.5) -> tf.Tensor:
  """Tells plausible predictions from failed ones.

  Args:
    parents: instances of the input pipeline: 'mask', 'mask_weight'.
    results: the model's outputs for them: 'parameters', 'vertices', 'joints_2d', 'pose', 'mask'.
    hand_model: whose joint limits count.
    least_size: least longer side of the box around the joints, in crop units (the crop is 2 wide).
    most_outside: largest share of the vertices outside the crop.
    most_excess: largest penalty of joints beyond their limits (`anatomy.limit_penalty`), radians squared.
    least_iou: least IoU of the mask with the true one, where there is one: the skin is read under the mask. 0 accepts
      all.

  Returns:
    [n], 1 where all of these hold, else 0; 0 for numbers that are not finite.
  """
  vertices, joints = results['vertices'], results['joints_2d']
  # The comparisons are False for NaN.
  drawable = tf.reduce_all(tf.abs(results['parameters']) < _ABSURD, -1) & tf.reduce_all(
      tf.abs(vertices) < _ABSURD, [1, 2])
  size = tf.reduce_max(tf.reduce_max(joints, axis=1) - tf.reduce_min(joints, axis=1), axis=-1)
  outside = tf.reduce_mean(tf.cast(tf.reduce_any(tf.abs(vertices[..., :2]) > 1, axis=-1), tf.float32), axis=1)
  excess = anatomy.limit_penalty(tf.where(drawable[:, None], results['pose'], 0.), hand_model)
  true_mask = masks.area_resize(parents['mask'], results['mask'].shape[1])
  overlap = segmentation.mask_iou(results['mask'], true_mask)
  agrees = (overlap >= least_iou) | (parents['mask_weight'] == 0)
  fits = (size >= least_size) & (outside <= most_outside) & (excess <= most_excess) & agrees
  return tf.cast(drawable & fits, tf.float32)
