"""The dense hand pose estimator: picture -> 2D evidence -> mesh and camera -> joints and mask.

The paper's Eq. 1 and where its parts are:

  f_DHPE = f_Proj o f_HME    picture [B, S, S, 3] -> joints [B, 21, 3], mask [B, M, M]
  f_HME  = f_E3D o f_E2D     picture -> h [B, 63], which poses the mesh V = s R(q) LBS(pose, shape) + t (Eq. 4)
  f_E2D  = (F, P)            feature net (networks.feature_net), keypoint net (networks.keypoint_net)
  f_E3D                      the rounds of Eqs. 5 and 6 (mesh_regressor, pose_refiner; `_estimate` below)
  f_Proj = (Reg, Ren)        skeleton regressor and renderer (networks.hand_layers)
"""
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.hand import hand_model as hand_models
from dhpe_tf.hand import parameters, skeletons
from dhpe_tf.methods import steps
from dhpe_tf.methods.dhpe import layers, mesh_regressor, pose_refiner
from dhpe_tf.methods.dhpe.objective import Objective
from dhpe_tf.methods.dhpe.refinement import at_test_time
from dhpe_tf.networks import backbones, feature_net, hand_layers, keypoint_net
from dhpe_tf.tasks.hand.task import HandTask
from dhpe_tf.tasks.task import Signature, Tensors


class DhpeModel(steps.TrainableMethod):
  """A functional Keras model from images [B, S, S, 3] in 0..1 to the dict of `tasks.hand.outputs.OUTPUTS`.

  Its outputs also hold 'heatmap_stages', a list of [B, 32, 32, 21], one per stage of the keypoint net.

  Attributes:
    feature_net: images [B, S, S, 3] -> features [B, F]; the F of Eqs. 2 and 13.
    mesh_regressor: one round's offset of the parameters (Eq. 5), [B, 63].
    pose_refiner: one round's offset of the 2D joints (Eq. 6), [B, 42], or None.
    to_parameters: the regressor's sum [B, 63] (log scale) -> parameters h [B, 63]; `invert` is its inverse.
    hand: parameters [B, 63] -> the hand in crop space (hand_layers.PosedHand).
    silhouette: vertices in crop space [B, V, 3] -> mask [B, M, M] (hand_layers.Silhouette).
    objective: losses and measures.
    offspring: (batch, predict, step) -> batch with new instances, with `begin_epoch`, or None.
  """

  can_refine = True
  used_later = ('Consistency', 'step_sizes', 'descend')

  def __init__(self, inputs: tf.Tensor, outputs: dict, task: HandTask, parts: dict,
               build_objective: Callable[..., Objective], offspring: Optional[Callable] = None,
               trunk_share: float = 1.0):
    super().__init__(inputs, outputs, task, 'dhpe')
    self._trunk_share = trunk_share
    self.feature_net = parts['feature_net']
    self.mesh_regressor = parts['mesh_regressor']
    self.pose_refiner = parts['pose_refiner']
    self.to_parameters = parts['to_parameters']
    self.hand = parts['hand']
    self.silhouette = parts['silhouette']
    self.objective = build_objective(self.hand_model, self.feature_net, refined=self.pose_refiner is not None)
    self.offspring = offspring
    self.watch(list(self.objective.weights), list(self.objective.MEASURES), ['offspring_used'] if offspring else [])

  @property
  def hand_model(self) -> hand_models.HandModel:
    """The hand model that `hand` poses."""
    return self.hand.hand_model

  @property
  def slowed(self) -> tuple[Sequence[tf.Variable], float]:
    """The trunk's weights, which take `trunk_share` of each step."""
    return self.feature_net.get_layer('backbone').trainable_variables, self._trunk_share

  def begin_epoch(self, epoch: int) -> bool:
    """Switches the offspring on at its first epoch; returns whether that changes the step."""
    return self.offspring is not None and self.offspring.begin_epoch(epoch)

  def extended(self, batch: Tensors) -> Tensors:
    """The batch with new instances [B + N] made from the predictions for it (paper section 3.5)."""
    if self.offspring is None or not self.offspring.active:
      return batch
    return self.offspring(batch, functools.partial(self, training=False), self.optimizer.iterations)

  def losses(self, batch: Tensors, outputs: Tensors, training: bool) -> steps.Losses:
    """The terms of Eq. 7 and their weighted sum, each [B]."""
    return self.objective.losses(batch, outputs, training)

  def measures(self, batch: Tensors, outputs: Tensors) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """The measures of `Objective.measures`, by name: values [B] and their weights [B]."""
    return self.objective.measures(batch, outputs)

  def warnings(self, logs: Mapping[str, float]) -> list[str]:
    """What to tell in the training's log about the scalars of an epoch: features that die."""
    return self.objective.warnings(logs)

  def extra_logs(self, weights: tf.Tensor, count: tf.Tensor) -> dict[str, tf.Tensor]:
    """The weights [N] of the offspring, whose mean is the share of it that was used."""
    return {'offspring_used': weights[count:]} if self.offspring else {}

  def refined(self, inputs: Tensors, steps: Sequence[int]) -> list[Tensors]:
    """The hand after each number of steps of gradient descent on Eq. 13 (`at_test_time.refine_by_steps`).

    Args:
      inputs: 'image' [B, S, S, 3] in 0..1.
      steps: numbers of steps; 0 is the plain estimate.

    Returns:
      For each of `steps` the hand, its parameters and mask, by name.
    """
    return at_test_time.refine_by_steps(self, inputs['image'], steps)

  def signatures(self) -> dict[str, Signature]:
    """The signature 'refine': images, steps, weights, and known joints or masks; zeros where there are none."""
    return {'refine': at_test_time.signature(self)}


@gin.configurable(module='dhpe', denylist=['task'])
def build_model(task: HandTask, image_size: int = 224, keypoint_net_name: str = 'pose_machine',
                use_joints_2d: bool = True, use_refiner: bool = True, rounds: int = 3, mask_size: int = 64,
                build_objective: Callable[..., Objective] = Objective,
                offspring: Optional[Callable] = None, trunk_share: float = 1.0) -> DhpeModel:
  """Builds the estimator; for `Experiment.method`.

  Args:
    task: gives the hand.
    image_size: side S of the square input crops, px; a multiple of 32.
    keypoint_net_name: a key of `keypoint_net.KEYPOINT_NETS`: 'pose_machine', the paper's, with a trunk of its own, or
      'pyramid_decoder', which shares the feature net's trunk.
    use_joints_2d: whether the mesh regressor sees the 2D joints.
    use_refiner: whether the 2D joints are refined in each round.
    rounds: number of rounds of the mesh regressor; the paper has 3.
    mask_size: side M of the rendered mask, px.
    build_objective: (hand model, feature net, refined) -> Objective.
    offspring: (hand model, image size) -> `selfsup.Offspring`, which adds new instances to the training batches; None
      adds none.
    trunk_share: share of each step of the optimizer that the trunk's weights take. A pretrained trunk with frozen batch
      normalisation needs a small one: the first gradients, which come through untrained heads and push all pictures
      the same way, otherwise saturate its last activation for all of them (features become constant).

  Returns:
    The model, not compiled.

  Raises:
    UserError: an unknown setting, or settings that exclude each other.
  """
  if use_refiner and not use_joints_2d:
    raise errors.UserError('build_model.use_refiner = True refines 2D joints that use_joints_2d = False leaves out; '
                           'set both alike')
  if not 0 <= trunk_share <= 1:
    raise errors.UserError(f'build_model.trunk_share is {trunk_share}; give a share from 0 to 1')
  hand_model = task.hand_model
  image = tf.keras.Input((image_size, image_size, 3), name='image')
  trunk = backbones.backbone(image_size)
  head = feature_net.feature_head(trunk.output)
  levels = trunk(image)
  features = head(levels['c5'])
  size = features.shape[-1]
  mean = parameters.mean_parameters(hand_model)
  parts = {
      'feature_net': tf.keras.Model(image, features, name='feature_net'),
      'mesh_regressor': mesh_regressor.mesh_regressor(size, use_joints_2d=use_joints_2d),
      'pose_refiner': pose_refiner.pose_refiner(size) if use_refiner else None,
      'start': layers.StartingEstimate(mean, name='start'),
      'to_parameters': layers.EstimateToParameters(mean, name='parameters'),
      'hand': hand_layers.PosedHand(hand_model, name='hand'),
      'silhouette': hand_layers.Silhouette(hand_model, mask_size, name='silhouette'),
  }
  stages = keypoint_net.heatmap_stages(keypoint_net_name, image, trunk, levels)
  outputs = {'heatmaps': stages[-1], 'heatmap_stages': stages, 'features': features,
             **_estimate(features, stages[-1], parts, rounds, use_joints_2d)}
  outputs['mask'] = parts['silhouette'](outputs['vertices'])
  return DhpeModel(image, outputs, task, parts, build_objective, offspring and offspring(hand_model, image_size),
                   trunk_share)


def _estimate(features: tf.Tensor, heatmaps: tf.Tensor, parts: dict, rounds: int,
              use_joints_2d: bool) -> dict[str, tf.Tensor]:
  """The rounds t = 1, 2, ... of the mesh regressor and the refiner.

    h(t) = h(t-1) + f_E3D(F(x), j2D(t-1), h(t-1))                          (Eq. 5)
    j2D(t) = j2D(t-1) + f_Ref(h(t), F(x), Reg(M(h(t))), j2D(t-1))          (Eq. 6)

  Args:
    features: F(x) [B, F].
    heatmaps: of the last stage, [B, 32, 32, 21], from which j2D(0) is read.
    parts: the model's parts by name.
    rounds: T, the number of rounds.
    use_joints_2d: whether f_E3D sees the 2D joints.

  Returns:
    The hand of the last round, its parameters [B, 63], and joints_2d_rounds [B, 1 + T, 21, 2] (without a refiner
    [B, 1, 21, 2]).
  """
  estimate = parts['start'](features)  # h(0), log scale, [B, 63]
  flat = layers.Flat(name='flat_joints')
  joints = [flat(layers.ReadHeatmaps(name='read_heatmaps')(heatmaps))]  # j2D(0), [B, 42]
  add_offset = tf.keras.layers.Add(name='add_offset', dtype='float32')
  for number in range(rounds):
    inputs = {'features': features, 'parameters': estimate, **({'joints_2d': joints[-1]} if use_joints_2d else {})}
    estimate = add_offset([estimate, parts['mesh_regressor'](inputs)])  # Eq. 5
    if parts['pose_refiner'] or number == rounds - 1:
      h = parts['to_parameters'](estimate)
      hand = parts['hand'](h)
    if parts['pose_refiner']:
      # Eq. 6
      offset = parts['pose_refiner']({'parameters': estimate, 'features': features, 'joints_2d': joints[-1],
                                      'joints_3d': flat(hand['joints_3d'])})
      joints.append(tf.keras.layers.Add(name=f'joints_2d_{number + 1}', dtype='float32')([joints[-1], offset]))
  stack = layers.Stack((skeletons.NUM_KEYPOINTS, 2), name='joints_2d_rounds')
  return {**hand, 'parameters': h, 'joints_2d_rounds': stack(joints)}
