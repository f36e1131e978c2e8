"""Keras layers around the hand: parameters to a posed hand in crop space, its vertices to a mask."""
import tensorflow as tf

from dhpe_tf.hand import mano_layer, parameters
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.rendering import crop_view, silhouette


class PosedHand(tf.keras.layers.Layer):
  """Parameters h [B, 63] -> the hand in crop space: V = s R(q) LBS(pose, shape) + t (paper section 3.2, Eq. 4)."""

  def __init__(self, hand_model: HandModel, **kwargs):
    super().__init__(dtype='float32', **kwargs)
    self._layer = mano_layer.ManoLayer(hand_model)
    self.hand_model = hand_model

  def call(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
    """Poses the hand.

    Args:
      inputs: h [B, 63].

    Returns:
      pose [B, 45], shape [B, 10], camera [B, 8] with a unit quaternion, units_per_metre [B] (the scale s); in crop
      space vertices [B, V, 3], joints_2d [B, 21, 2] (the x and y of joints_3d) and joints_3d [B, 21, 3].
    """
    h = parameters.split(inputs)
    # q of any length -> the unit quaternion of the same rotation, [B, 4].
    rotation = tf.math.l2_normalize(h.rotation, axis=-1, epsilon=1e-8)
    camera = h._replace(rotation=rotation).camera
    # V = s R(q) LBS(pose, shape) + t: [B, V, 3], and the same for the keypoints, [B, 21, 3].
    hand = self._layer(h.pose, h.shape, camera)
    return {'pose': h.pose, 'shape': h.shape, 'camera': camera, 'units_per_metre': h.scale[:, 0],
            'vertices': hand['vertices'], 'joints_2d': hand['keypoints'][..., :2], 'joints_3d': hand['keypoints']}


class Silhouette(tf.keras.layers.Layer):
  """Vertices in crop space [B, V, 3] -> mask [B, size, size]."""

  def __init__(self, hand_model: HandModel, size: int, **kwargs):
    super().__init__(dtype='float32', **kwargs)
    self._faces = hand_model.closed_faces
    self._size = size

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    """Draws vertices [B, V, 3] as the mask [B, size, size]."""
    # `silhouette` chooses its method in Python, which AutoGraph cannot follow.
    draw = tf.autograph.experimental.do_not_convert(silhouette.silhouette)
    return draw(crop_view.crop_to_pixels(inputs[..., :2], self._size), self._faces, (self._size, self._size))
