"""The feature net F: picture [B, S, S, 3] -> features [B, 2048] (paper section 3.1, Eq. 2).

F is a trunk (`backbones`) with the head of this file on its coarsest map `c5`.
"""
import gin
import tensorflow as tf

from dhpe_tf import errors

FEATURE_SIZE = 2048
_GRID = 4  # cells along a side of the 'grid' pooling


@gin.configurable
def feature_head(levels: dict, pooling: str = 'average', size: int = FEATURE_SIZE) -> tf.keras.Model:
  """Builds the head that turns the trunk's maps into one feature vector.

  Args:
    levels: a trunk's output maps (symbolic), of which `c5` [B, h, w, C] is used.
    pooling: 'average' is the paper's: the mean over the map, followed by a dense layer with ReLU where the trunk does
      not have `size` channels (all but ResNet-50). 'grid' keeps the layout, which suits short trainings: the map is
      resampled to 4x4 cells, reduced to size / 16 channels by a 1x1 convolution and flattened.
    size: length of the feature vector.

  Returns:
    A model from the `c5` map to features [B, size], float32.

  Raises:
    UserError: an unknown pooling.
  """
  c5 = tf.keras.Input(levels['c5'].shape[1:], name='c5')
  if pooling == 'average':
    features = tf.keras.layers.GlobalAveragePooling2D(name='average')(c5)
    if features.shape[-1] != size:
      features = tf.keras.layers.Dense(size, activation='relu', name='widen')(features)
  elif pooling == 'grid':
    cells = tf.keras.layers.Resizing(_GRID, _GRID, name='cells')(c5)
    mixed = tf.keras.layers.Conv2D(size // _GRID**2, 1, activation='relu', name='mix')(cells)
    features = tf.keras.layers.Flatten(name='flatten')(mixed)
  else:
    raise errors.UserError(f"feature_head.pooling is {pooling!r}; choose 'average' or 'grid'")
  features = tf.keras.layers.Activation('linear', dtype='float32', name='features')(features)
  return tf.keras.Model(c5, features, name='feature_head')
