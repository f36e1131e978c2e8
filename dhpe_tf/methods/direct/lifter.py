"""Direct lifting: a few dense layers from the 2D joints that are seen to all 3D joints in the crop and their scale.

What a perfect detector of 2D joints would leave to do. Joints that hand or object hide are not given; their weight is
zero. So this network costs next to nothing to train, and still meets shapes, articulations, views and objects.
"""
from collections.abc import Sequence

import gin
import tensorflow as tf

from dhpe_tf.hand import skeletons
from dhpe_tf.methods.direct import regressor
from dhpe_tf.networks import known_points
from dhpe_tf.tasks.hand.task import HandTask

_K = skeletons.NUM_KEYPOINTS


class _KeepSeen(tf.keras.layers.Layer):
  """Puts joints that are seen where they are seen."""

  def call(self, inputs):
    """Outputs of `regressor.DirectRegressor` from (its outputs, joints [B, 21, 2], visibility [B, 21])."""
    outputs, joints, visibility = inputs
    flat = tf.where(visibility[..., None] > 0, joints, outputs['joints_3d'][..., :2])
    return {**outputs, 'joints_3d': tf.concat([flat, outputs['joints_3d'][..., 2:]], axis=-1), 'joints_2d': flat}


@gin.configurable(module='direct', denylist=['task'])
def build_lifter(task: HandTask, hidden: Sequence[int] = (512, 512, 512), depth_weight: float = 1.,
                 scale_weight: float = 0.1, biomechanics_weight: float = 0.) -> regressor.DirectRegressor:
  """Builds the network; for `Experiment.method`. It takes joints_2d `[B, 21, 2]` and visibility `[B, 21]`.

  Args:
    task: the hand task.
    hidden: units of the dense layers, each with layer normalisation and ReLU.
    depth_weight: see `regressor.build_regressor`.
    scale_weight: likewise.
    biomechanics_weight: likewise.

  Returns:
    The model, not compiled.
  """
  joints = tf.keras.Input((_K, 2), name='joints_2d')
  visibility = tf.keras.Input((_K,), name='visibility')
  x = known_points.KnownPoints(name='seen')([joints, visibility])
  for number, units in enumerate(hidden, 1):
    x = tf.keras.layers.Dense(units, kernel_initializer='he_normal', name=f'dense{number}')(x)
    x = tf.keras.layers.ReLU(name=f'active{number}')(tf.keras.layers.LayerNormalization(name=f'norm{number}')(x))
  outputs = _KeepSeen(name='keep_seen')([regressor.to_hand(x), joints, visibility])
  return regressor.DirectRegressor({'joints_2d': joints, 'visibility': visibility}, outputs, task, depth_weight,
                                   scale_weight, biomechanics_weight)
