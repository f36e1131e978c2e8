"""From a model's outputs in crop space to results in the picture: the same TensorFlow code in export and prediction.

The model sees right hands only. The crop of a left hand is mirrored on the way in, and x is mirrored back here. The
mirrored mesh turns inside out, so whoever draws or writes it reverses the order of each face's corners.
"""
from typing import Optional

import tensorflow as tf

from dhpe_tf.geometry import cameras, crops
from dhpe_tf.hand.skeletons import ROOT

# What `in_picture` returns, for documents that travel with a model.
DOCUMENTED = {
    'joints_2d_px': '[B, 21, 2] keypoints of the mesh, pixels (x, y) of the picture, pixel centres at +0.5',
    'joints_3d_m': '[B, 21, 3] keypoints of the mesh, metres, camera axes, relative to the root (middle MCP)',
    'vertices_px': '[B, V, 2] mesh, pixels (x, y) of the picture',
    'vertices_m': '[B, V, 3] mesh, metres, camera axes, relative to the root (middle MCP)',
    'mask': '[B, M, M] share of each cell of the crop that the mesh covers',
    'score': '[B] mean peak of the heat maps in 0..1, a measure of confidence',
    'pose': '[B, 45] axis-angle of the right-hand model; of its mirror image for a left hand',
    'shape': '[B, 10] shape coefficients',
    'camera': '[B, 8] quaternion (w, x, y, z), crop units per metre, translation (crop units), of the right-hand model',
}


def mirror_left(images: tf.Tensor, is_left: tf.Tensor) -> tf.Tensor:
  """Mirrors those images `[B, S, S, 3]` for which `is_left` `[B]` is true."""
  return tf.where(is_left[:, None, None, None], crops.mirror_image(images), images)


def add_score(outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  """Adds 'score' `[B]`, the mean over the joints of the heat maps' peaks, clipped to 0..1; 1 without heat maps."""
  if 'heatmaps' in outputs:
    peaks = tf.reduce_max(outputs['heatmaps'], axis=[1, 2])
    score = tf.reduce_mean(tf.clip_by_value(peaks, 0., 1.), axis=-1)
  else:
    score = tf.ones_like(outputs['camera'][:, 0])
  return {**outputs, 'score': tf.cast(score, tf.float32)}


def in_picture(outputs: dict[str, tf.Tensor], crop: crops.Crop, is_left: tf.Tensor) -> dict[str, tf.Tensor]:
  """Takes outputs from the crop to the picture.

  Metres come from the hand model: crop coordinates over the scale s of its camera.

  Args:
    outputs: of the model for right-handed crops: 'vertices' `[B, V, 3]`, 'joints_2d', 'joints_3d', 'mask', 'pose',
      'shape', 'camera' `[B, 8]`, 'score' `[B]`.
    crop: the crops that the model saw, before mirroring.
    is_left: `[B]` bool, whose crop was mirrored.

  Returns:
    As `DOCUMENTED`.
  """
  back = tf.where(is_left, -1., 1.)[:, None, None] * [1., 0., 0.] + [0., 1., 1.]
  vertices, joints = outputs['vertices'] * back, outputs['joints_3d'] * back
  metres = 1. / outputs['camera'][:, 4, None, None]
  root = joints[:, ROOT, None]
  mask = outputs['mask']
  return {
      'joints_2d_px': crops.from_crop(outputs['joints_2d'] * back[..., :2], crop),
      'joints_3d_m': (joints - root) * metres,
      'vertices_px': crops.from_crop(vertices[..., :2], crop),
      'vertices_m': (vertices - root) * metres,
      'mask': tf.where(is_left[:, None, None], tf.reverse(mask, [2]), mask),
      **{name: outputs[name] for name in ('score', 'pose', 'shape', 'camera')}}


def place(results: dict[str, tf.Tensor], crop: crops.Crop, intrinsics: tf.Tensor,
          root_depth_m: Optional[tf.Tensor] = None) -> dict[str, tf.Tensor]:
  """Moves root-relative results to their place before the camera.

  Where the depth is not given it is the one at which the hand, with the size that its shape coefficients say, fills as
  much of the crop. Where it is given, the hand gets the size that fills as much of the crop there.

  Args:
    results: of `in_picture`.
    crop: `[B]`.
    intrinsics: `[B, 3, 3]`.
    root_depth_m: `[B]`, or None.

  Returns:
    `results` with 'joints_3d_m' and 'vertices_m' in the camera's frame.
  """
  fitted = 2. * cameras.focal_length(intrinsics) / (results['camera'][:, 4] * crop.side_px)
  depth = fitted if root_depth_m is None else root_depth_m
  growth = (depth / fitted)[:, None, None]
  root = cameras.unproject(results['joints_2d_px'][:, ROOT, None], depth[:, None], intrinsics)
  return {**results, **{name: results[name] * growth + root for name in ('joints_3d_m', 'vertices_m')}}
