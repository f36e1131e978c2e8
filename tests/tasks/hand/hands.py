"""Labels of hands and predictions that agree with them, as the protocols of the hand task compare them."""
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import cameras, crops
from dhpe_tf.tasks.hand.task import HandTask

COUNT, SIZE = 6, 8
TASK = HandTask()


def make_labels(seed=0):
  """Labels of images without a camera."""
  random = np.random.RandomState(seed)
  mask = np.zeros([COUNT, SIZE, SIZE], np.float32)
  mask[:, 2:6, 2:6] = 1.
  return {'joints_2d': random.uniform(-.5, .5, [COUNT, 21, 2]), 'joints_2d_weight': np.ones([COUNT, 21]),
          'joints_3d_m': random.uniform(-.1, .1, [COUNT, 21, 3]), 'joints_3d_weight': np.ones([COUNT, 21]),
          'mask': mask, 'mask_weight': np.ones(COUNT), 'crop_side_px': np.full(COUNT, 64.)}


def perfect(labels):
  """Predictions that are the labels, from a method that knows no crop space."""
  return {'joints_3d_m': labels['joints_3d_m'], 'joints_2d': labels['joints_2d'], 'mask': labels['mask']}


def make_scene(known=(True,) * 4):
  """Predictions that are the truth in crop space, and labels of hands seen by a camera where it is `known`."""
  count = len(known)
  rng = np.random.default_rng(0)
  joints_m = rng.uniform(-.07, .07, [count, 21, 3]) + [0., 0., .6]
  matrices = np.tile(np.array([[500., 0, 160], [0, 500, 120], [0, 0, 1]]), [count, 1, 1])
  depth = joints_m[:, 9, 2]
  crop = crops.crop_from_joints(cameras.project_pinhole(tf.constant(joints_m), tf.constant(matrices)))
  in_crop = cameras.metric_to_crop(tf.constant(joints_m), tf.constant(depth), tf.constant(matrices), crop).numpy()
  known = np.array(known)
  labels = {
      'joints_2d': in_crop[..., :2], 'joints_2d_weight': np.ones([count, 21]), 'joints_3d_m': joints_m,
      'joints_3d_weight': np.ones([count, 21]), 'mask': np.ones([count, SIZE, SIZE]), 'mask_weight': np.zeros(count),
      'crop_side_px': crop.side_px.numpy(), 'crop_center_px': crop.center_px.numpy(),
      'intrinsics': matrices * known[:, None, None], 'root_depth_m': depth * known,
  }
  predictions = {'joints_3d_m': joints_m - .3, 'joints_2d': in_crop[..., :2], 'mask': np.ones([count, SIZE, SIZE]),
                 'joints_crop': in_crop}
  return predictions, labels
