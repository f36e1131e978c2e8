"""Networks whose weights rest in float16 and are used in float32: half the size of an export.

Published weights that are float16 numbers lose nothing by it.
"""
import tensorflow as tf


class HalfAtRest(tf.keras.mixed_precision.Policy):
  """Computes in float32 with variables of float16."""

  def __init__(self):
    super().__init__('float32')

  @property
  def variable_dtype(self) -> str:
    """The type of variables."""
    return 'float16'


def copy(model: tf.keras.Model) -> tf.keras.Model:
  """Returns the same functional model with weights in float16.

  Args:
    model: of layers that need nothing but their configuration; it should be frozen, as float16 is too coarse to learn.
  """
  def halved(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
    if not layer.weights:
      return type(layer).from_config(layer.get_config())
    return type(layer).from_config({**layer.get_config(), 'dtype': HalfAtRest()})
  found = tf.keras.models.clone_model(model, clone_function=halved)
  found.set_weights([weight.astype('float16') for weight in model.get_weights()])
  found.trainable = False
  return found
