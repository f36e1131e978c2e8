"""Direct lifting: 2D joints to 3D joints by the PosePrior network of Zimmermann and Brox (ICCV 2017, section 4.3).

Two streams of one shape see the score maps of the 2D joints: one gives the hand in its canonical frame, the other the
viewpoint, R as axis-angle. The answer is R^T times the canonical hand.
"""
from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.baselines import canonical
from dhpe_tf.geometry import heatmaps, rotations
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import load_hand_model


class PosePrior(tf.keras.Model):
  """A functional Keras model from 2D joints to 3D joints, with its own steps.

  Inputs: joints_2d `[B, 21, 2]` in crop space, joints_2d_weight `[B, 21]`, 0 where a joint is not seen. Outputs:
  canonical `[B, 21, 3]`, rotation `[B, 3, 3]`, and joints_3d `[B, 21, 3]`, relative to the wrist, the camera's axes,
  in units of the index finger's first bone.
  """

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    self._means = [tf.keras.metrics.Mean(name) for name in ('loss', 'canonical_loss', 'viewpoint_loss', 'error_3d_mm')]

  @property
  def metrics(self) -> list[tf.keras.metrics.Metric]:
    """The means that the steps report."""
    return self._means

  @tf.autograph.experimental.do_not_convert  # there is no Python control flow on tensors in it
  def train_step(self, data: dict) -> dict[str, tf.Tensor]:
    """One step of gradient descent on a batch of the input pipeline; returns the means since they were reset."""
    with tf.GradientTape() as tape:
      outputs = self(self.inputs_of(data), training=True)
      terms, weight = losses(data, outputs)
      replica = tf.distribute.get_replica_context()
      count = replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(weight))
      loss = tf.math.divide_no_nan(tf.reduce_sum(weight * (terms['canonical'] + terms['viewpoint'])), count)
    variables = self.trainable_variables
    self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    return self._report(data, outputs, terms, weight)

  @tf.autograph.experimental.do_not_convert
  def test_step(self, data: dict) -> dict[str, tf.Tensor]:
    """Losses of a batch without learning from it; returns the means since they were reset."""
    outputs = self(self.inputs_of(data), training=False)
    return self._report(data, outputs, *losses(data, outputs))

  def inputs_of(self, data: dict) -> dict[str, tf.Tensor]:
    """What it takes of a batch."""
    return {name: data[name] for name in self.input_names}

  def _report(self, data: dict, outputs: dict, terms: dict, weight: tf.Tensor) -> dict[str, tf.Tensor]:
    true = data['joints_3d_m'] - data['joints_3d_m'][:, canonical.ORIGIN, None]
    unit = canonical.to_canonical(data['joints_3d_m']).unit
    distance = tf.norm(outputs['joints_3d'] * unit[:, None, None] - true, axis=-1)
    valid = data['joints_3d_weight'] * weight[:, None]
    error = 1000 * tf.math.divide_no_nan(tf.reduce_sum(tf.where(valid > 0, distance, 0.) * valid, axis=1),
                                         tf.reduce_sum(valid, axis=1))
    values = (terms['canonical'] + terms['viewpoint'], terms['canonical'], terms['viewpoint'], error)
    for mean, value in zip(self._means, values):
      mean.update_state(value, weight)
    return {mean.name: mean.result() for mean in self._means}


def losses(data: dict, outputs: dict) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
  """The two losses of the paper, squared distances: of the canonical joints and of the rotation matrix.

  Returns:
    'canonical' and 'viewpoint', each `[B]`, and the weight `[B]` of the images, 0 without a labelled frame.
  """
  valid = data['joints_3d_weight']
  weight = tf.cast(tf.reduce_all(tf.gather(valid, canonical.NEEDED, axis=1) > 0, axis=1), tf.float32)
  safe = tf.where((valid > 0)[..., None], data['joints_3d_m'], 0.)
  # Any hand with a frame, where the labels have none: what is not finite must not reach the gradient.
  safe = tf.where(weight[:, None, None] > 0, safe, tf.constant(load_hand_model().rest_keypoints, tf.float32))
  true = canonical.to_canonical(safe)
  squared = tf.reduce_sum(tf.square(outputs['canonical'] - true.joints), axis=-1)
  terms = {'canonical': tf.math.divide_no_nan(tf.reduce_sum(valid * squared, axis=1), tf.reduce_sum(valid, axis=1)),
           'viewpoint': tf.reduce_sum(tf.square(outputs['rotation'] - true.rotation), axis=[1, 2])}
  return terms, weight


class _ScoreMaps(tf.keras.layers.Layer):
  """2D joints and weights to score maps `[B, 32, 32, 21]`; a joint that is not seen has an empty one."""

  def call(self, inputs):
    """Draws them."""
    joints, weights = inputs
    joints = tf.where(weights[..., None] > 0, joints, np.nan)
    return heatmaps.encode(joints)


class _ToHand(tf.keras.layers.Layer):
  """Canonical joints `[B, 63]` and viewpoint `[B, 3]` to the outputs of `PosePrior`."""

  def call(self, inputs):
    """Turns the hand back."""
    joints, turn = inputs
    joints, rotation = tf.reshape(joints, [-1, 21, 3]), rotations.axis_angle_to_matrix(turn)
    return {'canonical': joints, 'rotation': rotation, 'joints_3d': canonical.from_canonical(joints, rotation)}


def _stream(maps: tf.Tensor, widths: Sequence[int], dense: Sequence[int], dropout: float, outputs: int,
            name: str) -> tf.Tensor:
  """Pairs of 3x3 convolutions, the second of each pair with stride 2, then dense layers."""
  x = maps
  for number, width in enumerate(w for w in widths for _ in range(2)):
    x = tf.keras.layers.Conv2D(width, 3, 1 + number % 2, 'same', activation=tf.nn.leaky_relu,
                               name=f'{name}_conv{number}')(x)
  x = tf.keras.layers.Flatten()(x)
  for number, width in enumerate(dense):
    x = tf.keras.layers.Dense(width, activation=tf.nn.leaky_relu, name=f'{name}_dense{number}')(x)
    x = tf.keras.layers.Dropout(dropout)(x)
  # Small at first: a hand at the origin, seen as the canonical frame has it.
  small = tf.keras.initializers.RandomNormal(stddev=1e-3)
  return tf.keras.layers.Dense(outputs, kernel_initializer=small, name=f'{name}_out')(x)


@gin.configurable('lifting', module='baselines')
def pose_prior(hand_widths: Sequence[int] = (32, 64, 128), hand_dense: Sequence[int] = (512, 512),
               view_widths: Sequence[int] = (64, 128, 256), view_dense: Sequence[int] = (256, 128),
               dropout: float = 0.2) -> PosePrior:
  """Builds the network; for `train.build_model`. The defaults are those of the authors' code.

  Args:
    hand_widths: channels of the pairs of convolutions of the stream that gives the canonical hand.
    hand_dense: its dense layers.
    view_widths: the same of the stream that gives the viewpoint.
    view_dense: its dense layers.
    dropout: share of the dense layers' outputs left out in training.

  Returns:
    The model, not compiled.
  """
  joints = tf.keras.Input((21, 2), name='joints_2d')
  weights = tf.keras.Input((21,), name='joints_2d_weight')
  maps = _ScoreMaps(name='score_maps')([joints, weights])
  hand = _stream(maps, hand_widths, hand_dense, dropout, 63, 'hand')
  view = _stream(maps, view_widths, view_dense, dropout, 3, 'view')
  outputs = _ToHand(name='to_hand', dtype='float32')([hand, view])
  return PosePrior({'joints_2d': joints, 'joints_2d_weight': weights}, outputs, name='pose_prior')


def place(joints_3d: tf.Tensor, joints_2d: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
  """Puts a lifted hand `[B, 21, 3]` of any scale over its 2D joints by least squares.

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
