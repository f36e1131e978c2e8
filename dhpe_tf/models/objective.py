"""The training objective (paper section 3.3): which loss sees which output and label, and the figures beside it."""
from typing import Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.geometry import heatmaps, meshes
from dhpe_tf.hand import anatomy, skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.losses import articulation, features, keypoints, laplacian, priors, shape, total

CROP_PX = 224  # the crop size in which pixel errors and the gate's threshold are stated


@gin.configurable
def loss_weights(heatmap: float = 1.0, refinement: float = 1.0, feature: float = 1.0, articulation: float = 1.0,
                 shape: float = 1.0, laplacian: float = 0.1, pose_prior: float = 0.0, shape_prior: float = 0.0,
                 parameters: float = 0.0) -> dict[str, float]:
  """Weights of the terms of Eq. 7; a term of weight 0 is not computed.

  The paper gives none of them. The last three are not in the paper: they are for data that need them or allow them.

  Args:
    heatmap: L_2D, Eq. 3.
    refinement: L_Ref, Eq. 6.
    feature: L_Feat, Eq. 2; costs a second pass of the feature net.
    articulation: L_Art, Eq. 8.
    shape: L_Sh, Eq. 9, times the gate of Eq. 12: the paper's lambda.
    laplacian: L_Lap; it pulls toward smaller meshes, at this weight by some tenths of a percent.
    pose_prior: penalty on joint angles beyond the anatomical limits.
    shape_prior: penalty on large shape coefficients.
    parameters: squared error of pose and shape where the data give them (synthetic images).
  """
  return {'heatmap': heatmap, 'refinement': refinement, 'feature': feature, 'articulation': articulation,
          'shape': shape, 'laplacian': laplacian, 'pose_prior': pose_prior, 'shape_prior': shape_prior,
          'parameters': parameters}


@gin.configurable(module='dhpe', denylist=['hand_model', 'refined'])
class Objective:
  """Computes losses and figures of a batch (the dict of `data.input_pipeline`) from a model's outputs.

  Attributes:
    MEASURES: names of the figures.
    weights: the terms that are computed, with their weights.
    laplacian: [V, V] of the hand model's mesh.
  """

  MEASURES = ('error_2d_px', 'error_heatmap_px', 'error_3d_mm', 'iou', 'gate_open', 'joints_near', 'feature_spread')

  def __init__(self, hand_model: HandModel, gated: bool = True, laplacian_kind: str = 'cotangent',
               refined: bool = True):
    """Prepares the constants.

    Args:
      hand_model: gives the mesh for the Laplacian.
      gated: the mask of an instance acts only once its joints are close (Eq. 12); otherwise always: the "constant
        weight" of the paper's Fig. 5f.
      laplacian_kind: 'cotangent' (of the rest hand) or 'uniform'.
      refined: whether there are refined 2D joints; without them there is no refinement term.

    Raises:
      UserError: an unknown kind.
    """
    if laplacian_kind not in ('cotangent', 'uniform'):
      raise errors.UserError(f"Objective.laplacian_kind is {laplacian_kind!r}; choose 'cotangent' or 'uniform'")
    self.weights = {name: float(weight) for name, weight in loss_weights().items()
                    if weight and (refined or name != 'refinement')}
    self._hand_model = hand_model
    self._gated = gated
    matrix = (meshes.cotangent_laplacian(hand_model.v_template, hand_model.faces) if laplacian_kind == 'cotangent'
              else meshes.uniform_laplacian(hand_model.faces, hand_model.num_vertices))
    # Dense, because XLA has no sparse product; at this size the difference is small.
    self.laplacian = matrix.toarray().astype(np.float32)

  def terms(self, batch: dict, outputs: dict, masked_features: Optional[tf.Tensor]) -> dict[str, tf.Tensor]:
    """The loss terms, unweighted.

    Args:
      batch: labels.
      outputs: of the model, see outputs.OUTPUTS.
      masked_features: [B, F] features of the picture under its true mask; needed if the feature term is on.

    Returns:
      Each term's [B] by name.
    """
    compute = {
        'heatmap': lambda: keypoints.heatmap_loss(
            outputs['heatmap_stages'], heatmaps.encode(batch['joints_2d']), batch['joints_2d_weight']),
        'refinement': lambda: keypoints.refinement_loss(
            tf.unstack(outputs['joints_2d_rounds'], axis=1)[1:], batch['joints_2d'], batch['joints_2d_weight']),
        'feature': lambda: _where_any(
            batch['mask_weight'], features.feature_loss(outputs['features'], masked_features)),
        'articulation': lambda: articulation.articulation_loss(
            outputs['joints_3d'], batch['joints_3d'], self._joint_weights(batch)),
        'shape': lambda: shape.shape_loss(
            outputs['mask'], area_resize(batch['mask'], outputs['mask'].shape[1]), self.gate(batch, outputs)),
        'laplacian': lambda: laplacian.laplacian_loss(outputs['vertices'], self.laplacian),
        'pose_prior': lambda: anatomy.limit_penalty(outputs['pose'], self._hand_model),
        'shape_prior': lambda: priors.shape_prior(outputs['shape']),
        'parameters': lambda: sum(priors.parameter_loss(outputs[name], batch[name], batch['parameters_weight'])
                                  for name in ('pose', 'shape')),
    }
    return {name: compute[name]() for name in self.weights}

  def combine(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
    """The weighted sum [B] of the terms."""
    return total.combine(terms, self.weights)

  def gate(self, batch: dict, outputs: dict) -> tf.Tensor:
    """The weight [B] with which the mask of each instance acts: 0 without a mask or (Eq. 12) with joints far off."""
    return batch['mask_weight'] * self._near(batch, outputs) if self._gated else batch['mask_weight']

  def measures(self, batch: dict, outputs: dict) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """Figures to watch: by name the values [B] and their weights [B] in the mean.

    `error_2d_px` is the mesh's 2D error in pixels of a 224 px crop, `error_heatmap_px` the heat maps'; `error_3d_mm` is
    aligned at the root, in millimetres at the true depth of the root; `iou` is the mask's; `gate_open` the share of
    masks that act; `joints_near` the share of hands near enough for the gate, be there one or not; `feature_spread`
    watches for the collapse that Eq. 2 alone would cause.
    """
    joints_weight = tf.cast(batch['joints_2d_weight'] > 0, tf.float32)
    masks = batch['mask_weight']
    spread = features.feature_spread(outputs['features'])
    return {
        'error_2d_px': _mean_distance(outputs['joints_2d'] - batch['joints_2d'], joints_weight, CROP_PX / 2),
        'error_heatmap_px': _mean_distance(
            outputs['joints_2d_rounds'][:, 0] - batch['joints_2d'], joints_weight, CROP_PX / 2),
        'error_3d_mm': self._error_3d_mm(batch, outputs),
        'iou': (mask_iou(outputs['mask'], area_resize(batch['mask'], outputs['mask'].shape[1])), masks),
        'gate_open': (tf.math.divide_no_nan(self.gate(batch, outputs), masks), masks),
        'joints_near': (self._near(batch, outputs), tf.cast(tf.reduce_any(joints_weight > 0, axis=-1), tf.float32)),
        'feature_spread': (tf.fill([tf.shape(masks)[0]], spread), tf.ones_like(masks)),
    }

  @staticmethod
  def _near(batch: dict, outputs: dict) -> tf.Tensor:
    """The condition of Eq. 12, [B]: 1 where the mesh's 2D joints are close to the true ones."""
    return shape.shape_gate(outputs['joints_2d'], batch['joints_2d'], batch['joints_2d_weight'], crop_size_px=CROP_PX)

  @staticmethod
  def _joint_weights(batch: dict) -> tf.Tensor:
    """Weights [B, K, 3] of x, y and z."""
    xy, z = batch['joints_2d_weight'], batch['joints_z_weight']
    return tf.stack([xy, xy, z], axis=-1)

  @staticmethod
  def _error_3d_mm(batch: dict, outputs: dict) -> tuple[tf.Tensor, tf.Tensor]:
    focal = (batch['intrinsics'][:, 0, 0] + batch['intrinsics'][:, 1, 1]) / 2
    # Half the crop's side, in metres at the root's depth: the unit of crop space.
    unit_m = tf.math.divide_no_nan(batch['crop_side_px'] / 2 * batch['root_depth_m'], focal)
    error = outputs['joints_3d'] - batch['joints_3d']
    error -= error[:, skeletons.ROOT:skeletons.ROOT + 1]
    weight = tf.cast(batch['joints_z_weight'] > 0, tf.float32) * tf.cast(unit_m > 0, tf.float32)[:, None]
    return _mean_distance(error, weight, 1000 * unit_m)


def area_resize(mask: tf.Tensor, size: int) -> tf.Tensor:
  """Resamples masks [B, S, S] to [B, size, size], each new pixel the mean over its area; exact for any two sizes."""
  if mask.shape[1] == size:
    return mask
  matrix = _overlaps(mask.shape[1], size)
  return tf.einsum('ij,bjk,lk->bil', matrix, mask, matrix)


def _overlaps(old: int, new: int) -> np.ndarray:
  """The share [new, old] of each new interval that each old one covers, both dividing the same line evenly."""
  old_edges, new_edges = np.linspace(0, 1, old + 1), np.linspace(0, 1, new + 1)
  low = np.maximum(old_edges[None, :-1], new_edges[:-1, None])
  high = np.minimum(old_edges[None, 1:], new_edges[1:, None])
  return (np.maximum(high - low, 0) * new).astype(np.float32)


def _where_any(weight: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
  """`values` [B] times `weight` [B], zero in value and gradient where the weight is zero."""
  return weight * tf.where(weight > 0, values, 0.0)


def _mean_distance(error: tf.Tensor, weight: tf.Tensor, unit) -> tuple[tf.Tensor, tf.Tensor]:
  """Mean length [B] of errors [B, K, C] over the joints of weight [B, K], times `unit`, and whether there are any."""
  # Labels of weight 0 may hold anything.
  lengths = tf.norm(tf.where(weight[..., None] > 0, error, 0.0), axis=-1)
  mean = tf.math.divide_no_nan(tf.reduce_sum(lengths * weight, axis=-1), tf.reduce_sum(weight, axis=-1))
  return mean * unit, tf.cast(tf.reduce_sum(weight, axis=-1) > 0, tf.float32)


def mask_iou(mask: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
  """Intersection over union [B] of masks [B, M, M] cut at one half; 1 if both are empty."""
  mask, target = mask > 0.5, target > 0.5
  both = tf.reduce_sum(tf.cast(mask & target, tf.float32), axis=[1, 2])
  either = tf.reduce_sum(tf.cast(mask | target, tf.float32), axis=[1, 2])
  return tf.where(either > 0, tf.math.divide_no_nan(both, either), 1.0)
