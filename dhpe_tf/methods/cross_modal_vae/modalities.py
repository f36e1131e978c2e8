"""What the auto-encoder can take and give: pictures, 2D joints in the crop, and canonical 3D joints.

Each modality says which entries of a batch it takes, which instances have it, and how far a decoded one is off.
"""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from dhpe_tf.hand.canonical_hand import canonical
from dhpe_tf.tasks.task import Tensors

IMAGE, JOINTS_2D, JOINTS_3D = 'image', 'joints_2d', 'joints_3d'
DECODED_PX = 64


class Modality(NamedTuple):
  """What is known of a modality.

  Attributes:
    inputs: names in the batch of what an encoder takes.
    present: batch -> `[B]`, 1 where an instance has it, so that it can be encoded.
    error: (batch, decoded) -> the mean squared distance `[B]` over its labelled parts, and 1 where there are any `[B]`.
  """

  inputs: Sequence[str]
  present: Callable[[Tensors], tf.Tensor]
  error: Callable[[Tensors, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def _known(found: tf.Tensor) -> tf.Tensor:
  """Booleans as weights, 1 or 0."""
  return tf.cast(found, tf.float32)


def _image_present(batch: Tensors) -> tf.Tensor:
  """A picture that is black everywhere stands for none."""
  return _known(tf.reduce_any(batch['image'] > 0, axis=[1, 2, 3]))


def _image_error(batch: Tensors, decoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  target = tf.image.resize(batch['image'], [DECODED_PX, DECODED_PX], antialias=True)
  return tf.reduce_mean(tf.reduce_sum(tf.square(decoded - target), axis=-1), axis=[1, 2]), _image_present(batch)


def _joints_2d_error(batch: Tensors, decoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  weights = _known(batch['joints_2d_weight'] > 0)
  return mean_square(decoded, batch['joints_2d'], weights), _known(tf.reduce_any(weights > 0, axis=1))


def _joints_3d_error(batch: Tensors, decoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  true = canonical(batch['joints_3d_m'], batch['joints_3d_weight'])
  return mean_square(decoded, true.joints, true.weights), true.known


def mean_square(points: tf.Tensor, true: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
  """The mean squared distance `[B]` of points `[B, K, D]` from true ones, over those of weights `[B, K]`; 0 of none."""
  off = tf.where(weights[..., None] > 0, points - true, 0.)
  squared = tf.reduce_sum(tf.square(off), axis=-1)
  return tf.math.divide_no_nan(tf.reduce_sum(weights * squared, axis=1), tf.reduce_sum(weights, axis=1))


MODALITIES = {
    IMAGE: Modality(('image',), _image_present, _image_error),
    JOINTS_2D: Modality(('joints_2d', 'visibility'),
                        lambda batch: _known(tf.reduce_any(batch['visibility'] > 0, axis=1)), _joints_2d_error),
    JOINTS_3D: Modality(('joints_3d_m', 'joints_3d_weight'),
                        lambda batch: canonical(batch['joints_3d_m'], batch['joints_3d_weight']).known,
                        _joints_3d_error),
}
