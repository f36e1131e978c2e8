"""Strangers' encoded pictures in a graph: the header tells the size, and limits hold, before a pixel is decoded.

TensorFlow's decoders allocate what a header announces: a PNG of 64 kB can take 1.6 GB. Only formats whose decoded size
the header alone tells are taken: JPEG, PNG and BMP. A GIF is refused, since its decoder keeps every frame.
"""
from collections.abc import Callable

import gin
import tensorflow as tf

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError

FORMATS = 'JPEG, PNG or BMP'
OK, NO_PICTURE, TOO_LARGE, DAMAGED = range(4)  # of `decode_if_sound`
# PNG's IHDR and BMP's BITMAPINFOHEADER: the size stands at fixed places.
_HEADER_BYTES = 32
_PNG_START = b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR'
_PNG_WIDTH, _PNG_HEIGHT, _BMP_WIDTH, _BMP_HEIGHT = 16, 20, 18, 22


@gin.configurable(module='encoded_pictures')
def limits(max_bytes: int = 32 * 2**20, max_pixels: int = 50_000_000) -> tuple[int, int]:
  """Returns the longest file, in bytes, and the largest height x width that are decoded."""
  return max_bytes, max_pixels


def decode(encoded: tf.Tensor) -> tf.Tensor:
  """Decodes a JPEG, PNG or BMP within `limits`; an EXIF orientation is not applied.

  Args:
    encoded: the file, scalar string.

  Returns:
    uint8 `[H, W, 3]`.

  Raises:
    tf.errors.InvalidArgumentError: at run time: too long, too large, of another format, or damaged.
  """
  max_bytes, max_pixels = limits()
  length = tf.strings.length(encoded)
  short = tf.debugging.Assert(length <= max_bytes, [f'images: a picture may have at most {max_bytes} bytes; it has',
                                                    length])
  with tf.control_dependencies([short]):
    pixels = _pixels(tf.identity(encoded))
  sound = [tf.debugging.Assert(pixels > 0, [f'images: not a picture; send {FORMATS}.']),
           tf.debugging.Assert(pixels <= max_pixels, [
               f'images: a picture may have at most {max_pixels} pixels; its header announces', pixels])]
  with tf.control_dependencies(sound):
    return _decode(tf.identity(encoded))


def decode_if_sound(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Does the same as `decode`, and raises nothing.

  Returns:
    uint8 `[H, W, 3]`, one black pixel for a picture that cannot be had; and its status, scalar int32: `OK`,
    `NO_PICTURE` (of no format that is taken), `TOO_LARGE` (more bytes or pixels than the limits), or `DAMAGED`.
  """
  max_bytes, max_pixels = limits()
  black = tf.zeros([1, 1, 3], tf.uint8)
  short = tf.strings.length(encoded) <= max_bytes
  pixels = tf.cond(short, lambda: _if_possible(_pixels, encoded, tf.zeros([], tf.int64)),
                   lambda: tf.zeros([], tf.int64))
  fits = (pixels > 0) & (pixels <= max_pixels)
  picture = tf.cond(fits, lambda: _if_possible(_decode, encoded, black[:0]), lambda: black[:0])
  status = tf.where(~short | (pixels > max_pixels), TOO_LARGE, NO_PICTURE)
  status = tf.where(fits, tf.where(tf.size(picture) > 0, OK, DAMAGED), status)
  return tf.cond(tf.equal(status, OK), lambda: picture, lambda: black), status


def check(data: bytes, name: str) -> None:
  """Decodes a picture as training does, after a look at the size in its header.

  A PNG holds checksums, so any damage is found. A JPEG holds none: damage is found only where it leaves data that
  cannot be decoded; otherwise the decoder gives wrong colours and reports nothing.

  Args:
    data: the file.
    name: names the picture in errors.

  Raises:
    UserError: no picture, too large, or damaged.
  """
  image_files.read_image_size(data, name)
  try:
    _decode(tf.constant(data))
  except tf.errors.InvalidArgumentError as error:
    raise UserError(f'{name}: the picture is damaged or cut off; get a whole copy.') from error


def is_sound(data: bytes, may_be_empty: bool = False) -> bool:
  """Whether a picture can be decoded, see `check`, or is empty where it may be."""
  if not data:
    return may_be_empty
  try:
    check(data, 'picture')
  except UserError:
    return False
  return True


def _decode(encoded: tf.Tensor) -> tf.Tensor:
  """Decodes a picture of any size to uint8 `[H, W, 3]`."""
  return tf.ensure_shape(tf.io.decode_image(encoded, 3, expand_animations=False), [None, None, 3])


def _pixels(encoded: tf.Tensor) -> tf.Tensor:
  """Returns height x width as the header tells, scalar int64; 0 for what is no JPEG, PNG or BMP.

  Raises:
    tf.errors.InvalidArgumentError: at run time, if the header of a JPEG is damaged.
  """
  head = tf.strings.substr(encoded, 0, _HEADER_BYTES)
  filled = tf.strings.substr(tf.strings.join([head, tf.constant(b'\0' * _HEADER_BYTES)]), 0, _HEADER_BYTES)
  numbers = tf.ensure_shape(tf.cast(tf.io.decode_raw(filled, tf.uint8), tf.int64), [_HEADER_BYTES])
  is_png = tf.equal(tf.strings.substr(filled, 0, len(_PNG_START)), _PNG_START)
  is_bmp = tf.equal(tf.strings.substr(filled, 0, 2), b'BM')
  png = _number(numbers[_PNG_HEIGHT:][:4][::-1]) * _number(numbers[_PNG_WIDTH:][:4][::-1])
  # The height of a BMP is negative if its first row is the uppermost.
  bmp = tf.abs(_signed(numbers[_BMP_HEIGHT:][:4])) * tf.abs(_signed(numbers[_BMP_WIDTH:][:4]))
  return tf.cond(tf.equal(tf.strings.substr(filled, 0, 3), b'\xff\xd8\xff'), lambda: _jpeg_pixels(encoded),
                 lambda: tf.where(is_png, png, tf.where(is_bmp, bmp, 0)))


def _jpeg_pixels(encoded: tf.Tensor) -> tf.Tensor:
  """Returns height x width of a JPEG, which the decoder's own reader of headers finds."""
  return tf.reduce_prod(tf.image.extract_jpeg_shape(encoded, tf.int64)[:2])


def _number(numbers: tf.Tensor) -> tf.Tensor:
  """The number of four bytes `[4]` int64, the lowest first; at most 2^31, so that products are numbers of int64."""
  return tf.minimum(tf.reduce_sum(numbers * tf.constant([1, 2**8, 2**16, 2**24], tf.int64)), 2**31)


def _signed(numbers: tf.Tensor) -> tf.Tensor:
  """The same with a sign."""
  value = tf.reduce_sum(numbers * tf.constant([1, 2**8, 2**16, 2**24], tf.int64))
  return tf.where(value < 2**31, value, value - 2**32)


def _if_possible(function: Callable[[tf.Tensor], tf.Tensor], encoded: tf.Tensor, otherwise: tf.Tensor) -> tf.Tensor:
  """The value of a function, or `otherwise` where it raises: what a dataset ignores, the graph around it survives."""
  found = tf.data.Dataset.from_tensors(encoded).map(function).ignore_errors()
  # The first element is taken by an operation that runs the dataset as it is. A reduction would optimize its graph at
  # each call, which takes far longer than to decode a picture.
  return found.concatenate(tf.data.Dataset.from_tensors(otherwise)).take(1).get_single_element()
