"""The output contract of the hand task: names, shapes and meaning, the same in training, export and serving.

Sizes: B images, V vertices, S the image side, M the mask side, H the side of the heat maps, T the rounds of a
regressor. Crop space is [-1, 1] in x and y, with z in the same unit; the hand is a right hand. A method gives the
outputs that it can; only the 3D joints and the scale are required.
"""
import gin
import tensorflow as tf

from dhpe_tf.data.contract import Entry
from dhpe_tf.geometry import cameras
from dhpe_tf.hand import hand_model, parameters, skeletons

_K = skeletons.NUM_KEYPOINTS

OUTPUTS = {
    'joints_3d': Entry(('B', _K, 3), 'float32', 'keypoints in crop space'),
    'units_per_metre': Entry(('B',), 'float32', "scale: crop units a metre, from the hand's own size"),
    'joints_2d': Entry(('B', _K, 2), 'float32', 'keypoints of the mesh in the crop', optional=True),
    'vertices': Entry(('B', 'V', 3), 'float32', 'mesh in crop space', optional=True),
    'mask': Entry(('B', 'M', 'M'), 'float32', 'share of each pixel that the mesh covers', optional=True),
    'heatmaps': Entry(('B', 'H', 'H', _K), 'float32', 'heat maps of the joints', optional=True),
    'parameters': Entry(('B', parameters.NUM_PARAMETERS), 'float32', 'the vector h of hand.parameters', optional=True),
    'pose': Entry(('B', hand_model.NUM_POSE), 'float32', 'axis-angle of 15 joints about the flat hand, radians',
                  optional=True),
    'shape': Entry(('B', hand_model.NUM_SHAPE), 'float32', 'shape coefficients', optional=True),
    'camera': Entry(('B', parameters.NUM_CAMERA), 'float32', 'unit quaternion (w, x, y, z), scale (crop units per '
                    'metre), translation (crop units)', optional=True),
    'camera_distance': Entry(('B',), 'float32', 'from a pinhole camera before the middle of the crop to the root, crop '
                             'units; without it, joints_3d and vertices lie where they are seen', optional=True),
    'hand_presence': Entry(('B',), 'float32', 'probability that the crop shows a hand', optional=True),
    'joint_confidence': Entry(('B', _K), 'float32', 'probability that a joint is seen near its true place',
                              optional=True),
    'misfit': Entry(('B', 2), 'float32', 'how badly the hand fits what was seen, before and after refinement',
                    optional=True),
    'joints_2d_rounds': Entry(('B', None, _K, 2), 'float32', '2D joints read from the heat maps, then after each round '
                              'of refinement', optional=True),
    'features': Entry(('B', None), 'float32', 'feature vector of the picture', optional=True),
}
# Outputs of an exported model; the others are for training.
SERVED = ('vertices', 'joints_2d', 'joints_3d', 'mask', 'heatmaps', 'parameters', 'pose', 'shape', 'camera',
          'units_per_metre', 'camera_distance', 'hand_presence', 'joint_confidence', 'misfit',
          'joints_2d_rounds')


def units_per_metre(outputs: dict[str, tf.Tensor]) -> tf.Tensor:
  """Returns the scale `[B]` of a method's outputs; older exports give it only as a part of the camera."""
  if 'units_per_metre' in outputs:
    return outputs['units_per_metre']
  return outputs['camera'][:, parameters.CAMERA_SCALE]


def seen(points: tf.Tensor, outputs: dict[str, tf.Tensor]) -> tf.Tensor:
  """Returns points `[B, N, 3]` of a method's crop space at the places where they are seen; their z stays."""
  if 'camera_distance' not in outputs:
    return points
  distance = outputs['camera_distance']
  return cameras.add_perspective(points, cameras.CropCamera(distance, tf.zeros([tf.shape(distance)[0], 2])))


def joints_m(outputs: dict[str, tf.Tensor]) -> tf.Tensor:
  """Returns keypoints `[B, 21, 3]` in metres by the hand's own size, x_crop / scale, relative to any origin."""
  return outputs['joints_3d'] / units_per_metre(outputs)[:, None, None]


@gin.configurable(module='hand')
def joint_confidence(peak: tf.Tensor, floor: float = 0.05) -> tf.Tensor:
  """Returns the weight `[B, 21]` of each 2D joint: the peak of its heat map, clipped to [floor, 1]."""
  return tf.clip_by_value(peak, floor, 1.0)
