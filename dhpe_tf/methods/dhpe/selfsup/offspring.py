"""New training instances from a model's own predictions: other shapes and views of the hands it sees (section 3.5).

The labels are those of the rendered mesh, so they are right however wrong the prediction is. A wrong prediction only
gives a less likely pose or skin, and the worst are left out.

A parent is the prediction (pose, shape, q, s, t) for an instance. A child has the parent's pose, a new shape (by
default U(-3, 3)^10 standard deviations) and a new view R(r) R(q) (by default r ~ U(-pi, pi)^3, angles about x, then y,
then z of the camera).
"""
import math
from collections.abc import Callable
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.data import augmentation
from dhpe_tf.hand import mano_layer, parameters, skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.methods.dhpe.selfsup import painting, selection, variation
from dhpe_tf.methods.dhpe.selfsup.grounds import Grounds
from dhpe_tf.methods.dhpe.selfsup.skins import SkinReader


@gin.configurable(module='selfsup', denylist=['hand_model', 'image_size'])
class Offspring:
  """Adds new instances to the batches of a training.

  Attributes:
    active: whether there are new instances in this epoch.
  """

  def __init__(self, hand_model: HandModel, image_size: int, start_epoch: int = 20,
               parents_per_batch: Optional[int] = 4, instances_per_parent: int = 3, shape_sigma: float = 3.,
               rotation_rad: float = math.pi, scale: float = 0.15, shift: float = 0.08, limit_pose: bool = True,
               with_parameters: bool = True):
    """Prepares the hand layer and the parts that draw.

    Args:
      hand_model: the model's hand.
      image_size: S, px.
      start_epoch: the first epoch, counted from 0, with new instances; earlier predictions are too poor. The paper's
        value is not known.
      parents_per_batch: number of predictions, over all replicas, from which new instances are made; None for all, as
        in the paper, 0 for none.
      instances_per_parent: new instances of each; the paper has 3.
      shape_sigma: shape coefficients are uniform in +- this, in standard deviations.
      rotation_rad: hands are turned about each axis of the camera by uniform angles in +- this. The paper's interval is
        not known.
      scale: the crop's side is multiplied by up to exp(+-scale).
      shift: the crop moves by up to this share of its side in x and in y.
      limit_pose: whether joints that a prediction bends beyond their limits are bent back to them; other poses stay
        as they are.
      with_parameters: whether pose and shape are labels too.

    Raises:
      UserError: parents_per_batch below 0 or instances_per_parent below 1.
    """
    if (parents_per_batch or 0) < 0 or instances_per_parent < 1:
      raise errors.UserError(f'Offspring: {parents_per_batch} parents of {instances_per_parent} instances; '
                             'give parents_per_batch from 0 on or None, and instances_per_parent from 1 on')
    self.active = False
    self._start_epoch, self._parents_per_batch, self._instances = start_epoch, parents_per_batch, instances_per_parent
    self._vary = variation.Variation(hand_model, shape_sigma, rotation_rad, scale, shift)
    self._limit_pose, self._with_parameters = limit_pose, with_parameters
    self._hand_model, self._size = hand_model, image_size
    self._layer = mano_layer.ManoLayer(hand_model)
    self._mean = parameters.mean_parameters(hand_model)
    self._skins = SkinReader(hand_model)
    self._grounds = Grounds(image_size)

  def begin_epoch(self, epoch: int) -> bool:
    """Switches the new instances on from `start_epoch` on, and makes the backgrounds.

    Args:
      epoch: the epoch that begins, counted from 0.

    Returns:
      Whether the new instances were switched on or off, which changes the training step.
    """
    before, self.active = self.active, self._parents_per_batch != 0 and epoch >= self._start_epoch
    if self._parents_per_batch != 0:
      self._grounds.prepare()
    return before != self.active

  def __call__(self, batch: dict, predict: Callable[[tf.Tensor], dict], step: tf.Tensor) -> dict:
    """Appends new instances to a replica's batch.

    Args:
      batch: of the input pipeline, B instances in random order; the first of them, or all, are the parents.
      predict: images -> the model's outputs for them, not in training mode.
      step: int []; it and the replica's number are the seed of all random numbers.

    Returns:
      The batch [B + N], the N new instances last (N is static if B is), and 'instance_weight' [B + N]: 0 for new
      instances of parents that are left out, else 1. No gradient reaches the predictions.
    """
    context = tf.distribute.get_replica_context()
    every = self._parents_per_batch is None
    count = None if every else -(-self._parents_per_batch // context.num_replicas_in_sync)
    seed = tf.stack([tf.cast(step, tf.int64), tf.cast(context.replica_id_in_sync_group, tf.int64)])
    parents = {name: value[:count] for name, value in batch.items()}
    new = self.breed(parents, predict(parents['image']), seed)
    weight = tf.concat([tf.ones_like(batch['mask_weight']), new['instance_weight']], axis=0)
    merged = {name: tf.concat([value, tf.cast(new[name], value.dtype)], axis=0) for name, value in batch.items()}
    return {**merged, 'instance_weight': weight}

  def breed(self, parents: dict, results: dict, seed: tf.Tensor) -> dict:
    """Makes new instances of parents.

    Args:
      parents: n instances of the input pipeline.
      results: the model's outputs for them (see tasks.hand.outputs).
      seed: int [2].

    Returns:
      A batch as the input pipeline gives, [n * instances_per_parent], the children of one parent next to each other,
      without a metric camera; and their 'instance_weight'.
    """
    vary_seed, light_seed, ground_seed = augmentation.split_seed(seed, 3)
    results = tf.nest.map_structure(tf.stop_gradient, results)
    weight = selection.plausible(parents, results, self._hand_model)
    # Hands that are left out are drawn nevertheless, as the mean hand, whose numbers are finite.
    hands = parameters.split(tf.where(weight[:, None] > 0, results['parameters'], self._mean))
    vertices = self._layer(hands.pose, hands.shape, hands.camera)['vertices']
    masked = parents['mask_weight'][:, None, None] > 0
    skins = self._skins.read(parents['image'], vertices, tf.where(masked, parents['mask'], 1.))
    hands, skins, weight = tf.nest.map_structure(
        lambda x: tf.repeat(x, self._instances, axis=0), (hands, skins, weight))
    if self._limit_pose:
      hands = hands._replace(pose=variation.within_limits(hands.pose, self._hand_model))
    children = self._vary(hands, vary_seed)
    rgb, alpha = painting.paint(children.vertices, self._hand_model.closed_faces, skins, self._size, light_seed)
    new = self._labels(children)
    new['image'] = self._grounds.compose(rgb, alpha, children.joints[..., :2], ground_seed)
    new.update(mask=alpha[..., 0], instance_weight=weight)
    rest = {name: tf.repeat(parents[name], self._instances, axis=0) for name in set(parents) - set(new)}
    return {**rest, **new}

  def _labels(self, hands: variation.Hands) -> dict:
    """The labels [N, ...] of drawn hands by the names of the batch contract; picture and mask are not among them.

    Coordinates are those of the crop, which is taken for a picture of S x S pixels without a known camera.
    """
    joints = hands.joints
    count, ones = tf.shape(joints)[0], tf.ones_like(joints[..., 0])
    root_z = joints[:, skeletons.ROOT:skeletons.ROOT + 1, 2:]
    from_root = joints - joints[:, skeletons.ROOT:skeletons.ROOT + 1]
    side = tf.fill([count], float(self._size))
    return {
        'mask_weight': ones[:, 0], 'joints_2d': joints[..., :2], 'joints_2d_weight': ones,
        'joints_3d': tf.concat([joints[..., :2], joints[..., 2:] - root_z], axis=-1), 'joints_z_weight': ones,
        # Metres relative to the root: (x - root) / s. There is no camera to give a depth.
        'joints_3d_m': from_root / hands.camera[:, parameters.CAMERA_SCALE, None, None], 'joints_3d_weight': ones,
        'pose': hands.pose, 'shape': hands.shape, 'parameters_weight': ones[:, 0] * float(self._with_parameters),
        'crop_center_px': tf.fill([count, 2], self._size / 2), 'crop_side_px': side, 'crop_turn': tf.zeros([count]),
        'intrinsics': tf.zeros([count, 3, 3]), 'root_depth_m': tf.zeros([count]), 'is_left': tf.zeros([count], tf.bool),
    }
