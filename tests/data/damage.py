"""Encoded pictures with damage in their middle; header and ending stay whole."""
import io

import numpy as np
from PIL import Image


def encode(kind: str, side: int = 96, **options) -> bytes:
  """A picture of noise, which fills many blocks of its file."""
  file = io.BytesIO()
  Image.fromarray(np.random.default_rng(0).integers(0, 256, [side, side, 3], np.uint8)).save(file, kind, **options)
  return file.getvalue()


def flipped(data: bytes, seed: int = 0, count: int = 1) -> bytes:
  """The file with some bits of its middle third flipped."""
  changed = bytearray(data)
  random = np.random.default_rng(seed)
  for position in random.integers(len(data) // 3, 2 * len(data) // 3, count):
    changed[position] ^= 1 << int(random.integers(8))
  return bytes(changed)


def with_marker(data: bytes) -> bytes:
  """A JPEG file in whose middle a second start of a picture lies, which no decoder takes."""
  half = len(data) // 2
  return data[:half] + b'\xff\xd8' + data[half + 2:]
