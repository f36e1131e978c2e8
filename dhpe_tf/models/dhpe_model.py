"""The dense hand pose estimator: picture -> 2D evidence -> mesh and camera -> joints and mask (paper, Eq. 1)."""
import functools
from collections.abc import Callable
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.hand import hand_model as hand_models
from dhpe_tf.hand import parameters
from dhpe_tf.models import layers
from dhpe_tf.models.objective import Objective
from dhpe_tf.networks import backbones, feature_net, keypoint_net, mesh_regressor, pose_refiner

_KEYPOINTS = 21


class DhpeModel(tf.keras.Model):
  """A functional Keras model from images [B, S, S, 3] in 0..1 to the dict of outputs.OUTPUTS, with its own steps.

  Attributes:
    feature_net: images -> features; the F of Eqs. 2 and 13.
    mesh_regressor: one round's offset of the parameters.
    pose_refiner: one round's offset of the 2D joints, or None.
    to_parameters: what the regressor adds up [B, 63] -> parameters; `invert` leads back.
    hand: parameters [B, 63] -> the hand in crop space (layers.PosedHand).
    silhouette: vertices in crop space -> mask (layers.Silhouette).
    objective: losses and figures.
    offspring: (batch, predict, step) -> batch with new instances, with `begin_epoch`, or None.
  """

  def __init__(self, inputs: tf.Tensor, outputs: dict, parts: dict, objective: Objective,
               offspring: Optional[Callable] = None):
    super().__init__(inputs=inputs, outputs=outputs, name='dhpe')
    self.feature_net = parts['feature_net']
    self.mesh_regressor = parts['mesh_regressor']
    self.pose_refiner = parts['pose_refiner']
    self.to_parameters = parts['to_parameters']
    self.hand = parts['hand']
    self.silhouette = parts['silhouette']
    self.objective = objective
    self.offspring = offspring
    self._means = _Means(['loss', *(f'{term}_loss' for term in objective.weights), *objective.MEASURES])
    self._offspring_means = _Means(['offspring_used'] if offspring else [])

  @property
  def hand_model(self) -> hand_models.HandModel:
    """The hand that it poses."""
    return self.hand.hand_model

  @property
  def metrics(self) -> list[tf.keras.metrics.Metric]:
    """The means that the steps report."""
    return [*self._means.by_name.values(), *self._offspring_means.by_name.values()]

  def begin_epoch(self, epoch: int) -> bool:
    """Takes note of the epoch that begins, from 0; returns whether a compiled `train_step` must be compiled anew."""
    return self.offspring is not None and self.offspring.begin_epoch(epoch)

  @tf.autograph.experimental.do_not_convert  # there is no Python control flow on tensors in it
  def train_step(self, data: dict) -> dict[str, tf.Tensor]:
    """One step of gradient descent on a batch; returns the means since the metrics were reset.

    The loss is the sum over the replica's instances over the number of all instances, and the optimizer adds up the
    replicas' gradients (and clips them afterwards), so the number of replicas does not change the step. What does is
    batch normalisation by each replica's own statistics, unless the trunk's is frozen.
    """
    given = data
    if self.offspring is not None and self.offspring.active:
      data = self.offspring(data, functools.partial(self, training=False), self.optimizer.iterations)
    with tf.GradientTape() as tape:
      outputs = self(data['image'], training=True)
      per_instance, terms = self.training_losses(data, outputs, training=True)
      weights = data.get('instance_weight', tf.ones_like(per_instance))
      loss = tf.reduce_sum(weights * per_instance) / _sum_over_replicas(weights)
      if isinstance(self.optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
        loss = self.optimizer.get_scaled_loss(loss)
    gradients = tape.gradient(loss, self.trainable_variables)
    if isinstance(self.optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
      gradients = self.optimizer.get_unscaled_gradients(gradients)
    # Variables that no active term reaches (the refiner's without its loss, say) have none.
    self.optimizer.apply_gradients(
        [pair for pair in zip(gradients, self.trainable_variables) if pair[0] is not None])
    return self._report_training(given, outputs, per_instance, terms, weights)

  @tf.autograph.experimental.do_not_convert
  def test_step(self, data: dict) -> dict[str, tf.Tensor]:
    """Losses and figures of a batch without learning from it; returns the means since the metrics were reset."""
    outputs = self(data['image'], training=False)
    return self._report(data, outputs, *self.training_losses(data, outputs, training=False))

  def predict_step(self, data) -> dict[str, tf.Tensor]:
    """Outputs for a batch of the input pipeline, or for bare images."""
    return self(data['image'] if isinstance(data, dict) else data, training=False)

  def training_losses(self, data: dict, outputs: dict, training: bool) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """The total loss [B] and its terms, unweighted.

    Args:
      data: a batch of the input pipeline.
      outputs: of the model for its images.
      training: how the feature net treats the masked images.
    """
    masked_features = None
    if 'feature' in self.objective.weights:
      masked_features = self.feature_net(data['image'] * data['mask'][..., None], training=training)
    terms = self.objective.terms(data, outputs, masked_features)
    return self.objective.combine(terms), terms

  def _report_training(self, given: dict, outputs: dict, per_instance: tf.Tensor, terms: dict,
                       weights: tf.Tensor) -> dict[str, tf.Tensor]:
    """The means over the instances that were given, and the share of the offspring that was used."""
    count = tf.shape(given['image'])[0]
    first = tf.nest.map_structure(lambda x: x[:count], (outputs, per_instance, terms))
    logs = self._report(given, *first)
    for name, mean in self._offspring_means.by_name.items():
      mean.update_state(weights[count:])
      logs[name] = mean.result()
    return logs

  def _report(self, data: dict, outputs: dict, per_instance: tf.Tensor, terms: dict) -> dict[str, tf.Tensor]:
    means = self._means.by_name
    means['loss'].update_state(per_instance)
    for name, values in terms.items():
      means[f'{name}_loss'].update_state(values)
    for name, (values, weights) in self.objective.measures(data, outputs).items():
      means[name].update_state(values, weights)
    return {name: mean.result() for name, mean in means.items()}


class _Means:
  """Metrics by name; in an object of our own, because Keras takes those in a dict or attribute for weights."""

  def __init__(self, names: list[str]):
    self.by_name = {name: tf.keras.metrics.Mean(name=name) for name in names}


@gin.configurable(module='dhpe')
def build_model(image_size: int = 224, keypoint_net_name: str = 'pose_machine', use_joints_2d: bool = True,
                use_refiner: bool = True, rounds: int = 3, mask_size: int = 64, hand_file: Optional[str] = None,
                build_objective: Callable[..., Objective] = Objective,
                offspring: Optional[Callable] = None) -> DhpeModel:
  """Builds the estimator.

  Args:
    image_size: side of the square crops it takes, px; a multiple of 32.
    keypoint_net_name: 'pose_machine', the paper's, with a trunk of its own, or 'pyramid_decoder', which shares the
      feature net's trunk.
    use_joints_2d: whether the mesh regressor sees the 2D joints.
    use_refiner: whether the 2D joints are refined in each round.
    rounds: of the mesh regressor.
    mask_size: side of the rendered mask, px.
    hand_file: a MANO file or an npz like it; None for the built-in hand.
    build_objective: (hand model, refined) -> Objective.
    offspring: (hand model, image size) -> what adds new instances to the batches of a training (selfsup.Offspring);
      None to add none.

  Returns:
    The model, not compiled.

  Raises:
    UserError: a setting that is not to be had.
  """
  if use_refiner and not use_joints_2d:
    raise errors.UserError('build_model.use_refiner = True refines 2D joints that use_joints_2d = False leaves out; '
                           'set both alike')
  hand_model = hand_models.load_hand_model(hand_file)
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
      'hand': layers.PosedHand(hand_model, name='hand'),
      'silhouette': layers.Silhouette(hand_model, mask_size, name='silhouette'),
  }
  stages = _heatmap_stages(keypoint_net_name, image, image_size, trunk.output, levels)
  outputs = {'heatmaps': stages[-1], 'heatmap_stages': stages, 'features': features,
             **_estimate(features, stages[-1], parts, rounds, use_joints_2d)}
  outputs['mask'] = parts['silhouette'](outputs['vertices'])
  return DhpeModel(image, outputs, parts, build_objective(hand_model, refined=use_refiner),
                   offspring and offspring(hand_model, image_size))


def _heatmap_stages(name: str, image: tf.Tensor, image_size: int, symbolic: dict, levels: dict) -> list[tf.Tensor]:
  """Heat maps of all stages of the keypoint net."""
  if name == 'pose_machine':
    stages = keypoint_net.pose_machine(image_size)(image)
  elif name == 'pyramid_decoder':
    stages = keypoint_net.pyramid_decoder(symbolic)(levels)
  else:
    raise errors.UserError(
        f"build_model.keypoint_net_name is {name!r}; choose 'pose_machine' or 'pyramid_decoder'")
  return list(stages) if isinstance(stages, (list, tuple)) else [stages]


def _estimate(features: tf.Tensor, heatmaps: tf.Tensor, parts: dict, rounds: int,
              use_joints_2d: bool) -> dict[str, tf.Tensor]:
  """The rounds of Eq. 5 and Eq. 6."""
  estimate = parts['start'](features)
  flat = layers.Flat(name='flat_joints')
  joints = [flat(layers.ReadHeatmaps(name='read_heatmaps')(heatmaps))]
  add_offset = tf.keras.layers.Add(name='add_offset', dtype='float32')
  for number in range(rounds):
    inputs = {'features': features, 'parameters': estimate, **({'joints_2d': joints[-1]} if use_joints_2d else {})}
    estimate = add_offset([estimate, parts['mesh_regressor'](inputs)])
    if parts['pose_refiner'] or number == rounds - 1:
      h = parts['to_parameters'](estimate)
      hand = parts['hand'](h)
    if parts['pose_refiner']:
      offset = parts['pose_refiner']({'parameters': estimate, 'features': features, 'joints_2d': joints[-1],
                                      'joints_3d': flat(hand['joints_3d'])})
      joints.append(tf.keras.layers.Add(name=f'joints_2d_{number + 1}', dtype='float32')([joints[-1], offset]))
  return {**hand, 'parameters': h, 'joints_2d_rounds': layers.Stack((_KEYPOINTS, 2), name='joints_2d_rounds')(joints)}


def _sum_over_replicas(values: tf.Tensor) -> tf.Tensor:
  """The sum of values [B] over all replicas."""
  return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(values))
