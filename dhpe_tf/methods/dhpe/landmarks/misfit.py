"""How badly a hand fits the evidence: residuals, each over its expected deviation (Eq. 13 with depths and priors).

With joints J of the hand, those seen j, D = J_z - J_z,wrist, and W the joints in metres about their mean; hats for the
evidence:

  (j_k - j^_k) / sigma_k              where the joints are seen         42
  (D_k - D^_k) / depth                their depths in the picture       21
  (W_k - W^_k) / world                the hand in metres                63
  (angle_i - angle_0,i) / angle       the pose, about the start         26
  beyond_i / limit                    angles beyond the limits          26
  (shape_n - shape_0,n) / shape       the shape, about the start        10
  (k - k_0) / closeness               the camera's closeness             1

Half their squared sum is the negative logarithm of a likelihood with independent normal errors. The paper's Eq. 13 has
the first term, with equal weights; 2D joints alone leave the depth of the fingers open. The start is what the estimator
says, which knows more than a mean hand.
"""
import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.hand import hand_space, skeletons
from dhpe_tf.methods.dhpe.landmarks import hand_state
from dhpe_tf.methods.dhpe.landmarks.evidence import Evidence
from dhpe_tf.methods.dhpe.landmarks.hand_state import HandState, Joints
from dhpe_tf.optimization import least_squares

TERMS = ('joints', 'depth', 'world', 'angle', 'limit', 'shape', 'closeness')
# Residuals of each term.
_COUNTS = (2 * skeletons.NUM_KEYPOINTS, skeletons.NUM_KEYPOINTS, 3 * skeletons.NUM_KEYPOINTS, hand_space.NUM_ANGLES,
           hand_space.NUM_ANGLES, hand_space.NUM_SHAPE, 1)


def residual_factors(factors: tf.Tensor, joints_weight: tf.Tensor) -> tf.Tensor:
  """Returns factors `[B, 189]` of the residuals, whose squares weigh the terms.

  Args:
    factors: `[7]` of the terms, in the order of `TERMS`.
    joints_weight: `[B, 21]` of the 2D joints, in addition.
  """
  by_joint = tf.repeat(joints_weight, 2, axis=1)
  others = tf.ones([tf.shape(joints_weight)[0], sum(_COUNTS[1:])])
  return tf.sqrt(tf.repeat(factors, _COUNTS) * tf.concat([by_joint, others], axis=1))


@gin.configurable(module='landmarks', denylist=['state'])
class Misfit:
  """The residuals of hands against evidence; every argument after `state` is an expected deviation."""

  def __init__(self, state: HandState, joints: float = 0.015, spread: float = 1.0, depth: float = 0.4,
               world: float = 0.03, angle: float = 0.1, limit: float = 0.05, shape: float = 0.3,
               closeness: float = 0.04):
    """Prepares the constants.

    Args:
      state: of the hands.
      joints: of the 2D joints, crop units (0.01 is 1.3 px of 256).
      spread: how much of `Evidence.spread` is added (in squares) to `joints`.
      depth: of the depths, crop units.
      world: of the joints in metres.
      angle: of the joint angles from the start, radians.
      limit: of angles beyond the limits, radians.
      shape: of the shape coefficients from the start.
      closeness: of the camera's closeness from the start.
    """
    self._state = state
    self._joints, self._spread, self._depth, self._world = joints, spread, depth, world
    self._angle, self._limit, self._shape, self._closeness = angle, limit, shape, closeness

  def to_evidence(self, x: tf.Tensor, base: tf.Tensor, evidence: Evidence) -> list[tf.Tensor]:
    """The first three residuals: `[N, 21, 2]`, `[N, 21]`, `[N, 21, 3]` of x `[N, 43]`, base and evidence [N, ...]."""
    differences = _differences(self._state.joints(x, base), evidence)
    return [part / sigma for part, sigma in zip(differences, self._deviations(evidence))]

  def to_priors(self, x: tf.Tensor, start: tf.Tensor) -> list[tf.Tensor]:
    """The other residuals `[N, 26]`, `[N, 26]`, `[N, 10]`, `[N, 1]` of x and start `[N, 43]`."""
    change, beyond = x - start, self._state.space.beyond(x[:, hand_space.ANGLES])
    return [change[:, hand_space.ANGLES] / self._angle, beyond / self._limit, change[:, hand_space.SHAPE] / self._shape,
            change[:, hand_space.SIZE:] / self._closeness]

  def residuals(self, x: tf.Tensor, start: tf.Tensor, base: tf.Tensor, evidence: Evidence) -> tf.Tensor:
    """All residuals `[N, 189]`.

    Args:
      x: `[N, 43]`, N a multiple of B; the rows of one hand follow one another.
      start: `[B, 43]`.
      base: `[B, 4]` base rotations.
      evidence: of B hands.
    """
    times = tf.shape(x)[0] // tf.shape(base)[0]
    start, base = tf.repeat(start, times, axis=0), tf.repeat(base, times, axis=0)
    evidence = Evidence(*(tf.repeat(part, times, axis=0) for part in evidence))
    return _flat([*self.to_evidence(x, base, evidence), *self.to_priors(x, start)], 1)

  def linearised(self, x: tf.Tensor, start: tf.Tensor, base: tf.Tensor,
                 evidence: Evidence) -> tuple[tf.Tensor, tf.Tensor]:
    """All residuals `[B, 189]` and their derivatives by x `[B, 189, 43]`, in closed form where the hand allows it.

    Args:
      x: `[B, 43]`.
      start: `[B, 43]`.
      base: `[B, 4]` base rotations.
      evidence: of B hands.
    """
    if not self._state.space.can_linearise:
      return least_squares.by_tape(lambda rows: self.residuals(rows, start, base, evidence))(x)
    joints, steps = self._state.linearised(x, base)
    deviations = self._deviations(evidence)
    differences = zip(_differences(joints, evidence), deviations)
    residuals = _flat([*(part / sigma for part, sigma in differences), *self.to_priors(x, start)], 1)
    sigma_2d, depth, world = deviations
    by_joints = [steps.joints_2d / sigma_2d[:, None], _depths(steps) / depth, steps.metres / world]
    jacobian = _flat([*by_joints, *self._prior_steps(x)], 2)
    return residuals, tf.linalg.matrix_transpose(jacobian)

  def _prior_steps(self, x: tf.Tensor) -> list[tf.Tensor]:
    """The derivatives by x `[N, 43]` of the residuals of `to_priors`, `[N, 43, 26]` and so on."""
    unit = tf.tile(tf.eye(hand_state.SIZE, dtype=x.dtype)[None], [tf.shape(x)[0], 1, 1])
    angles = unit[:, :, hand_space.ANGLES]
    outward = tf.sign(self._state.space.excess(x[:, hand_space.ANGLES]))[:, None]
    return [angles / self._angle, angles * outward / self._limit, unit[:, :, hand_space.SHAPE] / self._shape,
            unit[:, :, hand_space.SIZE:] / self._closeness]

  def _deviations(self, evidence: Evidence) -> tuple[tf.Tensor, float, float]:
    """The expected deviations of the first three residuals: `[N, 21, 1]` and two numbers."""
    return (tf.sqrt(self._joints ** 2 + (self._spread * evidence.spread) ** 2)[..., None], self._depth, self._world)


def _differences(joints: Joints, evidence: Evidence) -> list[tf.Tensor]:
  """What the joints lack to the evidence: `[N, 21, 2]`, `[N, 21]`, `[N, 21, 3]`."""
  return [joints.joints_2d - evidence.joints_2d, _depths(joints) - evidence.depth, joints.metres - evidence.world_m]


def _depths(joints: Joints) -> tf.Tensor:
  """Depths `[..., 21]` from the wrist, crop units."""
  return joints.crop[..., 2] - joints.crop[..., skeletons.WRIST, None, 2]


def _flat(parts: list[tf.Tensor], lead: int) -> tf.Tensor:
  """The parts side by side in one last dimension, which holds all but the first `lead` of each."""
  return tf.concat([tf.reshape(part, tf.concat([tf.shape(part)[:lead], [int(np.prod(part.shape[lead:]))]], axis=0))
                    for part in parts], axis=lead)
