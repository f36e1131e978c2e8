"""From a picture to the crop of a right hand that models see: one way for training data, predict and the served graph.

Models see right hands only. The square around a left hand is cut out as it lies in the picture and then mirrored.
"""
import math

import tensorflow as tf

from dhpe_tf.geometry import crops


def cut(picture: tf.Tensor, crop: crops.Crop, is_left: tf.Tensor, size: int, rotation: crops.Angle = 0.,
        fill: float = 0.5) -> tf.Tensor:
  """Cuts the crop of a hand out of a picture and mirrors it if it shows a left hand.

  Args:
    picture: `[H, W, C]` or `[B, H, W, C]`; integer types come out in 0..1.
    crop: the square as it lies in the picture, unbatched or `[B]` like the picture.
    is_left: bool, scalar or `[B]`.
    size: side S of the result, px.
    rotation: by which the right-handed crop turns (see `crops.to_crop`), scalar or `[B]`.
    fill: the value outside the picture.

  Returns:
    `[S, S, C]` or `[B, S, S, C]` float32.
  """
  # What is mirrored afterwards has to turn the other way before.
  rotation = tf.where(is_left, -1., 1.) * rotation
  result = crops.extract(picture, crop, size, rotation, fill)
  return tf.where(is_left[..., None, None, None], crops.mirror_image(result), result)


def cut_encoded(encoded: tf.Tensor, channels: int, crop: crops.Crop, is_left: tf.Tensor, size: int,
                rotation: crops.Angle = 0., fill: float = 0.5) -> tf.Tensor:
  """`cut` from an encoded picture, scalar string; a JPEG much larger than the crop is decoded at reduced size."""
  picture, ratio = _decode(encoded, channels, crop.side_px / size)
  reduced = crops.Crop(crop.center_px / ratio, crop.side_px / ratio)
  return cut(picture, reduced, is_left, size, rotation, fill)


def decode(encoded: tf.Tensor, channels: int) -> tf.Tensor:
  """Decodes a JPEG, PNG, BMP or GIF file to uint8 `[H, W, channels]`; of a GIF the first frame."""
  return tf.ensure_shape(tf.io.decode_image(encoded, channels, expand_animations=False), [None, None, channels])


def box_or_whole(box_xywh: tf.Tensor, height_width: tf.Tensor) -> tf.Tensor:
  """The box `[4]`, or that of the whole picture `[2]` where its width or height is not above zero."""
  height, width = tf.unstack(tf.cast(height_width, tf.float32))
  return tf.where(tf.reduce_all(box_xywh[2:] > 0.), box_xywh, tf.stack([0., 0., width, height]))


def _decode(encoded: tf.Tensor, channels: int, shrink: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Decodes a picture; a JPEG that will shrink by 2, 4 or 8 anyway is decoded at that part of its size, much faster.

  Returns:
    uint8 `[h, w, channels]`, and by how much it is smaller than the file.
  """
  power = tf.where(tf.io.is_jpeg(encoded), tf.cast(tf.math.log(tf.maximum(shrink, 1.)) / math.log(2.), tf.int32), 0)
  power = tf.clip_by_value(power, 0, 3)
  parts = [lambda ratio=2**i: tf.io.decode_jpeg(encoded, channels, ratio=ratio) for i in (1, 2, 3)]
  return tf.switch_case(power, [lambda: decode(encoded, channels), *parts]), tf.cast(2**power, tf.float32)
