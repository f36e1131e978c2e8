"""Cuts the crop of a right hand out of a picture: the same way in training, in predict and in the served graph.

Models see right hands only. The square around a left hand is cut out of the unmirrored picture and then mirrored.
"""
import math

import tensorflow as tf

from dhpe_tf.geometry import crops

MOST_OUTSIDE = 20  # largest side of a box over the picture's


def cut(picture: tf.Tensor, crop: crops.Crop, is_left: tf.Tensor, size: int, rotation: crops.Angle = 0.,
        fill: float = 0.5) -> tf.Tensor:
  """Cuts the crop of a hand out of a picture and mirrors it if the hand is a left one.

    right hand: extract(picture, crop, rotation)
    left hand:  mirror(extract(picture, crop, -rotation))

  A mirrored turn has the opposite sense, so both turn the content of the result by `rotation`.

  Args:
    picture: `[H, W, C]` or `[B, H, W, C]`; integer types are scaled to 0..1.
    crop: the square in the unmirrored picture, unbatched or `[B]` like the picture.
    is_left: bool, scalar or `[B]`.
    size: side S of the result, px.
    rotation: radians by which the content of the result turns (see `crops.to_crop`), scalar or `[B]`.
    fill: the value outside the picture.

  Returns:
    `[S, S, C]` or `[B, S, S, C]` float32.
  """
  # -rotation for left hands, because the result is mirrored afterwards.
  rotation = tf.where(is_left, -1., 1.) * rotation
  result = crops.extract(picture, crop, size, rotation, fill)
  return tf.where(is_left[..., None, None, None], crops.mirror_image(result), result)


def cut_each(picture: tf.Tensor, crop: crops.Crop, is_left: tf.Tensor, rotation: tf.Tensor, size: int) -> tf.Tensor:
  """Does the same as `cut` for N hands of one picture `[H, W, C]`, one after the other: `[N, S, S, C]`, N may be 0.

  Args:
    picture: `[H, W, C]`.
    crop: `[N]`.
    is_left: `[N]` bool.
    rotation: `[N]` radians.
    size: side S of the results, px.
  """
  return tf.map_fn(
      lambda hand: cut(picture, crops.Crop(hand[0], hand[1]), hand[2], size, hand[3]), (*crop, is_left, rotation),
      fn_output_signature=tf.TensorSpec([size, size, picture.shape[-1]], tf.float32))


def cut_encoded(encoded: tf.Tensor, channels: int, crop: crops.Crop, is_left: tf.Tensor, size: int,
                rotation: crops.Angle = 0., fill: float = 0.5) -> tf.Tensor:
  """Does the same as `cut` for an encoded picture, scalar string; a much larger JPEG is decoded at reduced size.

  If the picture is decoded at 1 / r of its size, the crop (centre c, side g) becomes (c / r, g / r).
  """
  picture, ratio = _decode(encoded, channels, crop.side_px / size)
  reduced = crops.Crop(crop.center_px / ratio, crop.side_px / ratio)
  return cut(picture, reduced, is_left, size, rotation, fill)


def decode(encoded: tf.Tensor, channels: int) -> tf.Tensor:
  """Decodes a JPEG, PNG, BMP or GIF file to uint8 `[H, W, channels]`; a GIF gives its first frame."""
  return tf.ensure_shape(tf.io.decode_image(encoded, channels, expand_animations=False), [None, None, channels])


def box_or_whole(box_xywh: tf.Tensor, height_width: tf.Tensor) -> tf.Tensor:
  """Returns the box `[4]`, or the box of the whole picture if its width or height is not above zero.

  Args:
    box_xywh: `[4]` left, top, width, height, px.
    height_width: `[2]` size of the picture, px.
  """
  height, width = tf.unstack(tf.cast(height_width, tf.float32))
  return tf.where(tf.reduce_all(box_xywh[2:] > 0.), box_xywh, tf.stack([0., 0., width, height]))


def box_fits(box_xywh: tf.Tensor, height_width: tf.Tensor) -> tf.Tensor:
  """Whether a box `[4]` is finite, shares a pixel with a picture and is at most `MOST_OUTSIDE` times as large.

  Args:
    box_xywh: `[4]` left, top, width, height, px; a box without width or height fits, see `box_or_whole`.
    height_width: `[2]` size of the picture, px.

  Returns:
    Scalar bool.
  """
  size = tf.cast(height_width, tf.float32)[::-1]
  low, extent = box_xywh[:2], box_xywh[2:]
  inside = tf.reduce_all((low < size) & (low + extent > 0.))
  close = tf.reduce_max(extent) <= MOST_OUTSIDE * tf.reduce_max(size)
  finite = tf.reduce_all(tf.math.is_finite(box_xywh))
  return finite & tf.reduce_all(extent >= 0.) & ((inside & close) | tf.reduce_any(tf.equal(extent, 0.)))


def _decode(encoded: tf.Tensor, channels: int, shrink: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Decodes a picture, and a JPEG that will shrink anyway at 1 / r of its size, which is much faster.

    r = 2^clip(floor(log2(shrink)), 0, 3), or 1 for other formats.

  Args:
    encoded: the file, scalar string.
    channels: of the result.
    shrink: `[]` picture pixels per pixel of the crop.

  Returns:
    uint8 `[h, w, channels]`, and r.
  """
  power = tf.where(tf.io.is_jpeg(encoded), tf.cast(tf.math.log(tf.maximum(shrink, 1.)) / math.log(2.), tf.int32), 0)
  power = tf.clip_by_value(power, 0, 3)
  parts = [lambda ratio=2**i: tf.io.decode_jpeg(encoded, channels, ratio=ratio) for i in (1, 2, 3)]
  return tf.switch_case(power, [lambda: decode(encoded, channels), *parts]), tf.cast(2**power, tf.float32)
