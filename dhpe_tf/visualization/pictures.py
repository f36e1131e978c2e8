"""Pictures as arrays: conversion between bytes and floats, captions, sheets and PNG files."""
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from dhpe_tf.files import PathLike, atomic_path

_CAPTION_PX = 14


def to_bytes(image: np.ndarray) -> np.ndarray:
  """Converts values in 0..1 to uint8 0..255, rounded; values outside are clipped."""
  return (np.clip(image, 0., 1.) * 255. + 0.5).astype(np.uint8)


def to_floats(picture: np.ndarray) -> np.ndarray:
  """Converts uint8 0..255 to float32 in 0..1."""
  return np.asarray(picture, np.float32) / 255.


def write_png(path: PathLike, picture: np.ndarray) -> None:
  """Writes a picture, uint8 [H, W, 3], as a PNG file.

  Raises:
    UserError: the file cannot be written.
  """
  with atomic_path(path) as temporary:
    Image.fromarray(picture).save(temporary, 'PNG')


def write_jpeg(path: PathLike, picture: np.ndarray) -> None:
  """Writes a picture, uint8 [H, W, 3], as a JPEG file; much faster than PNG, and almost as good.

  Raises:
    UserError: the file cannot be written.
  """
  with atomic_path(path) as temporary:
    Image.fromarray(picture).save(temporary, 'JPEG', quality=92)


def with_caption(picture: np.ndarray, text: str) -> np.ndarray:
  """Adds a line of text above a picture, uint8 [H, W, 3]; the text is cut to the picture's width."""
  height, width = picture.shape[:2]
  canvas = Image.new('RGB', (width, height + _CAPTION_PX), (24, 24, 24))
  canvas.paste(Image.fromarray(picture), (0, _CAPTION_PX))
  ImageDraw.Draw(canvas).text((2, 1), text[:width // 6], fill=(230, 230, 230))
  return np.asarray(canvas)


def sheet(cells: Sequence[np.ndarray], columns: int) -> np.ndarray:
  """Arranges pictures of one size in rows of `columns`; missing cells are black.

  Args:
    cells: at least one, each [H, W, 3].
    columns: cells in a row.

  Returns:
    [rows H, columns W, 3].
  """
  columns = min(columns, len(cells))
  filled = [*cells, *[np.zeros_like(cells[0])] * (-len(cells) % columns)]
  return np.concatenate([np.concatenate(filled[i:i + columns], axis=1) for i in range(0, len(filled), columns)])
