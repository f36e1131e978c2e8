"""2.5D regression with limits of bones and joints, so that pictures with 2D labels alone teach depth as well.

After Spurr et al., Weakly Supervised 3D Hand Pose Estimation via Biomechanical Constraints, ECCV 2020, on the 2.5D of
Iqbal et al., ECCV 2018. The network gives the 2D joints in the crop and their depths relative to the root, in units of
the bone from the wrist to it. The camera and the length 1 of that bone give the root's depth (`geometry.root_depth`), a
small network corrects it, and so there is a hand in 3D, of which `losses.biomechanics` says how possible it is.
"""
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import cameras, root_depth
from dhpe_tf.geometry.crops import REPORT_PX, Crop
from dhpe_tf.hand import canonical_hand, skeletons
from dhpe_tf.losses import biomechanics
from dhpe_tf.methods import steps
from dhpe_tf.networks import backbones, feature_net, known_points
from dhpe_tf.tasks.hand.task import HandTask
from dhpe_tf.tasks.task import Tensors

_K, _ROOT = skeletons.NUM_KEYPOINTS, skeletons.ROOT
BONE = (skeletons.WRIST, skeletons.ROOT)
# What tells the camera of a crop.
CAMERA = {'intrinsics': (3, 3), 'crop_center_px': (2,), 'crop_side_px': (), 'crop_turn': ()}
_REFINER = (128, 128)
_REST_WIDTH = 4 / 3  # of 2 crop units, as a crop around the joints has it


class Settings(NamedTuple):
  """Weights of the losses and the range of depths, see `build_regressor`."""

  depth_weight: float
  root_weight: float
  biomechanics_weight: float
  size_weight: float
  assumed_distance: float
  nearest: float
  farthest: float


class RelativeDepth(steps.TrainableMethod):
  """A functional Keras model from a picture, or from 2D joints, and the camera to a hand in 2.5D.

  Keras outputs: joints_2d `[B, 21, 2]` in crop space; relative `[B, 21]`, depths less the root's, in units of the bone
  from the wrist to the root (bones, below); closed_depth `[B]`, the root's depth in closed form, and root_depth `[B]`,
  corrected, in bones; hand `[B, 21, 3]`, before the camera, in bones; unit `[B]`, bones that a unit of the crop spans
  at the root. `answer` gives joints by the contract of the hand task.
  """

  def __init__(self, inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor], task: HandTask,
               settings: Settings):
    super().__init__(inputs, outputs, task, 'relative_depth')
    self._settings = settings
    weights = {'joints_2d': 1., 'depth': settings.depth_weight, 'root': settings.root_weight,
               'biomechanics': settings.biomechanics_weight, 'size': settings.size_weight}
    self._weights_of = {name: weight for name, weight in weights.items() if weight}
    rest = canonical_hand.canonical(tf.constant(task.hand_model.rest_keypoints[None], tf.float32), tf.ones([1, _K]))
    self._bone_m = float(rest.bone_m[0])
    self.watch(list(self._weights_of), ['error_2d_px', 'depth_mm', 'root_mm'])

  @property
  def output_specs(self) -> dict[str, tf.TensorSpec]:
    """Specifications of `answer`'s results: joints and their scale."""
    return {'joints_3d': tf.TensorSpec([None, _K, 3]), 'joints_2d': tf.TensorSpec([None, _K, 2]),
            'units_per_metre': tf.TensorSpec([None])}

  def answer(self, inputs: Tensors) -> Tensors:
    """joints_3d `[B, 21, 3]` and joints_2d `[B, 21, 2]` in crop space, and units_per_metre `[B]`.

    No crop tells the hand's size in metres; the bone from the wrist to the root is taken to be as long as the mean
    hand's.
    """
    found = self(inputs, training=False)
    depth = found['relative'] / found['unit'][:, None]
    return {'joints_3d': tf.concat([found['joints_2d'], depth[..., None]], axis=-1), 'joints_2d': found['joints_2d'],
            'units_per_metre': 1. / (found['unit'] * self._bone_m)}

  def losses(self, batch: Tensors, outputs: Tensors, training: bool) -> steps.Losses:
    """Mean absolute errors of 2D joints, relative depths and the root's depth, and what needs no label.

      L = |x - x*| + depth_weight |z - z*| + root_weight |Z - Z*| + biomechanics_weight excess(P) + size_weight |b - 1|

    P is the hand in 3D, b the length of its bone from the wrist to the root. A term without a label is zero.
    """
    del training
    true = canonical_hand.canonical(batch['joints_3d_m'], batch['joints_3d_weight'])
    deep, known = true_root_depth(batch, true)
    terms = {
        'joints_2d': lambda: _mean(tf.reduce_mean(tf.abs(_off(outputs, batch)), axis=-1), batch['joints_2d_weight']),
        'depth': lambda: _mean(tf.abs(outputs['relative'] - true.joints[..., 2]), true.weights),
        'root': lambda: known * tf.abs(outputs['root_depth'] - deep),
        'biomechanics': lambda: biomechanics.biomechanics_loss(outputs['hand']),
        'size': lambda: canonical_hand.missized(outputs['hand'])}
    found = {name: terms[name]() for name in self._weights_of}
    return steps.Losses(sum(self._weights_of[name] * term for name, term in found.items()), found)

  def measures(self, batch: Tensors, outputs: Tensors) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """Mean errors `[B]` and weights `[B]`: 2D in px of a crop of 256; relative depths and the root's, mm."""
    true = canonical_hand.canonical(batch['joints_3d_m'], batch['joints_3d_weight'])
    deep, known = true_root_depth(batch, true)
    millimetres = 1000 * true.bone_m
    labelled = tf.cast(tf.reduce_any(batch['joints_2d_weight'] > 0, axis=1), tf.float32)
    off = _mean(tf.norm(_off(outputs, batch), axis=-1), batch['joints_2d_weight'])
    depth = _mean(tf.abs(outputs['relative'] - true.joints[..., 2]), true.weights)
    return {'error_2d_px': (REPORT_PX / 2 * off, labelled), 'depth_mm': (millimetres * depth, true.known),
            'root_mm': (millimetres * tf.abs(outputs['root_depth'] - deep), known)}


def true_root_depth(batch: Tensors, true: canonical_hand.Canonical) -> tuple[tf.Tensor, tf.Tensor]:
  """The root's labelled depth `[B]` in units of the true bone, and 1 where it is known, else 0 `[B]`."""
  known = true.known * tf.cast(batch['root_depth_m'] > 0, tf.float32)
  return known * batch['root_depth_m'] / true.bone_m, known


def _off(outputs: Tensors, batch: Tensors) -> tf.Tensor:
  """How far 2D joints [B, 21, 2] are from the labels; 0 without one."""
  return tf.where(batch['joints_2d_weight'][..., None] > 0, outputs['joints_2d'] - batch['joints_2d'], 0.)


def _mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
  """Weighted mean [B] over the joints of values [B, 21]; 0 without weights."""
  return tf.math.divide_no_nan(tf.reduce_sum(weights * values, axis=1), tf.reduce_sum(weights, axis=1))


class _ToRelative(tf.keras.layers.Layer):
  """Numbers [B, 63] and where 2D joints start to 2D joints [B, 21, 2] and depths [B, 21] less the root's."""

  def call(self, inputs):
    """joints_2d and relative of (numbers, start [B or 1, 21, 2])."""
    numbers, start = inputs
    joints = tf.reshape(numbers, [-1, _K, 3])
    return start + joints[..., :2], joints[..., 2] - joints[:, _ROOT, None, 2]


class _Start(tf.keras.layers.Layer):
  """Where 2D joints start from: where they are given, and others at those of the hand at rest."""

  def __init__(self, rest: np.ndarray, **kwargs):
    super().__init__(**kwargs)
    self._rest = rest

  def call(self, inputs):
    """Joints [B, 21, 2] of (joints, weights [B, 21])."""
    joints, weights = inputs
    return tf.where(weights[..., None] > 0, joints, tf.constant(self._rest, joints.dtype))


class _RootDepth(tf.keras.layers.Layer):
  """The root's depth in closed form, from 2D joints, relative depths and the camera."""

  def __init__(self, settings: Settings, **kwargs):
    super().__init__(**kwargs)
    self._settings = settings

  def call(self, inputs):
    """Rays [B, 21, 2], depth of the root [B], and the unit of the crop at depth 1 [B]."""
    joints, relative, intrinsics, center, side, turn = inputs
    # Zeros of a signature's inputs say that the crop is not known; an assumed camera sees the same in any.
    crop = Crop(center, tf.where(side > 0, side, 2.))
    camera = root_depth.camera_or_assumed(intrinsics, crop, self._settings.assumed_distance)
    seen = root_depth.rays(joints, camera, crop, turn)
    depth = root_depth.solve(seen, relative, BONE, self._settings.nearest, self._settings.farthest)
    return seen, depth, cameras.metres_per_unit(tf.ones_like(depth), camera, crop)


class _Placed(tf.keras.layers.Layer):
  """The hand before the camera, with the corrected depth of its root.

  The depth that is compared with labels has a gradient by the correction only. Through the closed form it would move
  the two 2D joints of the bone, by which a depth changes most.
  """

  def __init__(self, settings: Settings, **kwargs):
    super().__init__(**kwargs)
    self._settings = settings

  def call(self, inputs):
    """Corrected depth [B], hand [B, 21, 3] and the unit of the crop there [B]."""
    seen, relative, depth, residual, unit = inputs
    bounds = self._settings.nearest, self._settings.farthest
    corrected = tf.clip_by_value(depth + residual[:, 0], *bounds)
    compared = tf.clip_by_value(tf.stop_gradient(depth) + residual[:, 0], *bounds)
    return compared, root_depth.place(seen, relative, corrected), corrected * unit


def _outputs(features: tf.Tensor, camera: Mapping[str, tf.Tensor], start: tf.Tensor, settings: Settings,
             refine: bool) -> dict:
  """The last layers, to the outputs of `RelativeDepth`.

  Args:
    features: [B, F], symbolic.
    camera: by the names of `CAMERA`.
    start: [B or 1, 21, 2], where the 2D joints are if the features say nothing. Joints that are all in one place would
      have no depth, and a training no gradient.
    settings: of the model.
    refine: see `build_regressor`.
  """
  small = tf.keras.initializers.VarianceScaling(0.01)
  numbers = tf.keras.layers.Dense(3 * _K, kernel_initializer=small, dtype='float32', name='numbers')(features)
  joints, relative = _ToRelative(name='to_relative', dtype='float32')([numbers, start])
  seen, depth, unit = _RootDepth(settings, name='root_depth', dtype='float32')(
      [joints, relative, *(camera[name] for name in CAMERA)])
  residual = _residual(seen, relative, depth) if refine else tf.zeros_like(depth)[:, None]
  corrected, hand, unit = _Placed(settings, name='placed', dtype='float32')([seen, relative, depth, residual, unit])
  return {'joints_2d': joints, 'relative': relative, 'closed_depth': depth, 'root_depth': corrected, 'hand': hand,
          'unit': unit}


def _rest_joints(task: HandTask) -> np.ndarray:
  """The hand at rest [21, 2] as it fills the crop."""
  flat = task.hand_model.rest_keypoints[:, :2]
  return (flat - (flat.max(0) + flat.min(0)) / 2) * _REST_WIDTH / np.ptp(flat, axis=0).max()


def _residual(seen: tf.Tensor, relative: tf.Tensor, depth: tf.Tensor) -> tf.Tensor:
  """The correction [B, 1] of the root's depth [B], by dense layers 64-128-128-1 as in the paper."""
  x = tf.stop_gradient(tf.concat([relative, tf.reshape(seen, [-1, 2 * _K]), depth[:, None]], axis=1))
  for number, units in enumerate(_REFINER, 1):
    x = tf.keras.layers.Dense(units, activation=tf.nn.leaky_relu, dtype='float32', name=f'refiner{number}')(x)
  small = tf.keras.initializers.VarianceScaling(0.01)
  return tf.keras.layers.Dense(1, kernel_initializer=small, dtype='float32', name='refiner_out')(x)


def _camera_inputs() -> dict[str, tf.Tensor]:
  """The Keras inputs that tell the camera."""
  return {name: tf.keras.Input(shape, name=name, dtype='float32') for name, shape in CAMERA.items()}


class _Noise(tf.keras.layers.Layer):
  """Moves points at random in training, as a detector would; not otherwise."""

  def __init__(self, deviation: float, **kwargs):
    super().__init__(**kwargs)
    self._deviation = deviation

  def call(self, points, training=None):
    """Points of the same shape."""
    if not training:
      return points
    return points + tf.random.normal(tf.shape(points), 0., self._deviation, points.dtype)


@gin.configurable(module='relative_depth')
def settings_of(depth_weight: float = 5., root_weight: float = 1., biomechanics_weight: float = 0.,
                size_weight: float = 0., assumed_distance: float = 10., nearest: float = 1.5,
                farthest: float = 100.) -> Settings:
  """Settings of both networks. Lengths are in units of the bone from the wrist to the root, about 9 cm.

  Args:
    depth_weight: of the relative depths' loss; that of the 2D joints has 1. 5 and 1 are said to be the paper's.
    root_weight: of the loss of the root's depth.
    biomechanics_weight: of the excess over the limits of bones and joints, see `losses.biomechanics`.
    size_weight: of how far the bone from the wrist to the root is from 1, which the correction can change.
    assumed_distance: of a camera that is not known from the hand, in halves of the crop's side.
    nearest: least depth of the root.
    farthest: largest depth of the root.
  """
  return Settings(depth_weight, root_weight, biomechanics_weight, size_weight, assumed_distance, nearest, farthest)


@gin.configurable(module='relative_depth', denylist=['task'])
def build_regressor(task: HandTask, image_size: int = 224, refine: bool = True) -> RelativeDepth:
  """Builds the network from pictures; for `Experiment.method`. `backbone` and `feature_head` have their own settings.

  Args:
    task: the hand task.
    image_size: side of the pictures, px.
    refine: whether a small network corrects the root's depth; without it the root's loss teaches nothing.

  Returns:
    The model, not compiled.
  """
  image, camera, settings = tf.keras.Input((image_size, image_size, 3), name='image'), _camera_inputs(), settings_of()
  levels = backbones.backbone(image_size)(image)
  features = feature_net.feature_head(levels)(levels['c5'])
  start = tf.constant(_rest_joints(task)[None], tf.float32)
  outputs = _outputs(features, camera, start, settings, refine)
  return RelativeDepth({'image': image, **camera}, outputs, task, settings)


@gin.configurable(module='relative_depth', denylist=['task'])
def build_lifter(task: HandTask, hidden: Sequence[int] = (512, 512, 512), noise: float = 0.,
                 refine: bool = True) -> RelativeDepth:
  """Builds the network from the 2D joints that are seen, joints_2d `[B, 21, 2]` and visibility `[B, 21]`.

  Args:
    task: the hand task.
    hidden: units of the dense layers, each with layer normalisation and ReLU.
    noise: standard deviation of what is added to the joints in training, in crop units (1 is half the crop), so that
      the network meets joints as a detector finds them.
    refine: whether a small network corrects the root's depth; without it the root's loss teaches nothing.

  Returns:
    The model, not compiled.
  """
  joints, visibility = tf.keras.Input((_K, 2), name='joints_2d'), tf.keras.Input((_K,), name='visibility')
  camera, settings = _camera_inputs(), settings_of()
  given = [_Noise(noise, name='noise')(joints), visibility]
  x = known_points.KnownPoints(name='seen')(given)
  for number, units in enumerate(hidden, 1):
    x = tf.keras.layers.Dense(units, kernel_initializer='he_normal', name=f'dense{number}')(x)
    x = tf.keras.layers.ReLU(name=f'active{number}')(tf.keras.layers.LayerNormalization(name=f'norm{number}')(x))
  outputs = _outputs(x, camera, _Start(_rest_joints(task), name='start')(given), settings, refine)
  return RelativeDepth({'joints_2d': joints, 'visibility': visibility, **camera}, outputs, task, settings)
