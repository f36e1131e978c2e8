"""The objective of refinement at test time: the estimate's disagreement with its own 2D evidence (paper Eq. 13)."""
from typing import NamedTuple, Optional

import gin
import tensorflow as tf

from dhpe_tf.geometry import meshes
from dhpe_tf.hand import parameters, skeletons
from dhpe_tf.losses import features as feature_losses
from dhpe_tf.losses import keypoints, laplacian, priors, shape
from dhpe_tf.methods.dhpe.refinement.estimator import Estimator

TERMS = ('joints', 'feature', 'mask', 'laplacian', 'joint_limits', 'shape_prior', 'stay')


class Evidence(NamedTuple):
  """The 2D evidence that the mesh is compared with; B instances.

  Attributes:
    images: `[B, S, S, 3]` in 0..1.
    features: F(x) `[B, F]` of the whole images.
    joints_2d_rounds: `[B, R, 21, 2]` crop space, the 2D joints of the heat maps and after each round of the refiner;
      their mean is the target.
    joints_weight: `[B, 21]` of the estimated joints.
    start: `[B, 63]` parameters at the start.
    known_joints_2d: `[B, 21, 2]` joints given by the caller, or None. They replace the estimated ones.
    known_joints_weight: `[B, 21]`, 0 where a joint is not known. An instance with any known joint uses only those.
    known_mask: `[B, M, M]` in 0..1 at the size of the model's masks, or None.
    known_mask_weight: `[B]`, 0 where there is none.
  """

  images: tf.Tensor
  features: tf.Tensor
  joints_2d_rounds: tf.Tensor
  joints_weight: tf.Tensor
  start: tf.Tensor
  known_joints_2d: Optional[tf.Tensor] = None
  known_joints_weight: Optional[tf.Tensor] = None
  known_mask: Optional[tf.Tensor] = None
  known_mask_weight: Optional[tf.Tensor] = None


@gin.configurable(module='refinement', denylist=['model', 'evidence', 'factors'])
class Consistency:
  """The objective of Eq. 13 as a function of the parameters: h `[B, 63]` -> E `[B]`.

    E(h) = joints ||[Reg(M(h))]_XY - j2D(h)||^2 + feature ||F(x) - F(x * Ren(M(h)))||^2
           + laplacian mean_v |(L (M(h) - M(h_0)))_v|
           + mask ||Ren(M(h)) - m||^2 + joint_limits max(P(h) - P(h_0), 0) + shape_prior max(S(h) - S(h_0), 0)
           + stay (||pose - pose_0||^2 + ||q - q_0||^2).

  The first three terms are the paper's, with the Laplacian of the change since the start h_0. The others are not in the
  paper: known masks m, the penalty P of joint limits and S = ||shape||^2, and the distance to the start, which fixes
  what 2D evidence leaves open. No gradient passes through j2D(h) and F(x).
  """

  def __init__(self, model: Estimator, evidence: Evidence, factors: Optional[tf.Tensor] = None, joints: float = 1.0,
               feature: float = 0.0, mask: float = 1.0, laplacian: float = 0.05, joint_limits: float = 0.02,
               shape_prior: float = 1e-4, stay: float = 2e-3, refine_joints: bool = True,
               laplacian_kind: str = 'cotangent'):
    """Keeps model and evidence.

    Args:
      model: gives feature net, refiner, hand and silhouette.
      evidence: of the images.
      factors: `[7]` of the weights below, in the order of `TERMS`, or None. A term whose weight is 0 stays out.
      joints: weight of the 2D joints.
      feature: weight of the feature term, the paper's lambda; 0 saves a forward and a backward pass of the feature
        net in each step, which cost more than all the rest.
      mask: weight of a known mask.
      laplacian: weight of the change of the mesh's Laplacian coordinates since the start.
      joint_limits: weight of the growth of the penalty on joint angles beyond the limits.
      shape_prior: weight of the growth of the squared shape coefficients.
      stay: weight of the squared change of pose and rotation since the start.
      refine_joints: whether the last round's 2D joints are refined anew in each step, as in the paper; False keeps
        those of the first estimate.
      laplacian_kind: 'cotangent' (of the rest hand) or 'uniform'.
    """
    self._model, self._evidence = model, evidence
    weights = (joints, feature, mask if evidence.known_mask is not None else 0.0, laplacian, joint_limits, shape_prior,
               stay)
    self._weights = {name: weight for name, weight in zip(TERMS, weights) if weight}
    if factors is not None:
      numbers = {name: number for number, name in enumerate(TERMS)}
      self._weights = {name: weight * factors[numbers[name]] for name, weight in self._weights.items()}
    self._refine_joints = refine_joints and model.pose_refiner is not None
    self._start_hand = model.hand(evidence.start)
    self._start_priors = self._priors(self._start_hand)
    # Dense, it would be the largest constant of an exported graph.
    hand_model = model.hand_model
    self._laplacian = meshes.sparse_tensor(meshes.laplacian(laplacian_kind, hand_model.v_template, hand_model.faces))

  def __call__(self, h: tf.Tensor) -> tf.Tensor:
    """The objective `[B]` at parameters `[B, 63]`."""
    return tf.add_n(list(self.terms(h).values()))

  def terms(self, h: tf.Tensor) -> dict[str, tf.Tensor]:
    """The terms of the objective at parameters `[B, 63]` by name, each `[B]` and times its weight."""
    hand = self._model.hand(h)
    terms = {
        'joints': lambda: self._joints(h, hand),
        'feature': lambda: self._feature(hand),
        'mask': lambda: shape.shape_loss(
            self._model.silhouette(hand['vertices']), self._evidence.known_mask, self._evidence.known_mask_weight),
        'laplacian': lambda: laplacian.laplacian_loss(
            hand['vertices'], self._laplacian, self._start_hand['vertices']),
        'joint_limits': lambda: self._beyond_start('joint_limits', hand),
        'shape_prior': lambda: self._beyond_start('shape_prior', hand),
        'stay': lambda: self._stay(h),
    }
    return {name: weight * terms[name]() for name, weight in self._weights.items()}

  def joints_target(self, h: tf.Tensor, hand: dict) -> tuple[tf.Tensor, tf.Tensor]:
    """The target j2D(h) `[B, 21, 2]` of the mesh's 2D joints and its weights `[B, 21]`; no gradient passes.

    It is the mean over the rounds, of which the last, j2D(T-1) + f_Ref(h, F(x), Reg(M(h)), j2D(T-1)) (Eq. 6), is
    computed anew for h; known joints replace estimated ones.
    """
    evidence = self._evidence
    rounds, weights = evidence.joints_2d_rounds, evidence.joints_weight
    if self._refine_joints:
      before_last = rounds[:, -2]
      offset = self._model.pose_refiner({
          # As in the model, the refiner's input is the regressor's sum, whose scale is a logarithm.
          'parameters': self._model.to_parameters.invert(h), 'features': evidence.features,
          'joints_3d': tf.reshape(hand['joints_3d'], [-1, 3 * skeletons.NUM_KEYPOINTS]),
          'joints_2d': tf.reshape(before_last, [-1, 2 * skeletons.NUM_KEYPOINTS])})
      anew = before_last + tf.reshape(offset, [-1, skeletons.NUM_KEYPOINTS, 2])
      rounds = tf.concat([rounds[:, :-1], anew[:, None]], axis=1)
    # On held-out pictures the mean lay nearer to the truth than the heat maps' joints or any refined ones.
    joints = tf.reduce_mean(rounds, axis=1)
    if evidence.known_joints_2d is not None:
      known = evidence.known_joints_weight
      joints = tf.where(known[..., None] > 0, evidence.known_joints_2d, joints)
      # In an instance with a known joint, estimated ones do not count.
      any_known = tf.reduce_any(known > 0, axis=-1, keepdims=True)
      weights = tf.where(any_known, known, weights)
    return tf.stop_gradient(joints), weights

  def _joints(self, h: tf.Tensor, hand: dict) -> tf.Tensor:
    """The first term, ||[Reg(M(h))]_XY - j2D(h)||^2, `[B]`."""
    target, weights = self.joints_target(h, hand)
    return keypoints.refiner_loss([hand['joints_2d']], target, weights)

  def _feature(self, hand: dict) -> tf.Tensor:
    """The second term, ||F(x) - F(x * Ren(M(h)))||^2, `[B]`: the picture against the part under the rendered mask."""
    mask = self._model.silhouette(hand['vertices'])
    size = self._evidence.images.shape[1]
    mask = tf.image.resize(mask[..., None], [size, size])
    masked = self._model.feature_net(self._evidence.images * mask, training=False)
    # Unlike in training, what moves is the mask.
    return feature_losses.feature_loss(self._evidence.features, masked, stop_gradient_on='full')

  def _priors(self, hand: dict) -> dict[str, tf.Tensor]:
    """The penalties P of poses beyond the joint limits and S of unusual shapes, each `[B]`."""
    return {'joint_limits': priors.joint_limits(hand['pose'], self._model.hand_model),
            'shape_prior': priors.shape_prior(hand['shape'], reduction='sum')}

  def _beyond_start(self, name: str, hand: dict) -> tf.Tensor:
    """How much a penalty `[B]` has grown since the start.

    Only growth counts: models trained without priors start outside the limits.
    """
    return tf.nn.relu(self._priors(hand)[name] - self._start_priors[name])

  def _stay(self, h: tf.Tensor) -> tf.Tensor:
    """Squared change of pose and quaternion since the start, ||pose - pose_0||^2 + ||q - q_0||^2, `[B]`."""
    change = parameters.split(h - self._evidence.start)
    return tf.reduce_sum(tf.square(change.pose), axis=1) + tf.reduce_sum(tf.square(change.rotation), axis=1)
