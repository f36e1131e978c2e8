"""Converts a method's outputs from crop space to the picture and to metres; export and prediction share this code.

Methods see right hands only. If the crop was that of a left hand, x is mirrored back here. A mirrored mesh is inside
out, so the code that draws or writes it must reverse the order of each face's corners.
"""
from typing import Optional

import tensorflow as tf

from dhpe_tf.geometry import cameras, crops
from dhpe_tf.hand.skeletons import ROOT
from dhpe_tf.tasks.hand import outputs as hand_outputs

# Results of `in_picture`, if the method gives them; for documents that travel with a model.
DOCUMENTED = {
    'joints_2d_px': '[B, 21, 2] keypoints of the hand, pixels (x, y) of the picture, pixel centres at +0.5',
    'joints_3d_m': '[B, 21, 3] keypoints of the hand, metres, camera axes, relative to the root (middle MCP)',
    'vertices_px': '[B, V, 2] mesh, pixels (x, y) of the picture',
    'vertices_m': '[B, V, 3] mesh, metres, camera axes, relative to the root (middle MCP)',
    'mask': '[B, M, M] share of each cell of the crop that the mesh covers',
    'score': '[B] in 0..1, a measure of confidence: the probability that the crop shows a hand, times the mean '
             'confidence of the joints; or else the mean peak of the heat maps',
    'pose': '[B, 45] axis-angle of the right-hand model; of its mirror image for a left hand',
    'shape': '[B, 10] shape coefficients',
    'camera': '[B, 8] quaternion (w, x, y, z), crop units per metre, translation (crop units), of the right-hand model',
    'units_per_metre': '[B] scale: crop units per metre',
    'joint_confidence': '[B, 21] probability that a joint is seen near its true place; of models that tell',
    'misfit': '[B, 2] how badly the hand fits what was seen, before and after refinement; of models that measure it',
}
_UNCHANGED = ('score', 'pose', 'shape', 'camera', 'misfit', 'joint_confidence')


def served(outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  """Returns the outputs of an exported model as float32, with 'score'."""
  return add_score({name: tf.cast(outputs[name], tf.float32) for name in hand_outputs.SERVED if name in outputs})


def add_score(outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  """Adds 'score' `[B]`, as `DOCUMENTED`; 1 for methods that tell nothing."""
  if 'hand_presence' in outputs:
    score = outputs['hand_presence']
    if 'joint_confidence' in outputs:
      score *= tf.reduce_mean(outputs['joint_confidence'], axis=-1)
  elif 'heatmaps' in outputs:
    peaks = tf.reduce_max(outputs['heatmaps'], axis=[1, 2])
    score = tf.reduce_mean(tf.clip_by_value(peaks, 0., 1.), axis=-1)
  else:
    score = tf.ones_like(outputs['joints_3d'][:, 0, 0])
  return {**outputs, 'score': tf.cast(score, tf.float32)}


def in_picture(outputs: dict[str, tf.Tensor], crop: crops.Crop, is_left: tf.Tensor,
               turn: crops.Angle = 0.) -> dict[str, tf.Tensor]:
  """Converts outputs from the crop to the picture.

  With crop centre c and side g in pixels, scale s (crop units per metre), M = diag(-1, 1, 1) for mirrored crops, else
  the identity, and T the turn of the crop's content about the z axis, a point x `[3]` of crop space becomes

    pixel = c + (g / 2) (M T^-1 x')_xy,    P = M T^-1 (x - x_root) / s    (metres, relative to the root),

  x' being where x is seen: x itself, or its perspective image if the method gives a 'camera_distance'.

  Args:
    outputs: of the method for right-handed crops, see `outputs.OUTPUTS`, with 'score'.
    crop: `[B]` crops in the picture, before mirroring.
    is_left: `[B]` bool, whether the crop was mirrored.
    turn: `[B]` or scalar, radians by which the content of the (mirrored) crop was turned, see `view.cut`.

  Returns:
    Tensors as `DOCUMENTED`; the mask stays that of the unmirrored, turned crop.
  """
  turn = tf.broadcast_to(tf.convert_to_tensor(turn, tf.float32), tf.shape(is_left))

  def in_pixels(points: tf.Tensor) -> tf.Tensor:
    return to_pixels(points[..., :2], crop, is_left, turn)

  def in_metres(points: tf.Tensor) -> tf.Tensor:
    return _unturned(points - joints[:, ROOT, None], is_left, turn) / scale[:, None, None]

  joints, scale = outputs['joints_3d'], hand_outputs.units_per_metre(outputs)
  joints_2d = outputs['joints_2d'] if 'joints_2d' in outputs else joints
  result = {'joints_2d_px': in_pixels(joints_2d), 'joints_3d_m': in_metres(joints), 'units_per_metre': scale}
  if 'vertices' in outputs:
    result['vertices_px'] = in_pixels(hand_outputs.seen(outputs['vertices'], outputs))
    result['vertices_m'] = in_metres(outputs['vertices'])
  if 'mask' in outputs:
    mask = outputs['mask']
    result['mask'] = tf.where(is_left[:, None, None], tf.reverse(mask, [2]), mask)
  return {**{name: outputs[name] for name in _UNCHANGED if name in outputs}, **result}


def to_pixels(points: tf.Tensor, crop: crops.Crop, is_left: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
  """Takes points `[B, N, 2]` of the method's crop space to pixels of the picture; the arguments of `in_picture`."""
  return crops.from_crop(_unturned(points, is_left, turn), crop)


def from_pixels(points_px: tf.Tensor, crop: crops.Crop, is_left: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
  """Takes points `[B, N, 2]` from pixels of the picture to the method's crop space; the inverse of `to_pixels`."""
  return crops.turn(mirrored(crops.to_crop(points_px, crop), is_left), turn)


def _unturned(points: tf.Tensor, is_left: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
  """M T^-1 x of points `[B, N, 2 or 3]`, see `in_picture`."""
  return mirrored(crops.turn(points, -turn), is_left)


def mirrored(points: tf.Tensor, is_left: tf.Tensor) -> tf.Tensor:
  """Returns points `[B, N, 2 or 3]`, those of left hands (`[B]` bool) mirrored."""
  return tf.where(is_left[:, None, None], crops.mirror_points(points), points)


def place(results: dict[str, tf.Tensor], crop: crops.Crop, intrinsics: tf.Tensor,
          root_depth_m: Optional[tf.Tensor] = None) -> dict[str, tf.Tensor]:
  """Moves root-relative results to their place before the camera.

  Let Z_fit = (2 f / g) / s be the depth at which one crop unit spans 1 / s metres, that is, at which the hand keeps its
  own size. The root's depth Z is the given one or Z_fit. The hand is scaled by Z / Z_fit, so that it fills the same
  part of the crop:

    P' = (Z / Z_fit) P + Z K^-1 (pixel_root, 1).

  Args:
    results: of `in_picture`.
    crop: `[B]`.
    intrinsics: K `[B, 3, 3]` px.
    root_depth_m: Z `[B]` metres, or None.

  Returns:
    `results` with 'joints_3d_m' and 'vertices_m' in camera axes, metres.
  """
  fitted = cameras.depth_at_unit(1. / results['units_per_metre'], intrinsics, crop)
  depth = fitted if root_depth_m is None else root_depth_m
  growth = (depth / fitted)[:, None, None]
  root = cameras.unproject(results['joints_2d_px'][:, ROOT, None], depth[:, None], intrinsics)
  moved = {name: results[name] * growth + root for name in ('joints_3d_m', 'vertices_m') if name in results}
  return {**results, **moved}
