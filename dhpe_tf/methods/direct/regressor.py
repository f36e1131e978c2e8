"""Direct regression: a trunk, its features, and one linear layer to the 3D joints in the crop and their scale.

The plainest network there is, with neither a hand model nor heat maps: what it does on hands that it has not met, it
has from its training pictures alone. So it is the fixed network of the generalisation bench.
"""
import gin
import tensorflow as tf

from dhpe_tf.hand import skeletons
from dhpe_tf.losses import biomechanics
from dhpe_tf.methods import steps
from dhpe_tf.networks import backbones, feature_net
from dhpe_tf.tasks.hand.task import HandTask
from dhpe_tf.tasks.task import Tensors

_K, _ROOT = skeletons.NUM_KEYPOINTS, skeletons.ROOT
_TERMS = ('joints_2d', 'depth', 'scale', 'biomechanics')
_USUAL_UNITS_PER_METRE = 10.


class DirectRegressor(steps.TrainableMethod):
  """A functional Keras model from a picture, or from joints (`lifter`), to joints.

  Input: image `[B, S, S, 3]` of `build_regressor`. Outputs: joints_3d `[B, 21, 3]` in crop space, joints_2d
  `[B, 21, 2]`, their x and y, and units_per_metre `[B]`.
  """

  def __init__(self, inputs: dict, outputs: dict, task: HandTask, depth_weight: float, scale_weight: float,
               biomechanics_weight: float):
    super().__init__(inputs, outputs, task, 'direct_regressor')
    weights = dict(zip(_TERMS, (1., depth_weight, scale_weight, biomechanics_weight)))
    self._weights_of = {name: weight for name, weight in weights.items() if weight}
    self.watch(list(self._weights_of), ['error_3d_mm'])

  def losses(self, batch: Tensors, outputs: Tensors, training: bool) -> steps.Losses:
    """The mean absolute errors of x and y, of the depth relative to the root, and of the scale's logarithm.

    And, if it has a weight, the excess over the limits of bones and joints, which needs no label.
    """
    del training
    joints = outputs['joints_3d']
    off = tf.abs(joints - tf.where(tf.math.is_finite(batch['joints_3d']), batch['joints_3d'], 0.))
    scale, known = true_scale(batch)
    terms = {'joints_2d': _mean(tf.reduce_mean(off[..., :2], axis=-1), batch['joints_2d_weight']),
             'depth': _mean(off[..., 2], batch['joints_z_weight']),
             'scale': known * tf.abs(tf.math.log(outputs['units_per_metre'] / scale))}
    if 'biomechanics' in self._weights_of:
      terms['biomechanics'] = biomechanics.biomechanics_loss(joints)
    terms = {name: terms[name] for name in self._weights_of}
    return steps.Losses(sum(self._weights_of[name] * term for name, term in terms.items()), terms)

  def measures(self, batch: Tensors, outputs: Tensors) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """The mean 3D error `[B]` relative to the root by the true scale, millimetres, and its weights `[B]`."""
    scale, known = true_scale(batch)
    off = tf.norm(_from_root(outputs['joints_3d']) - _from_root(batch['joints_3d']), axis=-1)
    return {'error_3d_mm': (1000 * _mean(off, batch['joints_z_weight']) / scale, known)}


def true_scale(batch: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
  """Crop units a metre of the labels, and whether they are known.

    sqrt(sum_k |x_k - x_root|^2 / sum_k |X_k - X_root|^2),  x in crop space, X in metres, over the labelled joints.

  Args:
    batch: of the hand task.

  Returns:
    `[B]`, 1 where it is not known, and `[B]`, 1 or 0.
  """
  weight = tf.cast((batch['joints_z_weight'] > 0) & (batch['joints_2d_weight'] > 0) & (batch['joints_3d_weight'] > 0),
                   tf.float32)[..., None]
  in_crop, in_metres = (tf.reduce_sum(weight * _from_root(batch[name]) ** 2, axis=[1, 2])
                        for name in ('joints_3d', 'joints_3d_m'))
  known = (in_crop > 0) & (in_metres > 0) & (weight[:, _ROOT, 0] > 0)
  return tf.sqrt(tf.where(known, in_crop, 1.) / tf.where(known, in_metres, 1.)), tf.cast(known, tf.float32)


def _from_root(joints: tf.Tensor) -> tf.Tensor:
  """Joints [B, 21, 3] relative to the root."""
  return joints - joints[:, _ROOT, None]


def _mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
  """Weighted mean [B] over the joints of values [B, 21]; 0 without weights."""
  return tf.math.divide_no_nan(tf.reduce_sum(weights * values, axis=1), tf.reduce_sum(weights, axis=1))


class _ToHand(tf.keras.layers.Layer):
  """Numbers [B, 64], 21 joints and the scale's logarithm, to the outputs of `DirectRegressor`; the root has z = 0."""

  def call(self, numbers: tf.Tensor) -> Tensors:
    """Outputs by name, float32."""
    joints = tf.reshape(numbers[:, :-1], [-1, _K, 3])
    depth = joints[..., 2:] - joints[:, _ROOT, None, 2:]
    return {'joints_3d': tf.concat([joints[..., :2], depth], axis=-1), 'joints_2d': joints[..., :2],
            'units_per_metre': _USUAL_UNITS_PER_METRE * tf.exp(numbers[:, -1])}


def to_hand(features: tf.Tensor) -> dict[str, tf.Tensor]:
  """The last layer: features `[B, F]` (symbolic) to the outputs of `DirectRegressor` by name."""
  start = tf.keras.initializers.VarianceScaling(0.01)
  numbers = tf.keras.layers.Dense(3 * _K + 1, kernel_initializer=start, dtype='float32', name='numbers')(features)
  return _ToHand(name='to_hand', dtype='float32')(numbers)


@gin.configurable(module='direct', denylist=['task'])
def build_regressor(task: HandTask, image_size: int = 224, depth_weight: float = 1., scale_weight: float = 0.1,
                    biomechanics_weight: float = 0.) -> DirectRegressor:
  """Builds the network; for `Experiment.method`. `backbone` and `feature_head` are settings of their own.

  Args:
    task: the hand task.
    image_size: side of the pictures, px.
    depth_weight: of the depth's loss; that of x and y has 1.
    scale_weight: of the loss of the scale's logarithm.
    biomechanics_weight: of the excess over the limits of bones and joints, see `losses.biomechanics`. It looks at x, y
      and z in the crop, as in a picture from afar.

  Returns:
    The model, not compiled.
  """
  image = tf.keras.Input((image_size, image_size, 3), name='image')
  levels = backbones.backbone(image_size)(image)
  features = feature_net.feature_head(levels)(levels['c5'])
  return DirectRegressor({'image': image}, to_hand(features), task, depth_weight, scale_weight,
                         biomechanics_weight)
