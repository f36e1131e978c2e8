"""The keypoint net P: picture [B, S, S, 3] -> heat maps [B, 32, 32, 21] (paper section 3.1, Eq. 3)."""
from collections.abc import Callable
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.hand.skeletons import NUM_KEYPOINTS
from dhpe_tf.networks import stored_weights

HEATMAP_SIZE = 32
_ENCODING_CHANNELS = 128
_CPM_INPUT_SIZE = 256  # three poolings give 32


def _convolutions(x: tf.Tensor, widths: tuple, kernel: int, name: str) -> tf.Tensor:
  """Convolutions of `kernel` x `kernel` with `widths` channels, each with a leaky ReLU: [B, H, W, widths[-1]]."""
  for i, width in enumerate(widths):
    x = tf.keras.layers.Conv2D(width, kernel, padding='same', kernel_initializer='he_normal', name=f'{name}_{i + 1}')(x)
    x = tf.keras.layers.LeakyReLU(0.01)(x)
  return x


def _scores(x: tf.Tensor, name: str) -> tf.Tensor:
  """The 1x1 convolution to heat maps [B, H, W, 21]: linear, float32, near zero at first, as most of a heat map is."""
  start = tf.keras.initializers.RandomNormal(stddev=0.01)
  return tf.keras.layers.Conv2D(NUM_KEYPOINTS, 1, kernel_initializer=start, dtype='float32', name=name)(x)


@gin.configurable
def pose_machine(image_size: int, stages: int = 3, width: float = 1.0,
                 weights: Optional[str] = None) -> tf.keras.Model:
  """Builds the paper's keypoint net: a convolutional pose machine like that of Zimmermann and Brox (ICCV 2017).

  The first stage reads an encoding of 128 channels; each later stage reads the encoding and the heat maps of the one
  before, 128 + 21 = 149 channels, through five 7x7 convolutions.

  Args:
    image_size: side of the input images, px; they are resampled to 256.
    stages: number of stages.
    width: multiplies the channels of all hidden layers.
    weights: npz file to start from, such as `data_tools.convert_posenet` makes of the weights of Zimmermann and Brox;
      None starts from random ones.

  Returns:
    A model from images [B, S, S, 3] in 0..1 to a list of heat maps [B, 32, 32, 21], one per stage.

  Raises:
    UserError: `weights` is no such file, or one for other `stages` or another `width`.
  """

  def scaled(*channels: int) -> tuple:
    return tuple(max(8, round(count * width)) for count in channels)

  image = tf.keras.Input((image_size, image_size, 3), name='image')
  x = tf.keras.layers.Rescaling(1.0, -0.5, name='normalise')(image)
  if image_size != _CPM_INPUT_SIZE:
    x = tf.keras.layers.Resizing(_CPM_INPUT_SIZE, _CPM_INPUT_SIZE, name='resize')(x)
  for i, widths in enumerate(((64, 64), (128, 128), (256,) * 4)):
    x = tf.keras.layers.MaxPooling2D(name=f'pool{i + 1}')(_convolutions(x, scaled(*widths), 3, f'conv{i + 1}'))
  encoding = _convolutions(x, scaled(512, 512, 256, 256, 256, 256, _ENCODING_CHANNELS), 3, 'conv4')
  heatmaps = [_scores(_convolutions(encoding, scaled(512), 1, 'conv5'), 'stage1')]
  for stage in range(2, stages + 1):
    x = tf.keras.layers.Concatenate(name=f'stage{stage}_input')([heatmaps[-1], encoding])
    x = _convolutions(x, scaled(*(_ENCODING_CHANNELS,) * 5), 7, f'stage{stage}_conv')
    x = _convolutions(x, scaled(_ENCODING_CHANNELS), 1, f'stage{stage}_mix')
    heatmaps.append(_scores(x, f'stage{stage}'))
  model = tf.keras.Model(image, heatmaps, name='pose_machine')
  if weights:
    stored_weights.load(model, weights)
  return model


@gin.configurable
def pyramid_decoder(levels: dict, channels: int = 64) -> tf.keras.Model:
  """Builds the light keypoint net: a feature pyramid (Lin et al., CVPR 2017) on the maps of the feature net's trunk.

  It goes from the coarsest map to the finest that is not larger than a heat map (`c2` for images of 128 px, `c3` for
  224 and 256); a 1x1 convolution there gives the heat maps.

  Args:
    levels: a trunk's output maps (symbolic).
    channels: width of the pyramid.

  Returns:
    A model from the dict of maps to a list with one entry: heat maps [B, 32, 32, 21].
  """
  inputs = {name: tf.keras.Input(level.shape[1:], name=name) for name, level in levels.items()}
  used = [name for name in sorted(levels, reverse=True) if levels[name].shape[1] <= HEATMAP_SIZE]
  x = None
  for name in used:
    lateral = tf.keras.layers.Conv2D(channels, 1, name=f'lateral_{name}')(inputs[name])
    if x is not None:
      size = lateral.shape[1]
      lateral = tf.keras.layers.Add(name=f'join_{name}')([lateral, tf.keras.layers.Resizing(size, size)(x)])
    x = tf.keras.layers.Activation('relu')(lateral)
    x = tf.keras.layers.SeparableConv2D(channels, 3, padding='same', activation='relu', name=f'smooth_{name}')(x)
  if x.shape[1] != HEATMAP_SIZE:
    x = tf.keras.layers.Resizing(HEATMAP_SIZE, HEATMAP_SIZE, name='to_heatmap_size')(x)
  return tf.keras.Model(inputs, [_scores(x, 'heatmaps')], name='pyramid_decoder')


def _beside_trunk(image: tf.Tensor, trunk: tf.keras.Model, levels: dict) -> list[tf.Tensor]:
  """The pose machine, with layers of its own, on the picture."""
  del trunk, levels
  return pose_machine(image.shape[1])(image)


def _on_trunk(image: tf.Tensor, trunk: tf.keras.Model, levels: dict) -> list[tf.Tensor]:
  """The pyramid decoder on the maps of the feature net's trunk."""
  del image
  return pyramid_decoder(trunk.output)(levels)


# Name -> (image, trunk, the trunk's maps of the image) -> heat maps; a new net is one more entry.
KEYPOINT_NETS: dict[str, Callable] = {'pose_machine': _beside_trunk, 'pyramid_decoder': _on_trunk}


def heatmap_stages(name: str, image: tf.Tensor, trunk: tf.keras.Model, levels: dict) -> list[tf.Tensor]:
  """Heat maps [B, 32, 32, 21] of all stages of a keypoint net.

  Args:
    name: a key of KEYPOINT_NETS.
    image: [B, S, S, 3] in 0..1.
    trunk: of the feature net (`backbones.backbone`).
    levels: the trunk's maps for the image, by name.

  Returns:
    Maps [B, 32, 32, 21], one per stage.

  Raises:
    UserError: an unknown name.
  """
  if name not in KEYPOINT_NETS:
    raise UserError(f'keypoint_net_name is {name!r}; choose one of {", ".join(KEYPOINT_NETS)}')
  stages = KEYPOINT_NETS[name](image, trunk, levels)
  return list(stages) if isinstance(stages, (list, tuple)) else [stages]
