"""The 3D mesh estimator f_E3D: one round of Eq. 5 (paper section 3.2).

h(t) = h(t-1) + f_E3D(F(x), j2D(t-1), h(t-1)),    F(x) [2048], j2D [42], h [63]: 2153 inputs, 63 outputs.
"""
from collections.abc import Sequence

import gin
import tensorflow as tf

from dhpe_tf.hand import parameters, skeletons

PARAMETER_SIZE = parameters.NUM_PARAMETERS
JOINTS_2D_SIZE = 2 * skeletons.NUM_KEYPOINTS
JOINTS_3D_SIZE = 3 * skeletons.NUM_KEYPOINTS


def offset_network(sizes: dict[str, int], output_size: int, hidden: Sequence[int], gain: float,
                   name: str) -> tf.keras.Model:
  """A fully connected network from the concatenation x of its inputs to an offset; W x + b without hidden layers.

  Args:
    sizes: length of each input vector, by name.
    output_size: length of the offset.
    hidden: units of the hidden layers (ReLU); empty for the paper's single layer.
    gain: standard deviation of the last layer's outputs at the start, for inputs of unit variance.
    name: of the model.

  Returns:
    A model from the dict of inputs [B, size] to the offset [B, output_size], float32.
  """
  inputs = {key: tf.keras.Input((size,), name=key) for key, size in sizes.items()}
  x = tf.keras.layers.Concatenate(name='inputs')([inputs[key] for key in sizes])
  for i, units in enumerate(hidden):
    x = tf.keras.layers.Dense(units, activation='relu', kernel_initializer='he_normal', name=f'hidden_{i + 1}')(x)
  start = tf.keras.initializers.VarianceScaling(gain**2)
  offset = tf.keras.layers.Dense(output_size, kernel_initializer=start, dtype='float32', name='offset')(x)
  return tf.keras.Model(inputs, offset, name=name)


@gin.configurable(module='dhpe')
def mesh_regressor(feature_size: int, use_joints_2d: bool = True, hidden: Sequence[int] = (),
                   gain: float = 0.01) -> tf.keras.Model:
  """Builds the regressor of parameter offsets: the paper's single layer of 2153 x 63 weights by default.

  Args:
    feature_size: length of the feature vector.
    use_joints_2d: whether the 2D joints are inputs; without them it is the regressor of Kanazawa et al. (CVPR 2018).
    hidden: units of hidden layers.
    gain: see `offset_network`; small, so that training starts at the mean hand.

  Returns:
    A model from a dict `features` [B, F], `joints_2d` [B, 42] (if used), `parameters` [B, 63] to an offset [B, 63].
  """
  sizes = {'features': feature_size, 'joints_2d': JOINTS_2D_SIZE, 'parameters': PARAMETER_SIZE}
  if not use_joints_2d:
    del sizes['joints_2d']
  return offset_network(sizes, PARAMETER_SIZE, hidden, gain, 'mesh_regressor')
