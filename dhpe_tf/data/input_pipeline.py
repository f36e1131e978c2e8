"""From records to batches: crops of right hands with their labels in crop space.

What a batch holds (B instances, S the image side in pixels; left hands are mirrored, picture and labels):

  image [B, S, S, 3] 0..1; mask [B, S, S] 0..1 with mask_weight [B];
  joints_2d [B, 21, 2] crop space, joints_2d_weight [B, 21];
  joints_3d [B, 21, 3] crop space, x and y as joints_2d, z relative to the root, joints_z_weight [B, 21];
  joints_3d_m [B, 21, 3] camera axes (turned as the picture is), joints_3d_weight [B, 21];
  pose [B, 45], shape [B, 10], parameters_weight [B];
  crop_center_px [B, 2], crop_side_px [B], intrinsics [B, 3, 3], root_depth_m [B] (0 where unknown), is_left [B] bool,
  id [B] string.
"""
import functools
import math
import os
from collections.abc import Sequence

import gin
import tensorflow as tf

from dhpe_tf.data import augmentation, first_keypoint, tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.geometry import crops
from dhpe_tf.hand import skeletons

Source = tuple[str, str, float]  # root, split, weight in the mixture


@gin.configurable(module='dhpe_tf')
def build_dataset(sources: Sequence[Source] = gin.REQUIRED, batch_size: int = 32, image_size: int = 224,
                  training: bool = True, seed: int = 0, epoch: int = 0, shuffle_buffer: int = 2048,
                  augment: bool = True, skip_batches: int = 0, how_to_make: str = '') -> tf.data.Dataset:
  """Batches of one epoch; the same ones for the same arguments.

  Args:
    sources: record sets as (root, split, weight). In training they are mixed without end by their weights; otherwise
      they follow one another, each once, the last batch smaller.
    batch_size: of all replicas together.
    image_size: side S of the crops, px.
    training: shuffle, repeat and augment.
    seed: of order and augmentation.
    epoch: each has its own order and augmentation.
    shuffle_buffer: records to choose from, a source.
    augment: whether training changes views and colours.
    skip_batches: leave out so many at the start, without decoding them: where a training that was cut off goes on.
    how_to_make: the remedy to name when a record set is not there; a general one by default.

  Returns:
    The dataset of the dict above.

  Raises:
    UserError: no source, a record set that is missing or does not fit, a weight that is not above zero.
  """
  if not sources:
    raise UserError('build_dataset.sources is empty; name at least one (root, split, weight)')
  for root, split, weight in sources:
    if weight <= 0:
      raise UserError(f'build_dataset.sources: weight {weight} of {root} {split} is not above zero')
    if how_to_make and not os.path.isdir(root):
      raise UserError(f'no record set {root}: {how_to_make}')
  if training:
    parts = [_endless(root, split, _mix(seed, epoch, i), shuffle_buffer) for i, (root, split, _) in enumerate(sources)]
    weights = [float(weight) for _, _, weight in sources]
    records = tf.data.Dataset.sample_from_datasets(
        parts, [weight / sum(weights) for weight in weights], seed=_mix(seed, epoch, -1))
  else:
    parts = [_parsed(root, tfrecords.read_serialized(root, split)) for root, split, _ in sources]
    records = functools.reduce(tf.data.Dataset.concatenate, parts)
  changed = training and augment

  @tf.autograph.experimental.do_not_convert  # There is nothing to convert, and finding that out takes seconds an epoch.
  def instance(number: tf.Tensor, record: dict) -> dict:
    place = tf.stack([tf.cast(_mix(seed, epoch, 0), tf.int64), number]) if changed else None
    return to_instance(record, image_size, place)

  batches = records.enumerate().skip(skip_batches * batch_size).map(
      instance, tf.data.AUTOTUNE, deterministic=True).batch(batch_size, drop_remainder=training).prefetch(2)
  options = tf.data.Options()
  # Each worker takes its part of every batch. By files, workers would see other batches than one machine does.
  options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
  return batches.with_options(options)


def _endless(root: str, split: str, seed: int, shuffle_buffer: int) -> tf.data.Dataset:
  """The parsed records of a split in random order, over and over."""
  records = tfrecords.read_serialized(root, split, seed)
  return _parsed(root, records.shuffle(shuffle_buffer, seed=seed).repeat())


def _parsed(root: str, serialized: tf.data.Dataset) -> tf.data.Dataset:
  """Parsed records, with the wrist as keypoint 0."""
  spec, palm = tfrecords.parse_spec(root), first_keypoint.of_record_set(root) == 'palm'

  @tf.autograph.experimental.do_not_convert
  def parse(text: tf.Tensor) -> dict:
    record = tf.io.parse_single_example(text, spec)
    return first_keypoint.palm_to_wrist(record) if palm else record

  return serialized.map(parse, tf.data.AUTOTUNE, deterministic=True)


def _mix(seed: int, epoch: int, source: int) -> int:
  """One number of three, different for neighbours."""
  return (seed * 1_000_003 + epoch * 7_919 + source * 104_729 + 12_345) % (2**31 - 1)


def to_instance(record: dict, image_size: int, seed: 'tf.Tensor | None' = None) -> dict:
  """One instance of a batch from a parsed record.

  Args:
    record: tensors by field name, see `example_schema.FIELDS`.
    image_size: side of the crop in pixels.
    seed: `[2]` int64 for augmentation, or None for none.
  """
  is_left = tf.equal(record['hand/side'], 'left')
  width = tf.cast(record['image/width'], tf.float32)
  sign = tf.where(is_left, -1., 1.)
  joints_px = _mirror_if(is_left, record['hand/joints_2d_px'], width)
  valid_2d, valid_3d = record['hand/joints_2d_valid'], record['hand/joints_3d_valid']
  crop = _crop(record, joints_px, is_left)
  if seed is None:
    view = augmentation.View(crop, tf.constant(0.))
  else:
    view_seed, appearance_seed = augmentation.split_seed(seed, 2)
    view = augmentation.random_view(crop, view_seed)
  crop, rotation = view

  # The picture is cut before it is mirrored: the square as it lies in the picture, turned the other way.
  in_picture = crops.Crop(_mirror_if(is_left, crop.center_px[None], width)[0], crop.side_px)

  def cut(encoded: tf.Tensor, channels: int, fill: float) -> tf.Tensor:
    picture, ratio = _decode(encoded, channels, in_picture.side_px / image_size)
    reduced = crops.Crop(in_picture.center_px / ratio, in_picture.side_px / ratio)
    result = crops.extract(picture, reduced, image_size, sign * rotation, fill)
    return tf.where(is_left, tf.reverse(result, [1]), result)

  image = cut(record['image/encoded'], 3, 0.5)
  if seed is not None:
    image = augmentation.random_appearance(image, appearance_seed)
  has_mask = tf.strings.length(record['mask/encoded']) > 0
  mask = tf.cond(has_mask, lambda: cut(record['mask/encoded'], 1, 0.)[..., 0],
                 lambda: tf.zeros([image_size, image_size]))

  joints_2d = crops.to_crop(joints_px, crop, rotation)
  joints_3d_m = crops.turn(_mirror_if(is_left, record['hand/joints_3d_m'], 0.), rotation)
  intrinsics = _mirror_intrinsics(is_left, record['camera/intrinsics'], width)
  z, z_weight, root_depth_m = _crop_z(joints_2d, valid_2d, joints_3d_m, valid_3d, intrinsics, crop.side_px)
  return {
      'image': tf.ensure_shape(image, [image_size, image_size, 3]),
      'mask': tf.ensure_shape(mask, [image_size, image_size]), 'mask_weight': tf.cast(has_mask, tf.float32),
      'joints_2d': joints_2d, 'joints_2d_weight': valid_2d,
      'joints_3d': tf.concat([joints_2d, z[:, None]], axis=-1), 'joints_z_weight': z_weight,
      'joints_3d_m': joints_3d_m, 'joints_3d_weight': valid_3d,
      'pose': record['hand/pose'], 'shape': record['hand/shape'], 'parameters_weight': record['hand/has_parameters'],
      'crop_center_px': crop.center_px, 'crop_side_px': crop.side_px, 'intrinsics': intrinsics,
      'root_depth_m': root_depth_m, 'is_left': is_left, 'visibility': record['hand/visibility'] * valid_2d,
      'id': record['image/id'],
  }


def _decode(encoded: tf.Tensor, channels: int, shrink: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Decodes a picture; a JPEG that will shrink by 2, 4 or 8 anyway is decoded at that part of its size, much faster.

  Returns:
    uint8 `[h, w, channels]`, and by how much it is smaller than the file.
  """
  def whole() -> tf.Tensor:
    return tf.ensure_shape(tf.io.decode_image(encoded, channels, expand_animations=False), [None, None, channels])

  power = tf.where(tf.io.is_jpeg(encoded), tf.cast(tf.math.log(tf.maximum(shrink, 1.)) / math.log(2.), tf.int32), 0)
  power = tf.clip_by_value(power, 0, 3)
  parts = [lambda ratio=2**i: tf.io.decode_jpeg(encoded, channels, ratio=ratio) for i in (1, 2, 3)]
  return tf.switch_case(power, [whole, *parts]), tf.cast(2**power, tf.float32)


@gin.configurable(module='dhpe_tf')
def depth_label_weights(intrinsics_known: tf.Tensor, with_camera: float = 1., without_camera: float = 0.3) -> tf.Tensor:
  """How much a depth label counts: less without a camera, where its scale is fitted and its maker often a network."""
  return tf.where(intrinsics_known, with_camera, without_camera)


def _crop_z(joints_2d, valid_2d, joints_3d_m, valid_3d, intrinsics, side_px):
  """Depth of the joints in crop space relative to the root (paper section 3.3), its weights, and the root's depth.

  With a camera one unit is half the crop's side at the depth of the root. Without one the metric joints are scaled onto
  the 2D joints, seen straight on.
  """
  focal = (intrinsics[0, 0] + intrinsics[1, 1]) / 2
  known = focal > 0
  root = joints_3d_m[skeletons.ROOT]
  unit_m = root[2] * side_px / 2 / tf.where(known, focal, 1.)
  both = (valid_2d * valid_3d)[:, None]
  count = tf.maximum(tf.reduce_sum(both), 1.)

  def centred(points):
    return (points - tf.reduce_sum(points * both, axis=0) / count) * both

  flat_m, flat_crop = centred(joints_3d_m[:, :2]), centred(joints_2d)
  fitted = tf.sqrt(tf.reduce_sum(flat_crop**2) / tf.maximum(tf.reduce_sum(flat_m**2), 1e-12))
  per_metre = tf.where(known, tf.math.divide_no_nan(1., unit_m), fitted)
  z = (joints_3d_m[:, 2] - root[2]) * per_metre
  # Without the root's label no depth is relative to it.
  weight = valid_3d * valid_3d[skeletons.ROOT] * depth_label_weights(known)
  return tf.where(weight > 0, z, 0.), weight, tf.where(known, root[2] * valid_3d[skeletons.ROOT], 0.)


@gin.configurable('crop', module='dhpe_tf', denylist=['record', 'joints_px', 'is_left'])
def _crop(record: dict, joints_px: tf.Tensor, is_left: tf.Tensor, box_margin: float = 1.2) -> crops.Crop:
  """The square about the joints; with fewer than two of them about the hand's box, or else the whole picture."""
  by_joints = crops.crop_from_joints(joints_px, record['hand/joints_2d_valid'])
  height, width = (tf.cast(record[f'image/{side}'], tf.float32) for side in ('height', 'width'))
  box = record['hand/box_px']
  by_box, whole = crops.crop_from_box(box, box_margin), crops.crop_from_box(tf.stack([0., 0., width, height]))
  side_px = tf.where(box[2] > 0, by_box.side_px, whole.side_px)
  center_px = _mirror_if(is_left, tf.where(box[2] > 0, by_box.center_px, whole.center_px)[None], width)[0]
  enough = tf.reduce_sum(tf.cast(record['hand/joints_2d_valid'] > 0, tf.float32)) >= 2
  return crops.Crop(tf.where(enough, by_joints.center_px, center_px), tf.where(enough, by_joints.side_px, side_px))


def _mirror_if(is_left: tf.Tensor, points: tf.Tensor, width_px) -> tf.Tensor:
  """Points `[N, 2 or 3]`, mirrored if the hand is a left one."""
  return tf.where(is_left, crops.mirror_points(points, width_px), points)


def _mirror_intrinsics(is_left: tf.Tensor, intrinsics: tf.Tensor, width_px: tf.Tensor) -> tf.Tensor:
  """The camera of the mirrored picture: its principal point moves to the other side."""
  known = intrinsics[0, 0] > 0
  shift = tf.where(is_left & known, width_px - 2 * intrinsics[0, 2], 0.)
  return intrinsics + shift * tf.constant([[0., 0., 1.], [0., 0., 0.], [0., 0., 0.]])
