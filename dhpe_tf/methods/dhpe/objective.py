"""The training objective (paper section 3.3): which loss sees which output and label, and the measures in the logs."""
from collections.abc import Callable, Mapping
from typing import NamedTuple

import gin
import tensorflow as tf

from dhpe_tf.geometry import cameras, crops, heatmaps, masks, meshes
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.losses import articulation, biomechanics, features, keypoints, laplacian, priors, reductions, shape
from dhpe_tf.methods.steps import Losses
from dhpe_tf.metrics import segmentation
from dhpe_tf.tasks.task import Tensors


@gin.configurable(module='dhpe')
def loss_weights(heatmap: float = 1.0, refiner: float = 1.0, feature: float = 1.0, articulation: float = 1.0,
                 shape: float = 1.0, laplacian: float = 0.1, joint_limits: float = 0.0, shape_prior: float = 0.0,
                 parameters: float = 0.0, biomechanics: float = 0.0) -> dict[str, float]:
  """Weights of the terms of Eq. 7; a term of weight 0 is not computed.

    L = L_Art + lambda L_Sh + L_Lap + L_Feat + L_Ref (+ L_2D), each with its weight.

  The paper gives no weights and leaves open whether L_2D is in the sum. The last four terms below are not in the
  paper; they are for data that need them.

  Args:
    heatmap: L_2D, Eq. 3.
    refiner: L_Ref, Eq. 6.
    feature: L_Feat, Eq. 2; needs a second pass of the feature net.
    articulation: L_Art, Eq. 8.
    shape: L_Sh, Eq. 9, times the gate of Eq. 12: the paper's lambda.
    laplacian: L_Lap; it shrinks the mesh, at this weight by some tenths of a percent.
    joint_limits: penalty on joint angles beyond the anatomical limits.
    shape_prior: penalty on large shape coefficients.
    parameters: squared error of pose and shape where the data give them (synthetic images).
    biomechanics: excess of the joints over the limits of bones and joints, see `losses.biomechanics`.

  Returns:
    The weights by the names of the terms.
  """
  return {'heatmap': heatmap, 'refiner': refiner, 'feature': feature, 'articulation': articulation,
          'shape': shape, 'laplacian': laplacian, 'joint_limits': joint_limits, 'shape_prior': shape_prior,
          'parameters': parameters, 'biomechanics': biomechanics}


class Step(NamedTuple):
  """The inputs of the terms in one step.

  Attributes:
    batch: labels, by the names of `tasks.hand.instance.BATCH`.
    outputs: of the model, by the names of `tasks.hand.outputs.OUTPUTS`, with 'heatmap_stages'.
    training: whether the feature net runs in training mode on the masked pictures.
  """

  batch: Tensors
  outputs: Tensors
  training: bool


@gin.configurable(module='dhpe', denylist=['hand_model', 'feature_net', 'refined'])
class Objective:
  """Computes losses and measures of a batch from a model's outputs.

  Attributes:
    MEASURES: names of the measures.
    weights: the terms that are computed, with their weights.
    terms: by name the function from a `Step` to the term `[B]`; a new term is one more entry.
  """

  MEASURES = ('error_2d_px', 'error_heatmap_px', 'error_3d_mm', 'iou', 'gate_open', 'joints_near', 'feature_spread',
              'feature_rms', 'feature_active')

  def __init__(self, hand_model: HandModel, feature_net: Callable[..., tf.Tensor], gated: bool = True,
               laplacian_kind: str = 'cotangent', refined: bool = True, least_active: float = 0.25,
               least_spread: float = 0.02):
    """Prepares the constants.

    Args:
      hand_model: gives the mesh for the Laplacian.
      feature_net: images [B, S, S, 3] -> features [B, F]; applied to the masked pictures of Eq. 2.
      gated: whether the mask of an instance acts only once its joints are close (Eq. 12). False: always, the "constant
        weight" of the paper's Fig. 5f.
      laplacian_kind: 'cotangent' (of the rest hand) or 'uniform'.
      refined: whether there are refined 2D joints; without them there is no refiner term.
      least_active: share of active feature units below which `warnings` warns.
      least_spread: `feature_spread` below which it warns.

    Raises:
      UserError: an unknown kind.
    """
    self.weights = {name: float(weight) for name, weight in loss_weights().items()
                    if weight and (refined or name != 'refiner')}
    self.terms = {'heatmap': self._heatmap, 'refiner': self._refiner, 'feature': self._feature,
                  'articulation': self._articulation, 'shape': self._shape, 'laplacian': self._laplacian,
                  'joint_limits': self._joint_limits, 'shape_prior': self._shape_prior,
                  'parameters': self._parameters, 'biomechanics': self._biomechanics}
    self._hand_model, self._feature_net, self._gated = hand_model, feature_net, gated
    self._least_active, self._least_spread = least_active, least_spread
    # Dense, because XLA has no sparse product; at this size the difference is small.
    self._laplacian_matrix = meshes.laplacian(laplacian_kind, hand_model.v_template, hand_model.faces).toarray()

  def losses(self, batch: Tensors, outputs: Tensors, training: bool) -> Losses:
    """The weighted sum of Eq. 7 and its terms, each [B], with the weights of the instances where the batch has them."""
    step = Step(batch, outputs, training)
    terms = {name: self.terms[name](step) for name in self.weights}
    return Losses(reductions.combine(terms, self.weights), terms, batch.get('instance_weight'))

  def gate(self, batch: Tensors, outputs: Tensors) -> tf.Tensor:
    """The lambda [B] of each instance's mask: 0 without a mask, or if its joints are too far off (Eq. 12)."""
    return batch['mask_weight'] * self._near(batch, outputs) if self._gated else batch['mask_weight']

  def measures(self, batch: Tensors, outputs: Tensors) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """Measures for the logs: by name the values [B] and their weights [B] in the mean.

    error_2d_px: mean distance of the mesh's 2D joints, px of a crop of REPORT_PX.
    error_heatmap_px: the same of the joints read from the heat maps.
    error_3d_mm: mean 3D error aligned at the root, millimetres at the true depth of the root.
    iou: of the rendered mask.
    gate_open: share of the masks that act.
    joints_near: share of the hands that are near enough for the gate, with or without a mask.
    feature_spread: near 0 if the features have collapsed, as Eq. 2 alone would make them. It is relative to their size.
    feature_rms: size of the features.
    feature_active: share of the feature units that are above zero for any instance of the batch.
    """
    joints_weight = tf.cast(batch['joints_2d_weight'] > 0, tf.float32)
    has_mask, truth = batch['mask_weight'], batch['joints_2d']
    found = outputs['features']
    mask = masks.area_resize(batch['mask'], outputs['mask'].shape[1])
    px = crops.REPORT_PX / 2
    return {
        'error_2d_px': _mean_distance(outputs['joints_2d'] - truth, joints_weight, px),
        'error_heatmap_px': _mean_distance(outputs['joints_2d_rounds'][:, 0] - truth, joints_weight, px),
        'error_3d_mm': self._error_3d_mm(batch, outputs),
        'iou': (segmentation.mask_iou(outputs['mask'], mask), has_mask),
        'gate_open': (tf.math.divide_no_nan(self.gate(batch, outputs), has_mask), has_mask),
        'joints_near': (self._near(batch, outputs), tf.cast(tf.reduce_any(joints_weight > 0, axis=-1), tf.float32)),
        'feature_spread': _of_batch(features.feature_spread(found), has_mask),
        'feature_rms': (features.feature_rms(found), tf.ones_like(has_mask)),
        'feature_active': _of_batch(features.active_share(found), has_mask),
    }

  def warnings(self, logs: Mapping[str, float]) -> list[str]:
    """What to tell about the scalars of an epoch, by name, those of held-out instances with the prefix 'val_'."""
    share, spread = (min((logs[name] for name in (figure, f'val_{figure}') if name in logs), default=1.)
                     for figure in ('feature_active', 'feature_spread'))
    found = []
    if share < self._least_active:
      found.append(f'only {share:.1%} of the feature units are active (dhpe.Objective.least_active is '
                   f'{self._least_active:.1%}), so the mesh hardly sees the features; set feature_head.groups = 8 in a '
                   'new training, or lower the learning rate')
    if spread < self._least_spread:
      found.append(f'feature_spread is {spread:.2g} (dhpe.Objective.least_spread is {self._least_spread:.2g}), so all '
                   'pictures have nearly the same features; lower the learning rate, or try another train.seed')
    return found

  # The terms, each [B].

  def _heatmap(self, step: Step) -> tf.Tensor:
    """L_2D (Eq. 3): each stage's maps [B, 32, 32, 21] against the bumps of the true joints."""
    target = heatmaps.encode(step.batch['joints_2d'])
    return keypoints.heatmap_loss(step.outputs['heatmap_stages'], target, step.batch['joints_2d_weight'])

  def _refiner(self, step: Step) -> tf.Tensor:
    """L_Ref (Eq. 6): j2D(1) .. j2D(T), [B, T, 21, 2], against the true joints; j2D(0) comes from the heat maps."""
    rounds = tf.unstack(step.outputs['joints_2d_rounds'], axis=1)[1:]
    return keypoints.refiner_loss(rounds, step.batch['joints_2d'], step.batch['joints_2d_weight'])

  def _feature(self, step: Step) -> tf.Tensor:
    """L_Feat (Eq. 2): F(x) [B, F] against F(x * m), where there is a mask m [B, S, S]."""
    batch = step.batch
    masked = self._feature_net(batch['image'] * batch['mask'][..., None], training=step.training)
    loss = features.feature_loss(step.outputs['features'], masked)
    # Zero in value and gradient where the weight is zero.
    return batch['mask_weight'] * tf.where(batch['mask_weight'] > 0, loss, 0.0)

  def _articulation(self, step: Step) -> tf.Tensor:
    """L_Art (Eq. 8): the mesh's joints [B, 21, 3] in crop space against the true ones."""
    xy, z = step.batch['joints_2d_weight'], step.batch['joints_z_weight']
    weights = tf.stack([xy, xy, z], axis=-1)  # [B, 21, 3]
    return articulation.articulation_loss(step.outputs['joints_3d'], step.batch['joints_3d'], weights)

  def _shape(self, step: Step) -> tf.Tensor:
    """Lambda L_Sh (Eqs. 9 and 12): rendered masks [B, M, M] against the true ones, where the gate is open."""
    mask = masks.area_resize(step.batch['mask'], step.outputs['mask'].shape[1])
    return shape.shape_loss(step.outputs['mask'], mask, self.gate(step.batch, step.outputs))

  def _laplacian(self, step: Step) -> tf.Tensor:
    """L_Lap: the mean length of the Laplacian coordinates of the vertices [B, V, 3]."""
    return laplacian.laplacian_loss(step.outputs['vertices'], self._laplacian_matrix)

  def _joint_limits(self, step: Step) -> tf.Tensor:
    """The penalty on joint angles beyond the anatomical limits, radians squared, of poses [B, 45]."""
    return priors.joint_limits(step.outputs['pose'], self._hand_model)

  def _shape_prior(self, step: Step) -> tf.Tensor:
    """The penalty ||beta||^2 on shape coefficients [B, 10]."""
    return priors.shape_prior(step.outputs['shape'])

  def _parameters(self, step: Step) -> tf.Tensor:
    """The squared errors of pose [B, 45] and of shape [B, 10], added, where they are known."""
    weights = step.batch['parameters_weight']
    return sum(priors.parameter_loss(step.outputs[name], step.batch[name], weights) for name in ('pose', 'shape'))

  def _biomechanics(self, step: Step) -> tf.Tensor:
    """The excess of the mesh's joints [B, 21, 3] over the limits of bones and joints; it needs no label."""
    return biomechanics.biomechanics_loss(step.outputs['joints_3d'])

  @staticmethod
  def _near(batch: Tensors, outputs: Tensors) -> tf.Tensor:
    """The condition of Eq. 12, [B]: 1 where the mesh's 2D joints are close to the true ones."""
    return shape.shape_gate(outputs['joints_2d'], batch['joints_2d'], batch['joints_2d_weight'])

  @staticmethod
  def _error_3d_mm(batch: Tensors, outputs: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean of 1000 u |J_k - J_root - (J_gt,k - J_gt,root)| [B], u metres per crop unit, and its weight [B]."""
    crop = crops.Crop(batch['crop_center_px'], batch['crop_side_px'])
    unit_m = cameras.metres_per_unit(batch['root_depth_m'], batch['intrinsics'], crop)
    error = outputs['joints_3d'] - batch['joints_3d']
    error -= error[:, skeletons.ROOT, None]
    weight = tf.cast(batch['joints_z_weight'] > 0, tf.float32) * tf.cast(unit_m > 0, tf.float32)[:, None]
    return _mean_distance(error, weight, 1000 * unit_m)


def _of_batch(value: tf.Tensor, like: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """A figure [] of the whole batch as one for each instance of `like` [B], with weights of one."""
  return tf.fill([tf.shape(like)[0]], value), tf.ones_like(like)


def _mean_distance(error: tf.Tensor, weight: tf.Tensor, unit) -> tuple[tf.Tensor, tf.Tensor]:
  """Mean length [B] of errors [B, K, C] over the joints of weight [B, K], times `unit`, and its weight [B].

  The weight is 1 if any joint has weight, else 0. Labels of weight 0 may hold anything.
  """
  lengths = tf.norm(tf.where(weight[..., None] > 0, error, 0.0), axis=-1)
  mean = tf.math.divide_no_nan(tf.reduce_sum(lengths * weight, axis=-1), tf.reduce_sum(weight, axis=-1))
  return mean * unit, tf.cast(tf.reduce_sum(weight, axis=-1) > 0, tf.float32)
