"""The training objective of the estimator on landmark evidence: every round against the labels."""
import gin
import tensorflow as tf

from dhpe_tf.geometry import crops
from dhpe_tf.hand import hand_space, joint_angles
from dhpe_tf.losses import biomechanics as constraints
from dhpe_tf.losses import reductions
from dhpe_tf.methods.dhpe.landmarks import hand_state
from dhpe_tf.methods.steps import Losses
from dhpe_tf.tasks.task import Tensors


@gin.configurable(module='landmarks', denylist=['state'])
class EvidenceObjective:
  """Losses and measures of the rounds.

    L = sum_t [joints_2d mean_k |j_k - j*_k| + joints_3d mean_k |W_k - W*_k| + angles mean_i (a_i - a*_i)^2
               + shape mean_n (beta_n - beta*_n)^2 + limits sum_i beyond_i^2 + biomechanics excess(W)]

  over the rounds t = 1, 2, .. j are where the joints are seen, W the joints in metres,
  each hand about its mean over the labelled joints, * the labels; a term without a label is zero.

  Attributes:
    MEASURES: names of the measures.
    weights: of the terms.
  """

  MEASURES = ('error_2d_px', 'error_3d_mm')

  def __init__(self, state: hand_state.HandState, joints_2d: float = 30.0, joints_3d: float = 40.0,
               angles: float = 2.0, shape: float = 0.05, limits: float = 5.0, biomechanics: float = 0.0):
    """Stores the weights.

    Args:
      state: of the hands.
      joints_2d: of the 2D joints, one over crop units.
      joints_3d: of the joints in metres, one over metres.
      angles: of the joint angles, where the pose is known.
      shape: of the shape coefficients, where they are known.
      limits: of angles beyond the joint limits.
      biomechanics: of bones and joints beyond their limits, see `losses.biomechanics`; at 0 it is not computed.
    """
    self._state = state
    self.weights = {'joints_2d': joints_2d, 'joints_3d': joints_3d, 'angles': angles, 'shape': shape, 'limits': limits}
    if biomechanics:
      self.weights['biomechanics'] = biomechanics

  def losses(self, batch: Tensors, outputs: Tensors) -> Losses:
    """The terms, each [B], summed over the rounds."""
    found = [self._terms(batch, x, base) for x, base in zip(outputs['states'][1:], outputs['bases'][1:])]
    terms = {name: tf.add_n([each[name] for each in found]) for name in self.weights}
    return Losses(reductions.combine(terms, self.weights), terms)

  def measures(self, batch: Tensors, outputs: Tensors) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """The errors of the last round [B] and their weights [B]: 2D in px of a crop of 256, 3D in mm about the mean."""
    joints = self._state.joints(outputs['states'][-1], outputs['bases'][-1])
    weight_2d, weight_3d = batch['joints_2d_weight'], batch['joints_3d_weight']
    apart = _about_mean(joints.metres, batch['joints_3d_m'], weight_3d)
    return {'error_2d_px': (_mean_length(joints.joints_2d - batch['joints_2d'], weight_2d) * (crops.REPORT_PX / 2),
                            _any(weight_2d)),
            'error_3d_mm': (_mean_length(apart, weight_3d) * 1000., _any(weight_3d))}

  def _terms(self, batch: Tensors, x: tf.Tensor, base: tf.Tensor) -> dict[str, tf.Tensor]:
    """The terms [B] of one round."""
    joints = self._state.joints(x, base)
    weight_3d, known = batch['joints_3d_weight'], batch['parameters_weight']
    angles = tf.reshape(joint_angles.pose_to_angles(batch['pose'], self._state.space.hand_model), [-1, 45])
    angles = tf.gather(angles, hand_space.MOVING, axis=1)
    found = x[:, hand_space.ANGLES]
    terms = {'joints_2d': _mean_length(joints.joints_2d - batch['joints_2d'], batch['joints_2d_weight']),
             'joints_3d': _mean_length(_about_mean(joints.metres, batch['joints_3d_m'], weight_3d), weight_3d),
             'angles': reductions.instance_squared_error(found, angles, known, 'mean'),
             'shape': reductions.instance_squared_error(x[:, hand_space.SHAPE], batch['shape'], known, 'mean'),
             'limits': tf.reduce_sum(tf.square(self._state.space.beyond(found)), axis=1)}
    if 'biomechanics' in self.weights:
      terms['biomechanics'] = constraints.biomechanics_loss(joints.metres)
    return terms


def _about_mean(points: tf.Tensor, target: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
  """Differences [B, K, 3] after both hands are moved to their means over the joints of weight [B, K]."""
  difference = tf.where(weight[..., None] > 0, points - target, 0.)
  total = tf.reduce_sum(weight, axis=1)[:, None]
  mean = tf.math.divide_no_nan(tf.reduce_sum(difference * weight[..., None], axis=1), total)
  return difference - mean[:, None]


def _mean_length(vectors: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
  """Mean length [B] of vectors [B, K, C] over the joints of weight [B, K]; labels without weight may be anything."""
  lengths = reductions.safe_norm(tf.where(weight[..., None] > 0, vectors, 0.))
  return tf.math.divide_no_nan(tf.reduce_sum(lengths * weight, axis=1), tf.reduce_sum(weight, axis=1))


def _any(weight: tf.Tensor) -> tf.Tensor:
  """1 where any joint [B, K] has weight, else 0."""
  return tf.cast(tf.reduce_any(weight > 0, axis=1), tf.float32)
