"""Fitting the hand model to 2D joints and masks of a batch of images, by one of two searches; no training."""
import functools
from collections.abc import Callable, Sequence

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import masks, rotations
from dhpe_tf.hand import anatomy, hand_space, parameters, skeletons
from dhpe_tf.hand import hand_model as hand_models
from dhpe_tf.methods import method
from dhpe_tf.networks import hand_layers
from dhpe_tf.optimization import least_squares, swarm
from dhpe_tf.tasks.hand.task import HandTask
from dhpe_tf.tasks.task import Tensors

_HALF_TURN = float(np.pi)
# Axis-angle turns of the upright hand, radians: its back, its palm and its two edges toward the camera, then its
# fingers toward the camera and away from it.
VIEWS = ((0.0, 0.0, 0.0), (0.0, _HALF_TURN, 0.0), (0.0, _HALF_TURN / 2, 0.0), (0.0, -_HALF_TURN / 2, 0.0),
         (_HALF_TURN / 3, 0.0, 0.0), (-_HALF_TURN / 3, 0.0, 0.0))


class Fit(method.Method):
  """Fits the hand to the 2D joints, and optionally the mask, of each image of a batch; nothing is trained.

  Inputs: joints_2d `[B, 21, 2]` in crop space, joints_2d_weight `[B, 21]`, 0 where a joint is not known; with
  `sees_masks` also mask `[B, S, S]` in 0..1 and mask_weight `[B]`, 0 where there is none.
  """

  def __init__(self, task: HandTask, fit: Callable[..., tuple[tf.Tensor, tf.Tensor]], sees_masks: bool,
               mask_size: int):
    """Stores the search and compiles it.

    Args:
      task: gives the hand.
      fit: (joints_2d, joints_2d_weight[, mask, mask_weight]) -> parameters h `[B, 63]` and their cost `[B]`.
      sees_masks: whether `fit` takes masks.
      mask_size: side of the mask in the answer, px.
    """
    self.task = task
    self._sees_masks, self._mask_size = sees_masks, mask_size
    self._posed = hand_layers.PosedHand(task.hand_model)
    self._drawn = hand_layers.Silhouette(task.hand_model, mask_size)
    self._fit = fit
    # One graph for any number of images. Nothing in it is Python control flow on tensors.
    self._compiled = tf.function(self._answer, reduce_retracing=True, autograph=False)

  @property
  def input_specs(self) -> dict[str, tf.TensorSpec]:
    """Specifications of the inputs: 2D joints with their weights, and masks with `sees_masks`."""
    count = skeletons.NUM_KEYPOINTS
    specs = {'joints_2d': tf.TensorSpec([None, count, 2]), 'joints_2d_weight': tf.TensorSpec([None, count])}
    if self._sees_masks:
      specs.update(mask=tf.TensorSpec([None, None, None]), mask_weight=tf.TensorSpec([None]))
    return specs

  @property
  def output_specs(self) -> dict[str, tf.TensorSpec]:
    """Specifications of the answers: the posed hand, its parameters, mask and cost."""
    count, vertices = skeletons.NUM_KEYPOINTS, self.task.hand_model.num_vertices
    shapes = {'joints_3d': [count, 3], 'units_per_metre': [], 'joints_2d': [count, 2], 'vertices': [vertices, 3],
              'mask': [self._mask_size, self._mask_size], 'parameters': [parameters.NUM_PARAMETERS],
              'pose': [hand_models.NUM_POSE], 'shape': [hand_models.NUM_SHAPE], 'camera': [parameters.NUM_CAMERA],
              'cost': []}
    return {name: tf.TensorSpec([None, *shape]) for name, shape in shapes.items()}

  def answer(self, inputs: Tensors) -> Tensors:
    """The fitted hands of a batch, by the names of `output_specs`."""
    return self._compiled(inputs)

  def _answer(self, inputs: Tensors) -> Tensors:
    """`answer` outside of a compiled function."""
    h, cost = self._fit(**inputs)
    h = tf.cast(h, tf.float32)
    hand = self._posed(h)
    return {**hand, 'parameters': h, 'mask': self._drawn(hand['vertices']), 'cost': cost}


@gin.configurable(module='model_fitting', denylist=['task'])
def levenberg_marquardt(task: HandTask, views: Sequence[Sequence[float]] = VIEWS, joints_sigma: float = 0.01,
                        angle_sigma: float = 0.6, shape_sigma: float = 1.0, limit_sigma: float = 0.05,
                        prior: float = 1.0, scouting: int = 6, mask_size: int = 64,
                        dtype: str = 'float32') -> Fit:
  """Fits to 2D joints by Levenberg-Marquardt, after Panteleris, Oikonomidis and Argyros (WACV 2018).

  The residuals r(z) `[B, 104]`, whose squares are minimised over z of `hand_space`, each over its expected deviation:

    sqrt(w_k) (J(z)_k - j2D_k) / joints_sigma                         2D joints,           42
    prior (angle_i - mean_i) / angle_sigma                            the mean pose,       26
    prior shape_n / shape_sigma                                       the shape,           10
    prior (max(low_i - angle_i, 0) + max(angle_i - high_i, 0)) / limit_sigma, the limits,  26

  The priors are there because 2D joints alone leave a hand's depth open. The search starts from several views of the
  mean hand, and continues from the best of them after a few iterations. The mask is not used.

  Args:
    task: gives the hand.
    views: turns (axis-angle about the camera's axes, radians) of the upright hand to start from.
    joints_sigma: of the 2D joints, crop units (0.01 is 1.3 px of a crop of 256); larger, such as 0.1, for joints that a
      network predicts.
    angle_sigma: of the angles about the mean pose, radians.
    shape_sigma: of the shape coefficients.
    limit_sigma: of angles beyond the limits, radians.
    prior: factor of the last three residuals; 0 leaves them out.
    scouting: iterations from each of the views before the best continues alone.
    mask_size: side of the mask in the answer, px.
    dtype: 'float64' follows a narrow valley farther, at twice the cost.

  Returns:
    The method.
  """
  space = hand_space.HandSpace(task.hand_model, dtype)
  mean = tf.constant(space.mean[hand_space.ANGLES], dtype)

  def residuals_of(z: tf.Tensor, joints_2d: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    error = tf.sqrt(weight) * (space.joints(z)[..., :2] - joints_2d) / joints_sigma  # [N, 21, 2]
    angles, shape = z[:, hand_space.ANGLES], z[:, hand_space.SHAPE]
    return tf.concat([tf.reshape(error, [-1, 2 * skeletons.NUM_KEYPOINTS]), (angles - mean) * (prior / angle_sigma),
                      shape * (prior / shape_sigma), space.beyond(angles) * (prior / limit_sigma)], axis=1)

  def fit(joints_2d: tf.Tensor, joints_2d_weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    starts = space.starts(joints_2d, joints_2d_weight, views)
    batch, number = tf.shape(starts)[0], len(views)
    weight = tf.cast(joints_2d_weight, dtype)[..., None]
    target = tf.where(weight > 0, tf.cast(joints_2d, dtype), 0.)

    def residuals(z):
      # Rows are ordered by image, then view, then (for derivatives) variable.
      times = tf.shape(z)[0] // batch
      return residuals_of(z, tf.repeat(target, times, axis=0), tf.repeat(weight, times, axis=0))
    linearised = least_squares.by_tape(residuals)

    scouts = least_squares.minimise_squares(
        linearised, tf.reshape(starts, [batch * number, hand_space.SIZE]), scouting)
    best = tf.argmin(tf.reshape(scouts.cost, [batch, number]), axis=1)
    found = least_squares.minimise_squares(
        linearised, tf.gather(tf.reshape(scouts.best, [batch, number, hand_space.SIZE]), best, batch_dims=1))
    return space.to_parameters(found.best), found.cost
  return Fit(task, fit, sees_masks=False, mask_size=mask_size)


@gin.configurable(module='model_fitting', denylist=['task'])
def particle_swarm(task: HandTask, particles: int = 64, joints: float = 1.0, mask: float = 0.05,
                   shape: float = 1e-4, joints_scale: float = 0.1, render_size: int = 32, mask_size: int = 64,
                   seed: int = 0) -> Fit:
  """Fits to 2D joints and mask by a particle swarm, as Oikonomidis et al. (BMVC 2011) and Qian et al. (CVPR 2014) do.

  The swarm stays in the box of plausible hands, so that no particle bends a joint the wrong way. It starts from poses
  of `anatomy.sample_poses` with random shapes and views, each particle moved onto the joints by the best similarity of
  the plane. All particles of all images are drawn at once.

  The objective, with the distances d_k of the 2D joints in crop units, blunted below e = joints_scale / 10, and soft
  masks A (rendered) and B (true) of weight w_B:

    E = joints sum_k w_k (sqrt(d_k^2 + e^2) - e) / sum_k w_k + mask w_B (1 - sum min(A, B) / sum max(A, B))
        + shape ||beta||^2.

  Args:
    task: gives the hand.
    particles: of the swarm of each image.
    joints: weight of the 2D joints' distance.
    mask: weight of 1 - IoU; 0 saves the rendering, which is most of the cost.
    shape: weight of the squared shape coefficients.
    joints_scale: ten times the distance e below which errors of joints hardly count, crop units.
    render_size: side of the masks that are compared, px.
    mask_size: side of the mask in the answer, px.
    seed: of the random numbers of the start and the swarm.

  Returns:
    The method.
  """
  hand_model = task.hand_model
  space = hand_space.HandSpace(hand_model)
  hands, views = _random_hands(hand_model, space, particles, seed)
  posed, drawn = hand_layers.PosedHand(hand_model), hand_layers.Silhouette(hand_model, render_size)

  def objective(z, target, weight, true_mask, mask_weight):
    def for_each(x):
      return tf.repeat(x, tf.shape(z)[0] // tf.shape(target)[0], axis=0)
    blunt = joints_scale / 10
    squared = tf.reduce_sum(tf.square(space.joints(z)[..., :2] - for_each(target)), axis=-1)
    weight = for_each(weight)
    total = joints * tf.math.divide_no_nan(
        tf.reduce_sum(weight * (tf.sqrt(squared + blunt ** 2) - blunt), axis=1), tf.reduce_sum(weight, axis=1))
    total += shape * tf.reduce_sum(tf.square(z[:, hand_space.SHAPE]), axis=1)
    if not mask:
      return total
    found, true = drawn(posed(space.to_parameters(z))['vertices']), for_each(true_mask)
    iou = tf.reduce_sum(tf.minimum(found, true), axis=[1, 2]) / tf.maximum(
        tf.reduce_sum(tf.maximum(found, true), axis=[1, 2]), 1e-6)
    return total + mask * for_each(mask_weight) * (1 - iou)

  def fit(joints_2d: tf.Tensor, joints_2d_weight: tf.Tensor, mask: tf.Tensor,
          mask_weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    target = tf.where(joints_2d_weight[..., None] > 0, joints_2d, 0.)
    true_mask = masks.area_resize(mask, render_size)
    found = swarm.minimise_by_swarm(
        functools.partial(objective, target=target, weight=joints_2d_weight, true_mask=true_mask,
                          mask_weight=mask_weight),
        space.starts(joints_2d, joints_2d_weight, views, hands), space.low, space.high, seed=seed)
    return space.to_parameters(found.best), found.best_objective
  return Fit(task, fit, sees_masks=True, mask_size=mask_size)


def _random_hands(hand_model: hand_models.HandModel, space: hand_space.HandSpace, count: int,
                  seed: int) -> tuple[tf.Tensor, np.ndarray]:
  """Random hands z `[count, 42]` with likely poses and shapes, and views `[count, 3]` (axis-angle, radians).

  The first hand is the mean hand; the first views are VIEWS, the others uniformly distributed.
  """
  random = np.random.default_rng(seed)
  poses = anatomy.sample_poses(count, seed, hand_model)
  angles = anatomy.pose_to_angles(poses, hand_model).numpy().reshape(count, -1)[:, hand_space.MOVING]
  hands = np.tile(space.mean, [count, 1])
  hands[1:, hand_space.ANGLES] = angles[1:]
  hands[1:, hand_space.SHAPE] = random.normal(0, 0.7, [count - 1, hand_models.NUM_SHAPE])
  hands = np.clip(hands, space.low, space.high)
  views = rotations.quaternion_to_axis_angle(rotations.random_rotations(count, seed)).numpy()
  known = min(count, len(VIEWS))
  views[:known] = VIEWS[:known]
  return tf.constant(hands, tf.float32), views
