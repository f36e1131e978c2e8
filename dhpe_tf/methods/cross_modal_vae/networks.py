"""Encoders of the modalities to codes, and decoders from codes; the paper's are not known layer by layer."""
from collections.abc import Sequence

import tensorflow as tf

from dhpe_tf.hand import canonical_hand, skeletons
from dhpe_tf.methods.cross_modal_vae import codes, modalities
from dhpe_tf.networks import backbones, feature_net, known_points

_K = skeletons.NUM_KEYPOINTS
# Channels of the maps of 4, 8, 16 and 32 px that the picture's decoder goes through.
_PICTURE_CHANNELS = (128, 64, 32, 16)


class _Canonical(tf.keras.layers.Layer):
  """Joints [B, 21, 3] in metres and their weights [B, 21] to those of `canonical_hand.canonical`."""

  def call(self, inputs):
    """(joints, weights) of the canonical hand."""
    found = canonical_hand.canonical(*inputs)
    return found.joints, found.weights


def encoder(name: str, latent: int, hidden: Sequence[int], image_size: int, most_log_variance: float) -> tf.keras.Model:
  """Builds the encoder of a modality.

  Args:
    name: a key of `modalities.MODALITIES`.
    latent: dimensions D of the code.
    hidden: units of the dense layers of joints; pictures have `backbone` and `feature_head`.
    image_size: side of the pictures, px.
    most_log_variance: bound of the logarithm of the variances, either side of 0.

  Returns:
    A model from the entries `Modality.inputs` of a batch to 'mean' and 'log_variance', each `[B, D]`, float32.
  """
  shapes = {'image': (image_size, image_size, 3), 'joints_2d': (_K, 2), 'visibility': (_K,), 'joints_3d_m': (_K, 3),
            'joints_3d_weight': (_K,)}
  inputs = {entry: tf.keras.Input(shapes[entry], name=entry) for entry in modalities.MODALITIES[name].inputs}
  if name == modalities.IMAGE:
    levels = backbones.backbone(image_size)(inputs['image'])
    x = feature_net.feature_head(levels)(levels['c5'])
  else:
    points = list(inputs.values())
    points = _Canonical(name='canonical')(points) if name == modalities.JOINTS_3D else points
    x = _dense(known_points.KnownPoints(name='known')(points), hidden)
  mean = tf.keras.layers.Dense(latent, dtype='float32', name='mean')(x)
  # Codes start narrow: broad ones would tell the decoders nothing, and these would learn to do without.
  narrow = tf.keras.initializers.Constant(-4.)
  raw = tf.keras.layers.Dense(latent, bias_initializer=narrow, dtype='float32', name='raw_log_variance')(x)
  log_variance = codes.Bounded(most_log_variance, dtype='float32', name='log_variance')(raw)
  return tf.keras.Model(inputs, {'mean': mean, 'log_variance': log_variance}, name=f'encode_{name}')


def decoder(name: str, latent: int, hidden: Sequence[int]) -> tf.keras.Model:
  """Builds the decoder of a modality.

  Args:
    name: a key of `modalities.MODALITIES`.
    latent: dimensions D of the code.
    hidden: units of the dense layers of joints; the picture has transposed convolutions.

  Returns:
    A model from codes `[B, D]` to joints_2d `[B, 21, 2]`, canonical joints_3d `[B, 21, 3]`, or pictures
    `[B, 64, 64, 3]` in 0..1, float32.
  """
  code = tf.keras.Input((latent,), name='code')
  if name == modalities.IMAGE:
    return tf.keras.Model(code, _picture(code), name=f'decode_{name}')
  size = {modalities.JOINTS_2D: 2, modalities.JOINTS_3D: 3}[name]
  numbers = tf.keras.layers.Dense(size * _K, dtype='float32', name='numbers')(_dense(code, hidden))
  joints = tf.keras.layers.Reshape((_K, size), dtype='float32', name='joints')(numbers)
  return tf.keras.Model(code, joints, name=f'decode_{name}')


def _dense(x: tf.Tensor, hidden: Sequence[int]) -> tf.Tensor:
  """Dense layers, each with layer normalisation and ReLU."""
  for number, units in enumerate(hidden, 1):
    x = tf.keras.layers.Dense(units, kernel_initializer='he_normal', name=f'dense{number}')(x)
    x = tf.keras.layers.ReLU(name=f'active{number}')(tf.keras.layers.LayerNormalization(name=f'norm{number}')(x))
  return x


def _picture(code: tf.Tensor) -> tf.Tensor:
  """Pictures [B, 64, 64, 3] of codes: a dense layer, then transposed convolutions that double the side."""
  x = tf.keras.layers.Dense(16 * _PICTURE_CHANNELS[0], activation='relu', name='start')(code)
  x = tf.keras.layers.Reshape((4, 4, _PICTURE_CHANNELS[0]), name='map')(x)
  for number, channels in enumerate(_PICTURE_CHANNELS[1:], 1):
    x = tf.keras.layers.Conv2DTranspose(channels, 4, 2, 'same', activation='relu', name=f'larger{number}')(x)
  return tf.keras.layers.Conv2DTranspose(3, 4, 2, 'same', activation='sigmoid', dtype='float32', name='picture')(x)
