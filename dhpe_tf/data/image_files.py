"""Reading photographs safely: the header is judged before a single pixel is decoded."""
import io
import os
import warnings
from typing import Union

import gin
import numpy as np
from PIL import Image, ImageOps

from dhpe_tf.errors import UserError

FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF')
EXTENSIONS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif')

_EXIF_ORIENTATION = 0x0112
# Orientations 5 to 8 turn the picture by a quarter, so that its height and width change places.
_QUARTER_TURNS = (5, 6, 7, 8)


def read_image_size(data: bytes, name: str = 'image', max_pixels: int = 50_000_000) -> tuple[int, int]:
  """Reads an image's size from its header alone.

  Args:
    data: the encoded file.
    name: what error messages call it (a path).
    max_pixels: the largest height x width accepted; decoded pictures take 3 bytes a pixel.

  Returns:
    (height, width) in pixels as the picture is to be seen, its EXIF orientation applied.

  Raises:
    UserError: not an image of a known format, or larger than `max_pixels`.
  """
  with _open(data, name, max_pixels) as image:
    width, height = image.size
    # The base method: that of PNG files would decode the pixels to look for a block behind them.
    turned = Image.Image.getexif(image).get(_EXIF_ORIENTATION) in _QUARTER_TURNS
  return (width, height) if turned else (height, width)


@gin.configurable(module='image_files')
def decode_image(data: bytes, name: str = 'image', max_pixels: int = 50_000_000) -> np.ndarray:
  """Decodes a picture to RGB, upright, after judging its header.

  Grey and palette pictures become RGB; transparency is dropped, as TensorFlow's own decoder does; 16-bit grey is scaled
  to 8 bits.

  Args:
    data: the encoded file.
    name: what error messages call it (a path).
    max_pixels: the largest height x width accepted.

  Returns:
    uint8 [H, W, 3].

  Raises:
    UserError: not an image, larger than `max_pixels`, or broken off.
  """
  with _open(data, name, max_pixels) as image:
    try:
      upright = ImageOps.exif_transpose(image)
      if upright.mode.startswith('I'):
        upright = Image.fromarray((np.asarray(upright, np.uint32) >> 8).astype(np.uint8))
      return np.array(upright.convert('RGB'), np.uint8)
    except Exception as error:
      raise UserError(f'{name}: the picture is damaged or cut off ({_one_line(error)}); get a whole copy.') from error


def read_image(path: Union[str, 'os.PathLike[str]']) -> np.ndarray:
  """Reads a picture file; see `decode_image`.

  Raises:
    UserError: the file is missing or unreadable, or not a picture.
  """
  return decode_image(read_bytes(path), os.fspath(path))


def read_upright(path: Union[str, 'os.PathLike[str]']) -> tuple[bytes, int, int]:
  """Reads a picture for a record: TensorFlow decodes PNG and JPEG and does not turn pictures upright.

  Returns:
    (data, height, width): the bytes of the file if it is such a picture and upright, or else those of a PNG made of it.

  Raises:
    UserError: the file is missing or unreadable, not a picture, or broken off.
  """
  data = read_bytes(path)
  pixels = decode_image(data, os.fspath(path))
  with Image.open(io.BytesIO(data)) as image:
    plain = image.format in ('JPEG', 'PNG') and Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1) == 1
  return data if plain else encode(pixels, 'PNG', compress_level=3), *pixels.shape[:2]


def encode(picture: np.ndarray, kind: str, **options) -> bytes:
  """A picture, uint8 [H, W] or [H, W, 3], as the bytes of a file.

  Args:
    picture: in 0..255.
    kind: 'JPEG' or 'PNG'.
    **options: of Pillow's writer for that kind: `quality` of a JPEG, `compress_level` of a PNG.
  """
  file = io.BytesIO()
  Image.fromarray(np.ascontiguousarray(picture)).save(file, kind, **options)
  return file.getvalue()


def read_bytes(path: Union[str, 'os.PathLike[str]'], max_bytes: int = 256 * 2**20) -> bytes:
  """Reads a whole file of at most `max_bytes`.

  Raises:
    UserError: missing, unreadable, a folder, or too long.
  """
  try:
    if os.path.getsize(path) > max_bytes:
      raise UserError(f'{path}: longer than {max_bytes >> 20} MiB, too long for a picture; name a picture file.')
    with open(path, 'rb') as file:
      return file.read()
  except OSError as error:
    raise UserError(f'{path}: cannot be read ({error.strerror}); check the path and its permissions.') from error


def _open(data: bytes, name: str, max_pixels: int) -> Image.Image:
  try:
    with warnings.catch_warnings():
      # Pillow's own size warning comes at another limit than ours.
      warnings.simplefilter('ignore', Image.DecompressionBombWarning)
      image = Image.open(io.BytesIO(data), formats=FORMATS)
  except Image.DecompressionBombError as error:
    raise UserError(_too_large(name, 'over 178 million', max_pixels)) from error
  except Exception as error:
    raise UserError(f'{name}: not a picture in a format that can be read ({", ".join(FORMATS)}).') from error
  width, height = image.size
  if width * height > max_pixels:
    raise UserError(_too_large(name, f'{width} x {height}', max_pixels))
  return image


def _too_large(name: str, size: str, max_pixels: int) -> str:
  return (f'{name}: its header announces {size} pixels, the limit is {max_pixels}; '
          'scale it down, or raise image_files.decode_image.max_pixels.')


def _one_line(error: Exception) -> str:
  return ' '.join(str(error).split())[:120] or type(error).__name__
