"""A batch with consistent labels, in the form of `data.input_pipeline`, around noise for pictures."""
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import anatomy
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.rendering import crop_view, silhouette

ROOT_DEPTH_M = 0.5
FOCAL_PX = 500.0


def make_batch(count=4, size=64, seed=0):
  """Hands in random poses that fill their crops, with every label given."""
  model = load_hand_model()
  pose = tf.constant(anatomy.sample_poses(count, seed), tf.float32)
  shape = tf.random.stateless_normal([count, 10], [seed, 1])
  camera = tf.concat([rotations.random_rotations(count, seed), tf.ones([count, 1]), tf.zeros([count, 3])], -1)
  hand = ManoLayer(model)(pose, shape, camera)
  joints = hand['keypoints']
  center = (tf.reduce_max(joints, 1) + tf.reduce_min(joints, 1)) / 2
  scale = 4 / 3 / tf.reduce_max((tf.reduce_max(joints, 1) - tf.reduce_min(joints, 1))[:, :2], -1)
  joints = (joints - center[:, None]) * scale[:, None, None]
  vertices = (hand['vertices'] - center[:, None]) * scale[:, None, None]
  mask = silhouette.silhouette(crop_view.crop_to_pixels(vertices[..., :2], size), model.closed_faces, (size, size))
  joints = tf.concat([joints[..., :2], joints[..., 2:] - joints[:, 9:10, 2:]], -1)
  ones = tf.ones([count])
  image = tf.random.stateless_uniform([count, size, size, 3], [seed, 2])
  return {
      # A little of the hand, so that there is something to see.
      'image': tf.clip_by_value(0.5 * image + 0.5 * mask[..., None], 0, 1),
      'joints_2d': joints[..., :2], 'joints_2d_weight': tf.ones([count, 21]),
      'joints_3d': joints, 'joints_z_weight': tf.ones([count, 21]),
      'mask': mask, 'mask_weight': ones, 'pose': pose, 'shape': shape, 'parameters_weight': ones,
      'crop_center_px': tf.fill([count, 2], 100.0), 'crop_side_px': FOCAL_PX / ROOT_DEPTH_M * 2 / scale,
      'intrinsics': tf.tile(tf.constant([[[FOCAL_PX, 0, 100], [0, FOCAL_PX, 100], [0, 0, 1]]]), [count, 1, 1]),
      'root_depth_m': ones * ROOT_DEPTH_M, 'joints_3d_m': joints / scale[:, None, None],
      'joints_3d_weight': tf.ones([count, 21]), 'is_left': tf.zeros([count], tf.bool),
      'id': tf.constant([str(i) for i in range(count)]),
  }


def as_numpy(batch):
  return {name: np.array(value) for name, value in batch.items()}
