"""From a record to an instance: the crop of a right hand with its labels in crop space (paper section 3.3)."""
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf.data import augmentation
from dhpe_tf.data.contract import Entry
from dhpe_tf.finding import regions
from dhpe_tf.geometry import cameras, crops
from dhpe_tf.hand import hand_model, skeletons
from dhpe_tf.tasks.hand import view

_K = skeletons.NUM_KEYPOINTS

# The batch contract. Left hands are mirrored, picture and labels. A weight of 0 means that there is no label.
BATCH = {
    'image': Entry(('B', 'S', 'S', 3), 'float32', 'the crop, RGB in 0..1'),
    'mask': Entry(('B', 'S', 'S'), 'float32', 'share of each pixel that the hand covers, 0..1'),
    'mask_weight': Entry(('B',), 'float32', '1 where there is a mask'),
    'joints_2d': Entry(('B', _K, 2), 'float32', 'crop space, where the joints are seen'),
    'joints_2d_weight': Entry(('B', _K), 'float32', 'of joints_2d'),
    'joints_3d': Entry(('B', _K, 3), 'float32', 'crop space: x and y as joints_2d, z relative to the root'),
    'joints_z_weight': Entry(('B', _K), 'float32', 'of the z of joints_3d'),
    'joints_3d_m': Entry(('B', _K, 3), 'float32', 'metres, camera axes, turned as the crop is'),
    'joints_3d_weight': Entry(('B', _K), 'float32', 'of joints_3d_m'),
    'pose': Entry(('B', hand_model.NUM_POSE), 'float32', 'axis-angle about the flat hand, radians'),
    'shape': Entry(('B', hand_model.NUM_SHAPE), 'float32', 'shape coefficients'),
    'parameters_weight': Entry(('B',), 'float32', 'of pose and shape'),
    'crop_center_px': Entry(('B', 2), 'float32', 'in the picture, mirrored for left hands'),
    'crop_side_px': Entry(('B',), 'float32', 'in the picture'),
    'crop_turn': Entry(('B',), 'float32', 'radians by which the content of the crop was turned, see view.cut',
                       optional=True),
    'intrinsics': Entry(('B', 3, 3), 'float32', 'of the picture, px; zeros where they are not known'),
    'root_depth_m': Entry(('B',), 'float32', 'depth of the middle MCP; 0 where it is not known'),
    'is_left': Entry(('B',), 'bool', 'whether the record shows a left hand'),
    'visibility': Entry(('B', _K), 'float32', '1 where a labelled joint is seen', optional=True),
    'id': Entry(('B',), 'string', 'name of the picture', optional=True),
    'training_distance': Entry(('B', 4), 'float32', 'of bench/training_distance in the record', optional=True),
    'landmark_evidence': Entry(('B', _K, None), 'float32', 'what a network that is already trained sees of each joint; '
                               'made by data_tools.cache_evidence', optional=True),
}


def to_instance(record: dict, image_size: int, seed: Optional[tf.Tensor] = None, upright: bool = False) -> dict:
  """Makes one instance of a batch from a parsed record: mirrors left hands, augments, crops, converts the labels.

  Args:
    record: tensors by field name, see `record.FIELDS`.
    image_size: side of the crop, px.
    seed: `[2]` int64 of the augmentation, or None for none.
    upright: see `hand_crop`.

  Returns:
    Tensors by the names of `BATCH`, without the axis B.
  """
  is_left = tf.equal(record['hand/side'], 'left')
  width = tf.cast(record['image/width'], tf.float32)
  joints_px = _mirror_if(is_left, record['hand/joints_2d_px'], width)
  crop, turn = hand_crop(record, joints_px, is_left, upright)
  crop = _not_absurd(crop, record)
  crop, rotation, appearance_seed = _augmented(crop, seed)
  rotation += turn
  image, mask, has_mask = _pictures(record, crop, rotation, is_left, width, image_size)
  if appearance_seed is not None:
    image = augmentation.random_appearance(image, appearance_seed)
  valid_2d, valid_3d = record['hand/joints_2d_valid'], record['hand/joints_3d_valid']
  joints_2d = crops.to_crop(joints_px, crop, rotation)
  joints_3d_m = crops.turn(_mirror_if(is_left, record['hand/joints_3d_m'], 0.), rotation)
  intrinsics = _mirror_intrinsics(is_left, record['camera/intrinsics'], width)
  z, z_weight, root_depth_m = _crop_z(joints_2d, valid_2d, joints_3d_m, valid_3d, intrinsics, crop)
  return {
      'image': tf.ensure_shape(image, [image_size, image_size, 3]),
      'mask': tf.ensure_shape(mask, [image_size, image_size]), 'mask_weight': tf.cast(has_mask, tf.float32),
      'joints_2d': joints_2d, 'joints_2d_weight': valid_2d,
      'joints_3d': tf.concat([joints_2d, z[:, None]], axis=-1), 'joints_z_weight': z_weight,
      'joints_3d_m': joints_3d_m, 'joints_3d_weight': valid_3d,
      'pose': record['hand/pose'], 'shape': record['hand/shape'], 'parameters_weight': record['hand/has_parameters'],
      'crop_center_px': crop.center_px, 'crop_side_px': crop.side_px, 'crop_turn': rotation, 'intrinsics': intrinsics,
      'root_depth_m': root_depth_m, 'is_left': is_left, 'visibility': record['hand/visibility'] * valid_2d,
      'id': record['image/id'], 'training_distance': record['bench/training_distance'],
  }


def _not_absurd(crop: crops.Crop, record: dict) -> crops.Crop:
  """Returns the crop.

  Raises:
    tf.errors.InvalidArgumentError: at run time, if it is not finite or far larger than the picture; names the record.
  """
  size_px = tf.cast(tf.maximum(record['image/height'], record['image/width']), tf.float32)
  # Comparisons with NaN are false.
  fits = (crop.side_px <= view.MOST_OUTSIDE * size_px) & tf.reduce_all(tf.math.is_finite(crop.center_px))
  message = (f'hand/joints_2d_px or hand/box_px spans more than {view.MOST_OUTSIDE} times the picture, or is not '
             'finite; correct or remove the record')
  with tf.control_dependencies([tf.debugging.Assert(fits, [message, record['image/id'], crop.side_px])]):
    return crops.Crop(tf.identity(crop.center_px), tf.identity(crop.side_px))


def _augmented(crop: crops.Crop, seed: Optional[tf.Tensor]) -> tuple[crops.Crop, tf.Tensor, Optional[tf.Tensor]]:
  """Changes a crop at random, if there is a seed.

  Returns:
    The crop, its rotation `[]` in radians, and the seed of the colour changes or None.
  """
  if seed is None:
    return crop, tf.constant(0.), None
  view_seed, appearance_seed = augmentation.split_seed(seed, 2)
  return *augmentation.random_view(crop, view_seed), appearance_seed


def _pictures(record: dict, crop: crops.Crop, rotation: tf.Tensor, is_left: tf.Tensor, width_px: tf.Tensor,
              size: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Cuts the crop out of picture and mask.

  Args:
    record: tensors by field name.
    crop: the crop of the right-handed, that is for left hands the mirrored, picture.
    rotation: `[]` radians.
    is_left: `[]` bool.
    width_px: `[]` width of the picture.
    size: side S of the result, px.

  Returns:
    The picture `[S, S, 3]`, the mask `[S, S]`, both in 0..1, and whether there is a mask `[]`.
  """
  in_picture = crops.Crop(_mirror_if(is_left, crop.center_px[None], width_px)[0], crop.side_px)

  def cut(encoded: tf.Tensor, channels: int, fill: float) -> tf.Tensor:
    return view.cut_encoded(encoded, channels, in_picture, is_left, size, rotation, fill)

  has_mask = tf.strings.length(record['mask/encoded']) > 0
  mask = tf.cond(has_mask, lambda: cut(record['mask/encoded'], 1, 0.)[..., 0], lambda: tf.zeros([size, size]))
  return cut(record['image/encoded'], 3, 0.5), mask, has_mask


@gin.configurable(module='hand')
def depth_label_weights(intrinsics_known: tf.Tensor, with_camera: float = 1., without_camera: float = 0.3) -> tf.Tensor:
  """Returns the weight of a depth label; lower without a camera: the scale is fitted and labels are often predicted.

  Args:
    intrinsics_known: `[]` bool.
    with_camera: weight if the camera is known.
    without_camera: weight otherwise.
  """
  return tf.where(intrinsics_known, with_camera, without_camera)


def _crop_z(joints_2d: tf.Tensor, valid_2d: tf.Tensor, joints_3d_m: tf.Tensor, valid_3d: tf.Tensor,
            intrinsics: tf.Tensor, crop: crops.Crop) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Computes the depth of the joints in crop space, relative to the root (paper section 3.3).

    z_k = (Z_k - Z_root) / u,    u = Z_root (g / 2) / f,

  with crop side g and focal length f in pixels, so u is the length in metres of one crop unit at the root's depth.
  Without a camera, 1 / u is replaced by the scale that best fits the joints, seen straight on, to the 2D joints:

    1 / u = sqrt( sum_k |x_k - mean x|^2 / sum_k |X_k - mean X|^2 ),

  x `[K, 2]` in crop space, X `[K, 2]` in metres, over the joints labelled in both.

  Args:
    joints_2d: `[21, 2]` in crop space.
    valid_2d: `[21]`.
    joints_3d_m: `[21, 3]` metres.
    valid_3d: `[21]`.
    intrinsics: `[3, 3]` px, zeros if unknown.
    crop: the crop.

  Returns:
    z `[21]` in crop units, its weights `[21]`, and the root's depth `[]` in metres, 0 if unknown.
  """
  known = cameras.focal_length(intrinsics) > 0
  root = joints_3d_m[skeletons.ROOT]
  unit_m = cameras.metres_per_unit(root[2], intrinsics, crop)
  both = (valid_2d * valid_3d)[:, None]
  count = tf.maximum(tf.reduce_sum(both), 1.)

  def centred(points):
    """Subtracts the mean over the joints labelled in both 2D and 3D; other joints become zero. Points `[21, 2]`."""
    return (points - tf.reduce_sum(points * both, axis=0) / count) * both

  flat_m, flat_crop = centred(joints_3d_m[:, :2]), centred(joints_2d)
  fitted = tf.sqrt(tf.reduce_sum(flat_crop**2) / tf.maximum(tf.reduce_sum(flat_m**2), 1e-12))
  per_metre = tf.where(known, tf.math.divide_no_nan(1., unit_m), fitted)
  z = (joints_3d_m[:, 2] - root[2]) * per_metre
  # Depths are relative to the root, so without its label none counts.
  weight = valid_3d * valid_3d[skeletons.ROOT] * depth_label_weights(known)
  return tf.where(weight > 0, z, 0.), weight, tf.where(known, root[2] * valid_3d[skeletons.ROOT], 0.)


@gin.configurable(module='hand', denylist=['record', 'joints_px', 'is_left', 'upright'])
def hand_crop(record: dict, joints_px: tf.Tensor, is_left: tf.Tensor, upright: bool,
              box_margin: float = 1.2) -> tuple[crops.Crop, tf.Tensor]:
  """Returns the square around a hand: its joints; with fewer than two joints its box; without a box the whole picture.

  Args:
    record: tensors by field name.
    joints_px: `[21, 2]` in the right-handed picture.
    is_left: whether that is the mirrored picture.
    upright: whether a hand whose joints are all known is turned to point up, in the square of `finding.regions`, as
      networks like it that see hands as `finding` cuts them.
    box_margin: side of the crop divided by the longer side of the box.

  Returns:
    The crop in the right-handed picture, and its turn `[]` in radians.
  """
  valid = record['hand/joints_2d_valid']
  by_joints, by_box = crops.crop_from_joints(joints_px, valid), _box_crop(record, is_left, box_margin)
  crop = _either(tf.reduce_sum(tf.cast(valid > 0, tf.float32)) >= 2, by_joints, by_box)
  if not upright:
    return crop, tf.constant(0.)
  region, known = regions.from_joints(joints_px[None]), tf.reduce_all(valid > 0)
  turned = crops.Crop(region.crop.center_px[0], region.crop.side_px[0])
  return _either(known, turned, crop), tf.where(known, region.turn[0], 0.)


def _box_crop(record: dict, is_left: tf.Tensor, margin: float) -> crops.Crop:
  """The square around a record's box, or without a box around the whole picture, in the right-handed picture."""
  height, width = (tf.cast(record[f'image/{side}'], tf.float32) for side in ('height', 'width'))
  box = record['hand/box_px']
  by_box, whole = crops.crop_from_box(box, margin), crops.crop_from_box(tf.stack([0., 0., width, height]))
  crop = _either(box[2] > 0, by_box, whole)
  return crop._replace(center_px=_mirror_if(is_left, crop.center_px[None], width)[0])


def _either(first_counts: tf.Tensor, first: crops.Crop, second: crops.Crop) -> crops.Crop:
  """One of two crops."""
  return crops.Crop(*(tf.where(first_counts, one, other) for one, other in zip(first, second)))


def _mirror_if(is_left: tf.Tensor, points: tf.Tensor, width_px) -> tf.Tensor:
  """Mirrors points `[N, 2 or 3]` if the hand is a left one: x -> width_px - x."""
  return tf.where(is_left, crops.mirror_points(points, width_px), points)


def _mirror_intrinsics(is_left: tf.Tensor, intrinsics: tf.Tensor, width_px: tf.Tensor) -> tf.Tensor:
  """Returns the camera of the mirrored picture: c_x -> width - c_x, unless it is unknown or the hand is a right one."""
  known = intrinsics[0, 0] > 0
  shift = tf.where(is_left & known, width_px - 2 * intrinsics[0, 2], 0.)
  return intrinsics + shift * tf.constant([[0., 0., 1.], [0., 0., 0.], [0., 0., 0.]])
