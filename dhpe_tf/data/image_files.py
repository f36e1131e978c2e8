"""Reading photographs safely: the size in the header is checked before any pixel is decoded."""
import io
import os
import warnings
from typing import Union

import gin
import numpy as np
from PIL import Image, ImageOps

from dhpe_tf import files
from dhpe_tf.errors import UserError, brief

FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF')
EXTENSIONS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif')

_EXIF_ORIENTATION = 0x0112
# EXIF orientations 5 to 8 turn the picture by 90 degrees, which exchanges height and width.
_QUARTER_TURNS = (5, 6, 7, 8)


class TooLargeError(UserError):
  """A picture with more pixels or bytes than its reader takes."""


def read_image_size(data: bytes, name: str = 'image', max_pixels: int = 50_000_000) -> tuple[int, int]:
  """Reads an image's size from its header alone.

  Args:
    data: the encoded file.
    name: names the image in errors, for example its path.
    max_pixels: largest height x width accepted; a decoded picture takes 3 bytes a pixel.

  Returns:
    (height, width) in pixels after the EXIF orientation is applied.

  Raises:
    UserError: not an image of a known format, or, a TooLargeError, larger than `max_pixels`.
  """
  with _open(data, name, max_pixels) as image:
    width, height = image.size
    # Calls the base class's method, because that of PNG files decodes the pixels to look for a block after them.
    turned = Image.Image.getexif(image).get(_EXIF_ORIENTATION) in _QUARTER_TURNS
  return (width, height) if turned else (height, width)


def check_sums(data: bytes, name: str = 'image', max_pixels: int = 50_000_000) -> None:
  """Compares the checksums that a PNG file holds with its content, which takes far less time than to decode it.

  Args:
    data: the encoded file; JPEG files hold no checksums and pass.
    name: names the picture in errors.
    max_pixels: largest height x width accepted.

  Raises:
    UserError: not an image, larger than `max_pixels`, damaged or cut off.
  """
  with _open(data, name, max_pixels) as image:
    try:
      image.verify()
    except Exception as error:
      raise UserError(_damaged(name, error)) from error


@gin.configurable(module='image_files')
def decode_image(data: bytes, name: str = 'image', max_pixels: int = 50_000_000) -> np.ndarray:
  """Decodes a picture to upright RGB after checking the size in its header.

  Grey and palette pictures become RGB. Transparency is dropped, as TensorFlow's own decoder does. 16-bit grey is scaled
  to 8 bits.

  Args:
    data: the encoded file.
    name: names the picture in errors, for example its path.
    max_pixels: largest height x width accepted.

  Returns:
    uint8 [H, W, 3].

  Raises:
    UserError: not an image, larger than `max_pixels`, or cut off.
  """
  with _open(data, name, max_pixels) as image:
    try:
      upright = ImageOps.exif_transpose(image)
      if upright.mode.startswith('I'):
        upright = Image.fromarray((np.asarray(upright, np.uint32) >> 8).astype(np.uint8))
      return np.array(upright.convert('RGB'), np.uint8)
    except Exception as error:
      raise UserError(_damaged(name, error)) from error


def read_image(path: Union[str, 'os.PathLike[str]']) -> np.ndarray:
  """Reads a picture file as upright RGB, uint8 [H, W, 3]; see `decode_image`.

  Raises:
    UserError: the file is missing, unreadable or not a picture.
  """
  return decode_image(read_bytes(path), os.fspath(path))


def read_upright(path: Union[str, 'os.PathLike[str]']) -> tuple[bytes, int, int]:
  """Reads a picture file in a form that TensorFlow decodes upright: its decoder takes PNG and JPEG and ignores EXIF.

  Returns:
    (data, height, width). `data` holds the bytes of the file if it is an upright PNG or JPEG, or else those of a PNG
    made from it; the size is in pixels.

  Raises:
    UserError: the file is missing, unreadable, not a picture or cut off.
  """
  data = read_bytes(path)
  pixels = decode_image(data, os.fspath(path))
  with Image.open(io.BytesIO(data)) as image:
    plain = image.format in ('JPEG', 'PNG') and Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1) == 1
  return data if plain else encode(pixels, 'PNG', compress_level=3), *pixels.shape[:2]


def encode(picture: np.ndarray, kind: str, **options) -> bytes:
  """Encodes a picture.

  Args:
    picture: uint8 [H, W] or [H, W, 3].
    kind: 'JPEG' or 'PNG'.
    **options: of Pillow's writer: `quality` of a JPEG, `compress_level` of a PNG.

  Returns:
    The bytes of the file.
  """
  file = io.BytesIO()
  Image.fromarray(np.ascontiguousarray(picture)).save(file, kind, **options)
  return file.getvalue()


def read_bytes(path: Union[str, 'os.PathLike[str]'], max_bytes: int = 256 * 2**20) -> bytes:
  """Reads a whole file of at most `max_bytes`.

  Raises:
    UserError: the file is missing, unreadable, no plain file or too long.
  """
  if os.path.isfile(path) and os.path.getsize(path) > max_bytes:
    raise UserError(f'{path}: longer than {max_bytes >> 20} MiB, too long for a picture; name a picture file.')
  return files.read_within(path, max_bytes)


def _open(data: bytes, name: str, max_pixels: int) -> Image.Image:
  """Opens an encoded picture and checks its size; raises a UserError if it is no picture or too large."""
  try:
    with warnings.catch_warnings():
      # Pillow warns at a size limit of its own; ours is checked below.
      warnings.simplefilter('ignore', Image.DecompressionBombWarning)
      image = Image.open(io.BytesIO(data), formats=FORMATS)
  except Image.DecompressionBombError as error:
    raise TooLargeError(_too_large(name, 'over 178 million', max_pixels)) from error
  except Exception as error:
    raise UserError(f'{name}: not a picture in a format that can be read ({", ".join(FORMATS)}).') from error
  width, height = image.size
  if width * height > max_pixels:
    raise TooLargeError(_too_large(name, f'{width} x {height}', max_pixels))
  return image


def _damaged(name: str, error: Exception) -> str:
  """Error text for a picture that cannot be decoded."""
  return f'{name}: the picture is damaged or cut off ({brief(error)}); get a whole copy.'


def _too_large(name: str, size: str, max_pixels: int) -> str:
  """Error text for a picture whose header states too many pixels."""
  return (f'{name}: its header announces {size} pixels, the limit is {max_pixels}; '
          'scale it down, or raise image_files.decode_image.max_pixels by --gin_param where a command has that flag.')
