"""The palm detection network of MediaPipe Hands (full, of mediapipe 0.10.21) as a Keras model.

A single-shot detector: residual blocks of a 5x5 depthwise and a 1x1 convolution with PReLU down to a 6x6 map, two steps
up again, and heads on the 24x24 and the 12x12 map. The weights are Google's (Apache-2.0), see assets/PROVENANCE.md; the
network is described in Zhang et al., MediaPipe Hands: On-device Real-time Hand Tracking, 2020. Its boxes are relative
to anchors, which are not built here: `finding` has them, and decodes the answers.
"""
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf.networks import stored_weights

SIZE_PX = 192
WEIGHTS = stored_weights.ASSETS / 'palm_detection.npz'
BOX_NUMBERS = 18  # centre, size and seven keypoints, each (x, y)

# Read from the file's graph. Every stage but the first begins with a block of stride 2.
STAGE_FILTERS = (32, 64, 128, 256, 256)
BLOCKS_PER_STAGE = 4
BLOCKS_UP = 2
# On the way up: (filters, stage whose result is added, anchors a cell).
LEVELS_UP = ((256, 3, 6), (128, 2, 2))


def _prelu(x: tf.Tensor, name: str) -> tf.Tensor:
  """PReLU with one slope a channel."""
  return tf.keras.layers.PReLU(shared_axes=[1, 2], name=f'{name}_prelu')(x)


def _block(x: tf.Tensor, filters: int, stride: int, name: str) -> tf.Tensor:
  """A residual block: 5x5 depthwise, 1x1, plus the input, which is max-pooled and given zero channels where needed."""
  inside = tf.keras.layers.DepthwiseConv2D(5, stride, padding='same', use_bias=False, name=f'{name}_depthwise')(x)
  inside = tf.keras.layers.Conv2D(filters, 1, name=f'{name}_project')(inside)
  if stride > 1:
    x = tf.keras.layers.MaxPool2D(stride, name=f'{name}_pool')(x)
  if x.shape[-1] < filters:
    x = tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, filters - x.shape[-1]]], name=f'{name}_channels')
  return _prelu(tf.keras.layers.Add(name=f'{name}_add')([x, inside]), name)


def _up(x: tf.Tensor, skip: tf.Tensor, filters: int, name: str) -> tf.Tensor:
  """Doubles the map's sides, adds an earlier map of that size and applies blocks."""
  x = tf.keras.layers.UpSampling2D(interpolation='bilinear', name=f'{name}_resize')(x)
  x = _prelu(tf.keras.layers.Conv2D(filters, 1, name=f'{name}_project')(x), name)
  x = tf.keras.layers.Add(name=f'{name}_add')([skip, x])
  for number in range(1, BLOCKS_UP + 1):
    x = _block(x, filters, 1, f'{name}_block{number}')
  return x


def _head(x: tf.Tensor, anchors: int, numbers: int, name: str) -> tf.Tensor:
  """`numbers` for each of the `anchors` of each cell: [B, h * w * anchors, numbers], float32."""
  x = tf.keras.layers.Conv2D(anchors * numbers, 1, name=name)(x)
  return tf.keras.layers.Reshape((-1, numbers), name=f'{name}_reshape', dtype='float32')(x)


@gin.configurable
def palm_net(weights: Optional[str] = 'shipped') -> tf.keras.Model:
  """Builds the palm detector, frozen.

  Args:
    weights: 'shipped', another npz file for `stored_weights.load`, or None for random weights.

  Returns:
    A model from pictures [B, 192, 192, 3], RGB in 0..1, to a dict of
      scores: [B, 2016] logits, one for each anchor, unbounded.
      boxes: [B, 2016, 18] centre (x, y), size (x, y) and seven keypoints (x, y), in px of the picture; centre and
        keypoints relative to the anchor's centre.

  Raises:
    UserError: the weights are missing or of another model.
  """
  image = tf.keras.Input((SIZE_PX, SIZE_PX, 3), name='image')
  x = tf.keras.layers.Conv2D(STAGE_FILTERS[0], 5, 2, padding='same', name='stem')(image)
  x, ends = _prelu(x, 'stem'), []
  for stage, filters in enumerate(STAGE_FILTERS):
    if stage:
      x = _block(x, filters, 2, f'stage{stage}_down')
    for number in range(1, BLOCKS_PER_STAGE + 1):
      x = _block(x, filters, 1, f'stage{stage}_block{number}')
    ends.append(x)
  scores, boxes = [], []
  for number, (filters, stage, anchors) in enumerate(LEVELS_UP, 1):
    x = _up(x, ends[stage], filters, f'up{number}')
    # The finest map's anchors come first.
    scores.insert(0, _head(x, anchors, 1, f'up{number}_score'))
    boxes.insert(0, _head(x, anchors, BOX_NUMBERS, f'up{number}_box'))
  outputs = {'scores': tf.keras.layers.Concatenate(axis=1, name='scores')(scores)[..., 0],
             'boxes': tf.keras.layers.Concatenate(axis=1, name='boxes')(boxes)}
  model = tf.keras.Model(image, outputs, name='palm_net')
  if weights is not None:
    stored_weights.load(model, WEIGHTS if weights == 'shipped' else weights)
  model.trainable = False
  return model
