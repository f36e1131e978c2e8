"""The hand landmark network of MediaPipe Hands (full, of mediapipe 0.10.21) as a Keras model.

An EfficientNet-B0 without squeeze and excitation: inverted residual blocks with linear ends, their batch normalisation
folded into the convolutions, ReLU6 in between, and four dense heads on the pooled vector. The weights are Google's
(Apache-2.0), see assets/PROVENANCE.md; the network is described in Zhang et al., MediaPipe Hands: On-device Real-time
Hand Tracking, 2020, and in the model card "MediaPipe Hands (Lite/Full)".

The hand should fill the middle half of the crop and point up; `finding` cuts such crops.
"""
from typing import NamedTuple, Optional

import gin
import tensorflow as tf

from dhpe_tf.networks import stored_weights

SIZE_PX = 224
JOINTS = 21  # wrist, then thumb, index, middle, ring, little, each from base to tip
WEIGHTS = stored_weights.ASSETS / 'hand_landmarks.npz'


class Block(NamedTuple):
  """An inverted residual block: 1x1 expansion, depthwise convolution, linear 1x1 projection.

  Where the shapes allow it the input is added to the result.

  Attributes:
    expansion: channels inside; None leaves the input's.
    kernel, stride: of the depthwise convolution.
    filters: channels of the result; None leaves the projection out.
  """

  expansion: Optional[int]
  kernel: int
  stride: int
  filters: Optional[int]


# Read from the file's graph.
STEM_FILTERS = 24
BLOCKS = (
    Block(None, 3, 1, 16), Block(64, 3, 2, 24), Block(144, 3, 1, 24), Block(144, 5, 2, 40), Block(240, 5, 1, 40),
    Block(240, 3, 2, 80), Block(480, 3, 1, 80), Block(480, 3, 1, 80), Block(480, 5, 1, 112), Block(672, 5, 1, 112),
    Block(672, 5, 1, 112), Block(672, 5, 2, 192), Block(1152, 5, 1, 192), Block(1152, 5, 1, 192),
    Block(1152, 5, 1, 192), Block(1152, 3, 1, None))
# Heads on the pooled vector: name -> (numbers, activation).
HEADS = {'right': (1, 'sigmoid'), 'presence': (1, 'sigmoid'), 'joints': (3 * JOINTS, None), 'world': (3 * JOINTS, None)}

# Shapes of what it says of a hand, by name, without the batch axis.
ANSWERS = {'joints_2d_px': (JOINTS, 2), 'joints_depth_px': (JOINTS,), 'presence': (), 'is_left': (),
           'world_joints_m': (JOINTS, 3)}


def _conv(x: tf.Tensor, filters: int, kernel: int, stride: int, name: str, activation=tf.nn.relu6) -> tf.Tensor:
  """A convolution with bias; 'same' padding."""
  return tf.keras.layers.Conv2D(filters, kernel, stride, padding='same', activation=activation, name=name)(x)


def _block(x: tf.Tensor, block: Block, name: str) -> tf.Tensor:
  """Applies one `Block` to maps [B, h, w, C]."""
  inside = x if block.expansion is None else _conv(x, block.expansion, 1, 1, f'{name}_expand')
  inside = tf.keras.layers.DepthwiseConv2D(block.kernel, block.stride, padding='same', activation=tf.nn.relu6,
                                           name=f'{name}_depthwise')(inside)
  if block.filters is None:
    return inside
  result = _conv(inside, block.filters, 1, 1, f'{name}_project', activation=None)
  if block.stride == 1 and block.filters == x.shape[-1]:
    result = tf.keras.layers.Add(name=f'{name}_add')([x, result])
  return result


def _outputs(features: tf.Tensor, heads: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  """Names the parts of the heads' answers; see `landmark_net`."""
  joints = tf.keras.layers.Reshape((JOINTS, 3), name='joints_reshape')(heads['joints'])
  return {
      'joints_2d_px': joints[..., :2], 'joints_depth_px': joints[..., 2], 'presence': heads['presence'][:, 0],
      'is_left': 1. - heads['right'][:, 0],
      'world_joints_m': tf.keras.layers.Reshape((JOINTS, 3), name='world_reshape')(heads['world']),
      'features': features}


@gin.configurable
def landmark_net(trainable: bool = False, trainable_heads: bool = False,
                 weights: Optional[str] = 'shipped') -> tf.keras.Model:
  """Builds the landmark network.

  It has no batch normalisation and no dropout, so training and inference compute the same.

  Args:
    trainable: whether the trunk, all convolutions, learns.
    trainable_heads: whether the four dense heads learn.
    weights: 'shipped', another npz file for `stored_weights.load`, or None for random weights.

  Returns:
    A model from crops [B, 224, 224, 3], RGB in 0..1, to a dict, all float32:
      joints_2d_px: [B, 21, 2] px of the crop, from its top-left corner.
      joints_depth_px: [B, 21] depth below the wrist, away from the camera; in px of the crop but not to scale: it is
        the file's own number, which MediaPipe divides by 0.4.
      presence: [B] probability that the crop shows a hand.
      is_left: [B] probability of a left hand if the picture is not mirrored. (MediaPipe names the sides as for a
        mirrored picture.)
      world_joints_m: [B, 21, 3] metres about the hand's centre, axes of the crop, z away from the camera.
      features: [B, 1152] the pooled vector before the heads.

  Raises:
    UserError: the weights are missing or of another model.
  """
  image = tf.keras.Input((SIZE_PX, SIZE_PX, 3), name='image')
  x = _conv(image, STEM_FILTERS, 3, 2, 'stem')
  for number, block in enumerate(BLOCKS, 1):
    x = _block(x, block, f'block{number}')
  features = tf.keras.layers.GlobalAveragePooling2D(name='features', dtype='float32')(x)
  heads = {name: tf.keras.layers.Dense(units, activation, name=name, dtype='float32')(features)
           for name, (units, activation) in HEADS.items()}
  model = tf.keras.Model(image, _outputs(features, heads), name='landmark_net')
  if weights is not None:
    stored_weights.load(model, WEIGHTS if weights == 'shipped' else weights)
  for layer in model.layers:
    layer.trainable = trainable_heads if layer.name in HEADS else trainable
  return model
