"""ImageNet weights of keras.applications' ResNet-50 for keras-cv's: the file that most people have.

  resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5, from the releases of keras-team/keras-applications.

Both are the ResNet-50 of He et al. (CVPR 2016) with the stride in the first convolution of a block. They differ in
this: keras.applications has biases in its convolutions, which go into the means of the batch normalisation behind; it
takes blue, green, red in 0..255 less the mean of ImageNet; and it pads the first convolution and the pooling by 3 and 1
pixels on each side, where keras-cv pads less above and to the left, so that maps are moved by 3 pixels of the picture.
"""
import re

import h5py
import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError

# The input of these weights is image * SCALE + OFFSET, image in 0..1 (red, green, blue).
SCALE, OFFSET = 255.0, (-123.68, -116.779, -103.939)
_MARK = 'conv2_block1_1_conv'  # a layer that keras-cv's files do not have


def holds(path: str) -> bool:
  """Whether a file holds weights by keras.applications' names."""
  if not h5py.is_hdf5(path):
    return False
  with h5py.File(path, 'r') as file:
    return _MARK in _layers(file)


def load(base: tf.keras.Model, path: str) -> None:
  """Sets all weights of keras-cv's ResNet-50; their input is then that of SCALE and OFFSET.

  Args:
    base: a `ResNetBackbone` of bottleneck blocks.
    path: of which `holds` is true.

  Raises:
    UserError: a layer is missing or has another size; the trunk is then unchanged.
  """
  with h5py.File(path, 'r') as file:
    layers = _layers(file)
    found = {layer.name: _values(layer, layers, path) for layer in base.layers if layer.weights}
  for layer in base.layers:
    if layer.weights:
      layer.set_weights(found[layer.name])


def _layers(file: h5py.File) -> h5py.Group:
  """The group of layers; a file of a whole model holds it under a name of its own."""
  return file['model_weights'] if 'model_weights' in file else file


def _values(layer: tf.keras.layers.Layer, layers: h5py.Group, path: str) -> list[np.ndarray]:
  """The weights of one layer of keras-cv in its order.

  Raises:
    UserError: the file lacks them, or they have another size.
  """
  name = _their_name(layer.name)
  if isinstance(layer, tf.keras.layers.BatchNormalization):
    gamma, beta, mean, variance = _read(layers, name, ('gamma', 'beta', 'moving_mean', 'moving_variance'), path)
    bias, = _read(layers, re.sub('_bn$', '_conv', name), ('bias',), path)
    values = [gamma, beta, mean - bias if mean.shape == bias.shape else bias, variance]
  else:
    values = _read(layers, name, ('kernel',), path)
    if layer.name == 'conv1_conv':
      values = [values[0][:, :, ::-1]]  # from blue, green, red
  for value, variable in zip(values, layer.weights):
    if value.shape != tuple(variable.shape):
      raise UserError(f'backbone.weights: {path}: {name} is {value.shape}; the trunk needs {tuple(variable.shape)}')
  return values


def _their_name(name: str) -> str:
  """keras.applications' name of a layer of keras-cv: v2_stack_0_block1_1_conv is conv2_block1_1_conv."""
  return re.sub(r'^v2_stack_(\d+)_', lambda found: f'conv{int(found[1]) + 2}_', name)


def _read(layers: h5py.Group, layer: str, names: tuple[str, ...], path: str) -> list[np.ndarray]:
  """The arrays of a layer by their last names, such as kernel.

  Raises:
    UserError: there is no such layer or array.
  """
  found = []
  for name in names:
    place = f'{layer}/{layer}/{name}:0'
    if not isinstance(layers.get(place), h5py.Dataset):
      raise UserError(f'backbone.weights: {path} holds no {place}; take the file of ResNet-50 without its top')
    found.append(np.asarray(layers[place], np.float32))
  return found
