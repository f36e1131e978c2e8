"""Direct lifting: 2D joints to 3D joints by the PosePrior network of Zimmermann and Brox (ICCV 2017, section 4.3).

Two streams of the same architecture see the score maps of the 2D joints: one gives the hand w_c in its canonical frame,
the other the viewpoint R as axis-angle. The lifted hand, relative to the wrist, is R^T w_c.
"""
from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import heatmaps, rotations
from dhpe_tf.hand import skeletons
from dhpe_tf.methods import steps
from dhpe_tf.methods.lifting import canonical
from dhpe_tf.tasks.hand.task import HandTask
from dhpe_tf.tasks.task import Tensors


class PosePrior(steps.TrainableMethod):
  """A functional Keras model from 2D joints to 3D joints.

  Inputs: joints_2d `[B, 21, 2]` in crop space, joints_2d_weight `[B, 21]`, 0 where a joint is not seen. Keras outputs:
  canonical `[B, 21, 3]`, rotation `[B, 3, 3]`, and lifted `[B, 21, 3]`, relative to the wrist, in the camera's axes and
  in units of the index finger's first bone. `answer` places the lifted hand over the 2D joints.
  """

  def __init__(self, inputs: dict, outputs: dict, task: HandTask):
    super().__init__(inputs, outputs, task, 'pose_prior')
    rest = tf.constant(task.hand_model.rest_keypoints[None], tf.float32)
    self._rest = rest[0].numpy()
    # The size of a lifted hand is unknown: its index bone is assumed to be as long as the mean hand's, in metres.
    self._index_bone_m = float(canonical.to_canonical(rest).unit[0])
    self.watch(['canonical', 'viewpoint'], ['error_3d_mm'])

  @property
  def output_specs(self) -> dict[str, tf.TensorSpec]:
    """Specifications of `answer`'s results: joints in crop space and their scale. There is no mesh and no mask."""
    return {'joints_3d': tf.TensorSpec([None, skeletons.NUM_KEYPOINTS, 3]), 'units_per_metre': tf.TensorSpec([None])}

  def answer(self, inputs: Tensors) -> Tensors:
    """The lifted hands, placed over their 2D joints: joints_3d `[B, 21, 3]` in crop space, units_per_metre `[B]`."""
    lifted = self(inputs, training=False)['lifted']
    joints = place(lifted, inputs['joints_2d'], inputs['joints_2d_weight'])
    bone = tf.norm(joints[:, canonical.UNIT[1]] - joints[:, canonical.UNIT[0]], axis=-1)
    return {'joints_3d': joints, 'units_per_metre': bone / self._index_bone_m}

  def losses(self, batch: Tensors, outputs: Tensors, training: bool) -> steps.Losses:
    """The two losses of the paper, squared distances: of the canonical joints and of the rotation matrix.

      L = ||w_c - w_c,gt||^2 + ||R - R_gt||^2,

    the first as the mean over the labelled joints. Instances without labels of the joints that define the frame have
    weight 0.
    """
    del training
    valid = batch['joints_3d_weight']
    weight = tf.cast(tf.reduce_all(tf.gather(valid, canonical.NEEDED, axis=1) > 0, axis=1), tf.float32)
    safe = tf.where((valid > 0)[..., None], batch['joints_3d_m'], 0.)
    # Where the labels define no frame, the rest hand takes their place: NaN must not reach the gradient.
    safe = tf.where(weight[:, None, None] > 0, safe, self._rest)
    true = canonical.to_canonical(safe)
    squared = tf.reduce_sum(tf.square(outputs['canonical'] - true.joints), axis=-1)  # [B, 21]
    terms = {'canonical': tf.math.divide_no_nan(tf.reduce_sum(valid * squared, axis=1), tf.reduce_sum(valid, axis=1)),
             'viewpoint': tf.reduce_sum(tf.square(outputs['rotation'] - true.rotation), axis=[1, 2])}
    return steps.Losses(terms['canonical'] + terms['viewpoint'], terms, weight)

  def measures(self, batch: Tensors, outputs: Tensors) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """The mean 3D error `[B]`, millimetres, aligned at the wrist and scaled by the true index bone, and its weights."""
    true = batch['joints_3d_m'] - batch['joints_3d_m'][:, canonical.ORIGIN, None]
    unit = canonical.to_canonical(batch['joints_3d_m']).unit
    weight = self.losses(batch, outputs, training=False).weights
    distance = tf.norm(outputs['lifted'] * unit[:, None, None] - true, axis=-1)
    valid = batch['joints_3d_weight'] * weight[:, None]
    error = 1000 * tf.math.divide_no_nan(tf.reduce_sum(tf.where(valid > 0, distance, 0.) * valid, axis=1),
                                         tf.reduce_sum(valid, axis=1))
    return {'error_3d_mm': (error, weight)}


class _ScoreMaps(tf.keras.layers.Layer):
  """2D joints `[B, 21, 2]` and weights `[B, 21]` to score maps `[B, 32, 32, 21]`, zero for joints that are not seen."""

  def call(self, inputs):
    """Maps `[B, 32, 32, 21]` of (joints, weights): bumps at the joints, none where the weight is zero."""
    joints, weights = inputs
    joints = tf.where(weights[..., None] > 0, joints, np.nan)
    return heatmaps.encode(joints)


class _ToHand(tf.keras.layers.Layer):
  """Canonical joints `[B, 63]` and viewpoint `[B, 3]` (axis-angle) to the outputs of `PosePrior`."""

  def call(self, inputs):
    """The canonical hand w_c `[B, 21, 3]`, its rotation R `[B, 3, 3]`, and the lifted hand R^T w_c `[B, 21, 3]`."""
    joints, turn = inputs
    joints, rotation = tf.reshape(joints, [-1, skeletons.NUM_KEYPOINTS, 3]), rotations.axis_angle_to_matrix(turn)
    return {'canonical': joints, 'rotation': rotation, 'lifted': canonical.from_canonical(joints, rotation)}


def _stream(maps: tf.Tensor, widths: Sequence[int], dense: Sequence[int], dropout: float, outputs: int,
            name: str) -> tf.Tensor:
  """Pairs of 3x3 convolutions, the second of each pair with stride 2, then dense layers: [B, outputs].

  Args:
    maps: score maps [B, 32, 32, 21].
    widths: channels of each pair.
    dense: units of the dense layers.
    dropout: share of each dense layer's outputs left out in training.
    outputs: number of outputs.
    name: prefix of the layers' names.
  """
  x = maps
  for number, width in enumerate(w for w in widths for _ in range(2)):
    x = tf.keras.layers.Conv2D(width, 3, 1 + number % 2, 'same', activation=tf.nn.leaky_relu,
                               name=f'{name}_conv{number}')(x)
  x = tf.keras.layers.Flatten()(x)
  for number, width in enumerate(dense):
    x = tf.keras.layers.Dense(width, activation=tf.nn.leaky_relu, name=f'{name}_dense{number}')(x)
    x = tf.keras.layers.Dropout(dropout)(x)
  # The outputs start small: a hand of size zero in the canonical view.
  small = tf.keras.initializers.RandomNormal(stddev=1e-3)
  return tf.keras.layers.Dense(outputs, kernel_initializer=small, name=f'{name}_out')(x)


@gin.configurable(module='lifting', denylist=['task'])
def pose_prior(task: HandTask, hand_widths: Sequence[int] = (32, 64, 128), hand_dense: Sequence[int] = (512, 512),
               view_widths: Sequence[int] = (64, 128, 256), view_dense: Sequence[int] = (256, 128),
               dropout: float = 0.2) -> PosePrior:
  """Builds the network; for `Experiment.method`. The defaults are those of the authors' code.

  Args:
    task: gives the size of hands.
    hand_widths: channels of the pairs of convolutions in the stream of the canonical hand.
    hand_dense: units of its dense layers.
    view_widths: channels of the pairs of convolutions in the stream of the viewpoint.
    view_dense: units of its dense layers.
    dropout: share of the dense layers' outputs left out in training.

  Returns:
    The model, not compiled.
  """
  joints = tf.keras.Input((skeletons.NUM_KEYPOINTS, 2), name='joints_2d')
  weights = tf.keras.Input((skeletons.NUM_KEYPOINTS,), name='joints_2d_weight')
  maps = _ScoreMaps(name='score_maps')([joints, weights])
  hand = _stream(maps, hand_widths, hand_dense, dropout, 3 * skeletons.NUM_KEYPOINTS, 'hand')
  view = _stream(maps, view_widths, view_dense, dropout, 3, 'view')
  outputs = _ToHand(name='to_hand', dtype='float32')([hand, view])
  return PosePrior({'joints_2d': joints, 'joints_2d_weight': weights}, outputs, task)


def place(joints_3d: tf.Tensor, joints_2d: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
  """Places a lifted hand of any scale over its 2D joints by least squares.

    s = argmin sum_k w_k |s (p_k - mean p) - (q_k - mean q)|^2 = sum_k w_k (p_k - mean p) . (q_k - mean q) / sum_k w_k
        |p_k - mean p|^2,    (x, y)_k = s (p_k - mean p) + mean q,    z_k = s (z_k - z_root),

  p the lifted hand's x and y, q the 2D joints; the means are weighted.

  Args:
    joints_3d: `[B, 21, 3]`, in the camera's axes.
    joints_2d: q `[B, 21, 2]` in crop space.
    weights: w `[B, 21]`.

  Returns:
    `[B, 21, 3]` in crop space, the root's depth 0.
  """
  weights = weights[..., None]
  total = tf.maximum(tf.reduce_sum(weights, axis=1, keepdims=True), 1e-6)
  target = tf.where(weights > 0, joints_2d, 0.)
  mean = tf.reduce_sum(weights * joints_3d[..., :2], axis=1, keepdims=True) / total
  target_mean = tf.reduce_sum(weights * target, axis=1, keepdims=True) / total
  p = joints_3d[..., :2] - mean
  scale = tf.reduce_sum(weights * p * (target - target_mean), axis=[1, 2], keepdims=True) / tf.maximum(
      tf.reduce_sum(weights * p * p, axis=[1, 2], keepdims=True), 1e-6)
  depth = scale * (joints_3d[..., 2:] - joints_3d[:, skeletons.ROOT, None, 2:])
  return tf.concat([scale * p + target_mean, depth], axis=-1)
