"""Networks whose weights rest in float16 or int8 and are used in float32, so that an export is smaller.

Published weights that are float16 numbers lose nothing by float16. In int8 a kernel w of a convolution keeps one scale
for each output channel c: w = scale_c q, scale_c = max |w_c| / 127, q in -127..127. All sums are in float32, so only
the kernels are rounded; whole-number arithmetic, which also rounds what flows through a network, loses far more.
Depthwise kernels and dense layers stay in float16: they are few, and to round them too cost the landmark network's
joints in metres most of their accuracy.
"""
import numpy as np
import tensorflow as tf

_LARGEST = 127


class HalfAtRest(tf.keras.mixed_precision.Policy):
  """Computes in float32 with variables of float16."""

  def __init__(self):
    super().__init__('float32')

  @property
  def variable_dtype(self) -> str:
    """The type of variables."""
    return 'float16'


def copy(model: tf.keras.Model, weights: str = 'float16') -> tf.keras.Model:
  """Returns the same functional or sequential model with its weights at rest in another type, frozen.

  Args:
    model: of layers that need nothing but their configuration. It learns no more: these types are too coarse for it.
    weights: 'float32', 'float16' or 'int8'. With 'int8' the kernels of convolutions are int8 and all else is float16;
      with 'float32' the model itself is returned.
  """
  if weights == 'float32':
    return model
  found = tf.keras.models.clone_model(model, clone_function=_in_int8 if weights == 'int8' else _in_float16)
  for layer in model.layers:
    own = found.get_layer(layer.name)
    if isinstance(own, Int8Conv2D):
      own.round_to(layer)
    elif layer.weights:
      own.set_weights([weight.astype('float16') for weight in layer.get_weights()])
  found.trainable = False
  return found


def _in_float16(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
  """A layer of the same configuration, not built yet."""
  policy = {'dtype': HalfAtRest()} if layer.weights else {}
  return type(layer).from_config({**layer.get_config(), **policy})


def _in_int8(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
  """The same; a convolution's kernel is int8."""
  # Depthwise convolutions are of a subclass.
  if type(layer) is not tf.keras.layers.Conv2D:
    return _in_float16(layer)
  return Int8Conv2D.from_config({**layer.get_config(), 'dtype': HalfAtRest()})


class Int8Conv2D(tf.keras.layers.Conv2D):
  """A convolution whose kernel rests as whole numbers and a scale for each output channel."""

  def build(self, input_shape) -> None:
    """Makes the layer's weights, then whole numbers in the place of its kernel."""
    super().build(input_shape)
    kernel = self.kernel
    del self.kernel
    self._whole = self.add_weight('kernel_int8', kernel.shape, tf.int8, 'zeros', trainable=False)
    self._scale = self.add_weight('kernel_scale', [kernel.shape[-1]], tf.float32, 'ones', trainable=False)

  def round_to(self, layer: tf.keras.layers.Conv2D) -> None:
    """Takes the rounded kernel, and the bias, of a plain convolution of the same configuration."""
    kernel = layer.kernel.numpy()
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / _LARGEST
    self._whole.assign(np.round(kernel / np.where(scale > 0, scale, 1)).astype(np.int8))
    self._scale.assign(scale)
    if self.use_bias:
      self.bias.assign(layer.bias.numpy().astype('float16'))

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Convolves with the kernel in float32."""
    # Not by setattr of the layer, which would track a tensor of one graph as if it were the layer's own.
    self.__dict__['kernel'] = tf.cast(self._whole, tf.float32) * self._scale
    try:
      return super().call(inputs)
    finally:
      del self.__dict__['kernel']
