"""Contrastive pre-training of a trunk, equivariant (PeCLR) or invariant (SimCLR), with a linear probe beside it.

After Spurr, Dahiya, Wang, Zhang and Hilliges, Self-Supervised 3D Hand Pose Estimation from monocular RGB via
Contrastive Learning, ICCV 2021. The trunk learns from pairs of views alone; `direct.build_regressor` and others then
start from it by `train.initial_weights`. So that a pre-training can be measured and used by itself, a linear layer
learns the labels, if there are any, from features through which no gradient passes.
"""
from collections.abc import Sequence

import gin
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.methods import steps
from dhpe_tf.methods.contrastive import inverse, nt_xent
from dhpe_tf.methods.direct import regressor
from dhpe_tf.networks import backbones, feature_net
from dhpe_tf.tasks.hand.task import HandTask
from dhpe_tf.tasks.task import Tensors


class _StopGradient(tf.keras.layers.Layer):
  """The identity, through which no gradient passes."""

  def call(self, x: tf.Tensor) -> tf.Tensor:
    """The tensor as it is, of any shape."""
    return tf.stop_gradient(x)


class ContrastiveRegressor(regressor.DirectRegressor):
  """A functional Keras model from a picture to features and, by the linear probe, to joints.

  Input: image `[B, S, S, 3]` of `build_model`. Outputs: those of `direct.regressor.DirectRegressor` and features
  `[B, F]`. Training batches are those of `views.pairs`.

  Attributes:
    projector: from features `[B, F]` to a code `[B, K, 2]`, read as K points in the plane; only for training.
  """

  def __init__(self, task: HandTask, image: tf.Tensor, features: tf.Tensor, projector: tf.keras.Model,
               undo: Sequence[str], temperature: float):
    """Puts the probe behind the features and keeps the settings, see `build_model`."""
    given = tf.keras.Input(features.shape[1:], name='features')
    probe = tf.keras.Model(given, regressor.to_hand(given), name='probe')
    joints = probe(_StopGradient(name='stop_gradient', dtype='float32')(features))
    super().__init__({'image': image}, {**joints, 'features': features}, task, depth_weight=1., scale_weight=0.1,
                     biomechanics_weight=0.)
    self.projector, self._undo, self._temperature = projector, tuple(undo), temperature
    self.watch(['contrastive', 'probe'], ['error_3d_mm', 'found'])

  def losses(self, batch: Tensors, outputs: Tensors, training: bool) -> steps.Losses:
    """The contrastive loss of each view, in training only, and the probe's loss, which moves the probe alone.

    Batches that are measured have no pairs: there the first is 0.
    """
    probe = super().losses(batch, outputs, training).total
    contrastive = tf.zeros_like(probe)
    if training:
      contrastive = nt_xent.nt_xent(self.codes(batch, outputs['features'], training=True), self._temperature)
    return steps.Losses(contrastive + probe, {'contrastive': contrastive, 'probe': probe})

  def measures(self, batch: Tensors, outputs: Tensors) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """The probe's 3D error, mm, and found: the share of views whose nearest view is that of the same picture.

    Where rows are no pairs, in evaluations, `found` says nothing.
    """
    found = nt_xent.found(self.codes(batch, outputs['features'], training=False))
    return {**super().measures(batch, outputs), 'found': (found, tf.ones_like(found))}

  def codes(self, batch: Tensors, features: tf.Tensor, training: bool) -> tf.Tensor:
    """The codes of views, undone and normalised: `[2N, 2K]` of features `[2N, F]`.

    Codes have length 1 before the shift is undone and again after it, as the authors' have.
    """
    points = self.projector(features, training=training)
    points = tf.reshape(nt_xent.normalised(points), tf.shape(points))
    if self._undo:
      points = inverse.undone(points, inverse.of_pairs(batch), self._undo)
    return nt_xent.normalised(points)


def build_projector(size: int, hidden: int, points: int) -> tf.keras.Model:
  """The network that codes are made by: a dense layer, batch normalisation, ReLU, and a dense layer without biases.

  Args:
    size: length F of the features.
    hidden: units of the first layer.
    points: K.

  Returns:
    A model from features `[B, F]` to points `[B, K, 2]`, float32.
  """
  features = tf.keras.Input((size,), name='features')
  x = tf.keras.layers.Dense(hidden, name='dense')(features)
  x = tf.keras.layers.ReLU(name='active')(tf.keras.layers.BatchNormalization(momentum=0.95, name='norm')(x))
  x = tf.keras.layers.Dense(2 * points, use_bias=False, dtype='float32', name='numbers')(x)
  return tf.keras.Model(features, tf.keras.layers.Reshape((points, 2), dtype='float32', name='points')(x),
                        name='projector')


@gin.configurable(module='contrastive', denylist=['task'])
def build_model(task: HandTask, image_size: int = 224, undo: Sequence[str] = (inverse.TURN, inverse.SHIFT),
                temperature: float = 0.5, hidden: int = 512, points: int = 64) -> ContrastiveRegressor:
  """Builds the network; for `Experiment.method`. `backbone` and `feature_head` are settings of their own.

  Args:
    task: the hand task.
    image_size: side of the pictures, px.
    undo: what is taken back from the codes of views before they are compared, 'turn' and 'shift'. Both make PeCLR;
      with none it is SimCLR.
    temperature: of the contrastive loss.
    hidden: units of the projection's first layer.
    points: K; a code has 2 K numbers.

  Returns:
    The model, not compiled.

  Raises:
    UserError: an unknown word in `undo`, or a temperature that is not above 0.
  """
  for word in undo:
    if word not in (inverse.TURN, inverse.SHIFT):
      raise UserError(f'contrastive.build_model.undo: {word!r} cannot be undone; choose from '
                      f'{inverse.TURN!r} and {inverse.SHIFT!r}, or give () for none')
  if not temperature > 0:
    raise UserError(f'contrastive.build_model.temperature is {temperature}; it must be above 0')
  image = tf.keras.Input((image_size, image_size, 3), name='image')
  levels = backbones.backbone(image_size)(image)
  features = feature_net.feature_head(levels)(levels['c5'])
  return ContrastiveRegressor(task, image, features, build_projector(features.shape[-1], hidden, points), undo,
                              temperature)
