"""Fitting the hand model to 2D evidence of a batch of images, by either of two searches; no training."""
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.baselines import hand_space, least_squares, swarm
from dhpe_tf.geometry import rotations
from dhpe_tf.hand import anatomy
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.models import layers
from dhpe_tf.models.objective import area_resize

_HALF_TURN = float(np.pi)
# The back of the hand, its palm, its two edges, and the fingers toward the camera and away from it.
VIEWS = ((0.0, 0.0, 0.0), (0.0, _HALF_TURN, 0.0), (0.0, _HALF_TURN / 2, 0.0), (0.0, -_HALF_TURN / 2, 0.0),
         (_HALF_TURN / 3, 0.0, 0.0), (-_HALF_TURN / 3, 0.0, 0.0))


class Evidence(NamedTuple):
  """What a hand is fitted to; B images of right hands.

  Attributes:
    joints_2d: `[B, 21, 2]` in crop space.
    joints_weight: `[B, 21]`, 0 where a joint is not known.
    mask: `[B, S, S]` in 0..1, or None.
    mask_weight: `[B]`, 0 where there is none.
  """

  joints_2d: tf.Tensor
  joints_weight: tf.Tensor
  mask: Optional[tf.Tensor] = None
  mask_weight: Optional[tf.Tensor] = None


def _posed(hand_model: HandModel, space: hand_space.HandSpace, z: tf.Tensor, mask_size: int) -> dict[str, tf.Tensor]:
  """The outputs of `models.outputs` that a hand has, with its parameters and mask."""
  h = tf.cast(space.to_parameters(z), tf.float32)
  hand = layers.PosedHand(hand_model)(h)
  return {**hand, 'parameters': h, 'mask': layers.Silhouette(hand_model, mask_size)(hand['vertices'])}


def _as_functions(fit: Callable) -> Callable[[Evidence], dict[str, tf.Tensor]]:
  """One graph for any number of images, or the like with a mask."""
  # Nothing in it is Python control flow on tensors.
  compiled = tf.function(fit, reduce_retracing=True, autograph=False)
  return lambda evidence: compiled(*evidence)


@gin.configurable(module='baselines', denylist=['hand_model'])
def levenberg_marquardt(hand_model: HandModel, views: Sequence[Sequence[float]] = VIEWS, joints_sigma: float = 0.01,
                        angle_sigma: float = 0.6, shape_sigma: float = 1.0, limit_sigma: float = 0.05,
                        prior: float = 1.0, scouting: int = 6, mask_size: int = 64,
                        dtype: str = 'float32') -> Callable[[Evidence], dict[str, tf.Tensor]]:
  """Fits to 2D joints by Levenberg-Marquardt, after Panteleris, Oikonomidis and Argyros (WACV 2018).

  Residuals, each over the deviation that is expected of it: the 2D joints; and, as 2D joints alone leave a hand's depth
  open, the angles' distance to the mean pose, the shape coefficients, and angles beyond the joint limits. The search
  starts from several views of the mean hand; that which is best after a few steps goes on. The mask is not used.

  Args:
    hand_model: a right hand.
    views: turns (axis-angle about the camera's axes) of the upright hand to start from.
    joints_sigma: of the 2D joints, crop units (0.01 is 1.3 px of a crop of 256); for a network's joints more, as 0.1.
    angle_sigma: of the angles about the mean pose, radians.
    shape_sigma: of the shape coefficients.
    limit_sigma: of angles beyond the limits, radians.
    prior: factor of the last three residuals; 0 leaves them out, which only known joints in 3D would justify.
    scouting: steps from each of the views before the best goes on alone.
    mask_size: side of the mask in the answer, px.
    dtype: 'float64' follows a narrow valley farther, at twice the cost.

  Returns:
    A function of Evidence that gives the hand of `models.outputs`, its parameters, mask and cost `[B]`.
  """
  space = hand_space.HandSpace(hand_model, dtype)
  count = hand_space.NUM_ANGLES
  low, high = (tf.constant(limit[:count], dtype) for limit in (space.low, space.high))
  mean = tf.constant(space.mean[:count], dtype)

  def residuals_of(z: tf.Tensor, joints_2d: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    error = tf.sqrt(weight) * (space.joints(z)[..., :2] - joints_2d) / joints_sigma
    angles, shape = z[:, :count], z[:, count:count + 10]
    beyond = tf.nn.relu(low - angles) + tf.nn.relu(angles - high)
    return tf.concat([tf.reshape(error, [-1, 42]), (angles - mean) * (prior / angle_sigma),
                      shape * (prior / shape_sigma), beyond * (prior / limit_sigma)], axis=1)

  def fit(joints_2d, joints_weight, mask=None, mask_weight=None):
    del mask, mask_weight
    starts = space.starts(joints_2d, joints_weight, views)
    batch, number = tf.shape(starts)[0], len(views)
    weight = tf.cast(joints_weight, dtype)[..., None]
    target = tf.where(weight > 0, tf.cast(joints_2d, dtype), 0.)

    def residuals(z):
      # Rows come as image, then view, then, for derivatives, variable.
      times = tf.shape(z)[0] // batch
      return residuals_of(z, tf.repeat(target, times, axis=0), tf.repeat(weight, times, axis=0))

    scouts = least_squares.minimise(residuals, tf.reshape(starts, [batch * number, hand_space.SIZE]), scouting)
    best = tf.argmin(tf.reshape(scouts.cost, [batch, number]), axis=1)
    found = least_squares.minimise(
        residuals, tf.gather(tf.reshape(scouts.best, [batch, number, hand_space.SIZE]), best, batch_dims=1))
    return {**_posed(hand_model, space, found.best, mask_size), 'cost': found.cost}
  return _as_functions(fit)


@gin.configurable(module='baselines', denylist=['hand_model'])
def particle_swarm(hand_model: HandModel, particles: int = 64, joints: float = 1.0, mask: float = 0.05,
                   shape: float = 1e-4, joints_scale: float = 0.1, render_size: int = 32, mask_size: int = 64,
                   seed: int = 0) -> Callable[[Evidence], dict[str, tf.Tensor]]:
  """Fits to 2D joints and mask by a particle swarm, as Oikonomidis et al. (BMVC 2011) and Qian et al. (CVPR 2014) do.

  The swarm lives in the box of plausible hands, so that no particle bends a joint the wrong way. It starts from poses
  of `anatomy.sample_poses`, random shapes and views, each particle brought onto the joints by the best similarity of
  the plane. All particles of all images are drawn at once.

  The objective: the mean distance d of the 2D joints in crop units as sqrt(d^2 + e^2) - e, blunted below
  e = joints_scale / 10; 1 - IoU of the soft masks; and the squared shape coefficients.

  Args:
    hand_model: a right hand.
    particles: of the swarm of each image.
    joints: weight of the 2D joints' distance.
    mask: weight of 1 - IoU; 0 saves the drawing, which is most of the cost.
    shape: weight of the squared shape coefficients.
    joints_scale: ten times the distance below which joints no longer compete, crop units.
    render_size: side of the masks that are compared, px.
    mask_size: side of the mask in the answer, px.
    seed: of the start and the swarm.

  Returns:
    A function of Evidence that gives the hand of `models.outputs`, its parameters, mask and cost `[B]`.
  """
  space = hand_space.HandSpace(hand_model)
  hands, views = _random_hands(hand_model, space, particles, seed)
  posed, drawn = layers.PosedHand(hand_model), layers.Silhouette(hand_model, render_size)

  def objective(z, target, weight, true_mask, mask_weight):
    def for_each(x):
      return tf.repeat(x, tf.shape(z)[0] // tf.shape(target)[0], axis=0)
    blunt = joints_scale / 10
    squared = tf.reduce_sum(tf.square(space.joints(z)[..., :2] - for_each(target)), axis=-1)
    weight = for_each(weight)
    total = joints * tf.math.divide_no_nan(
        tf.reduce_sum(weight * (tf.sqrt(squared + blunt ** 2) - blunt), axis=1), tf.reduce_sum(weight, axis=1))
    total += shape * tf.reduce_sum(tf.square(z[:, hand_space.NUM_ANGLES:hand_space.NUM_ANGLES + 10]), axis=1)
    if true_mask is None or not mask:
      return total
    found, true = drawn(posed(space.to_parameters(z))['vertices']), for_each(true_mask)
    iou = tf.reduce_sum(tf.minimum(found, true), axis=[1, 2]) / tf.maximum(
        tf.reduce_sum(tf.maximum(found, true), axis=[1, 2]), 1e-6)
    return total + mask * for_each(mask_weight) * (1 - iou)

  def fit(joints_2d, joints_weight, true_mask=None, mask_weight=None):
    target = tf.where(joints_weight[..., None] > 0, joints_2d, 0.)
    true_mask = None if true_mask is None else area_resize(true_mask, render_size)
    found = swarm.minimise(
        functools.partial(objective, target=target, weight=joints_weight, true_mask=true_mask, mask_weight=mask_weight),
        space.starts(joints_2d, joints_weight, views, hands), space.low, space.high, seed=seed)
    return {**_posed(hand_model, space, found.best, mask_size), 'cost': found.best_objective}
  return _as_functions(fit)


def _random_hands(hand_model: HandModel, space: hand_space.HandSpace, count: int,
                  seed: int) -> tuple[tf.Tensor, np.ndarray]:
  """Hands `[count, 42]` with likely poses and shapes, the mean hand first, and as many views."""
  random = np.random.default_rng(seed)
  poses = anatomy.sample_poses(count, seed, hand_model)
  angles = anatomy.pose_to_angles(poses, hand_model).numpy().reshape(count, -1)[:, hand_space.MOVING]
  hands = np.tile(space.mean, [count, 1])
  hands[1:, :hand_space.NUM_ANGLES] = angles[1:]
  hands[1:, hand_space.NUM_ANGLES:hand_space.NUM_ANGLES + 10] = random.normal(0, 0.7, [count - 1, 10])
  hands = np.clip(hands, space.low, space.high)
  views = rotations.quaternion_to_axis_angle(rotations.random_rotations(count, seed)).numpy()
  known = min(count, len(VIEWS))
  views[:known] = VIEWS[:known]
  return tf.constant(hands, tf.float32), views


METHODS = {'particle_swarm': particle_swarm, 'levenberg_marquardt': levenberg_marquardt}
