"""Backgrounds for rendered hands: generated, or cut from a folder of photographs."""
import os
from collections.abc import Sequence

import gin
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError

# Some distractors have colours around these, because skin-coloured objects need not be hands.
_SKIN_RGB = np.array([[234, 192, 170], [205, 150, 120], [150, 100, 75], [90, 60, 45]])


@gin.configurable(module='backgrounds')
class Backgrounds:
  """A pool of pictures from which random parts are cut."""

  def __init__(self, seed: int, folder: str = '', pool_size: int = 128, pool_side_px: int = 288):
    """Fills the pool.

    Args:
      seed: of the generated pictures, or of the choice among photographs.
      folder: photographs; if empty, the pictures are generated.
      pool_size: number of pictures kept.
      pool_side_px: their height and width, px.

    Raises:
      UserError: the folder is missing or holds no readable picture.
    """
    random = np.random.default_rng(seed)
    if folder:
      self._pool = _photographs(folder, random, pool_size, pool_side_px)
    else:
      self._pool = [Image.fromarray(make_up(random, pool_side_px)) for _ in range(pool_size)]

  def draw(self, random: np.random.Generator, side_px: int) -> np.ndarray:
    """Cuts a random square from a random picture, then flips and recolours it at random.

    Args:
      random: generator of all draws.
      side_px: height and width of the result, px.

    Returns:
      uint8 [side_px, side_px, 3].
    """
    picture = self._pool[random.integers(len(self._pool))]
    whole = picture.size[0]
    side = int(random.integers(whole // 3, whole + 1))
    left, top = (int(x) for x in random.integers(0, whole - side + 1, 2))
    part = picture.resize((side_px, side_px), Image.BILINEAR, box=(left, top, left + side, top + side))
    if random.uniform() < 0.5:
      part = part.transpose(Image.FLIP_LEFT_RIGHT)
    if random.uniform() < 0.5:
      part = part.transpose(Image.TRANSPOSE)
    # One lookup table for each channel: v' = clip(gain v + offset).
    gain, offset = random.uniform(0.6, 1.25) * np.exp(random.normal(0, 0.08, 3)), random.uniform(-30, 30)
    table = np.clip(np.arange(256) * gain[:, None] + offset, 0, 255).astype(np.uint8)
    return np.asarray(part.point(table.ravel().tolist()))


def _photographs(folder: str, random: np.random.Generator, count: int, side_px: int) -> list[Image.Image]:
  """Reads up to `count` random photographs of a folder; their central squares are resampled to `side_px`."""
  try:
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(image_files.EXTENSIONS))
  except OSError as error:
    raise UserError(f'backgrounds: folder {folder} cannot be read ({error.strerror}); check the path') from error
  pool = []
  for name in random.permutation(names)[:count]:
    picture = image_files.read_image(os.path.join(folder, name))
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    square = Image.fromarray(picture[top:top + side, left:left + side])
    pool.append(square.resize((side_px, side_px), Image.BILINEAR))
  if not pool:
    raise UserError(f'backgrounds: no picture in {folder}; files end in {", ".join(image_files.EXTENSIONS)}')
  return pool


def make_up(random: np.random.Generator, side_px: int) -> np.ndarray:
  """Generates a picture, uint8 [side_px, side_px, 3]: plain or noisy ground, surfaces, clutter, light and grain."""
  palette = _palette(random, 6)
  picture = _ground(random, side_px, palette)
  if random.uniform() < 0.5:
    picture = _surfaces(random, picture, palette)
  if random.uniform() < 0.7:
    picture = _clutter(random, picture, palette)
  light = _noise(random, side_px, octaves=(1, 2, 3))[..., None]
  picture = picture * (1 + random.uniform(0, 0.6) * light)
  grain = random.normal(0, random.uniform(0, 4), picture.shape)
  return np.clip(picture + grain, 0, 255).astype(np.uint8)


def _palette(random: np.random.Generator, count: int) -> np.ndarray:
  """Draws `count` matching colours [count, 3] in 0..255: about two hues, as in rooms mostly dull and rather light."""
  vivid = random.uniform() < 0.25
  hue = random.choice(random.uniform(0, 1, 2) if vivid else [0.09, 0.58, random.uniform()], count)
  hue = (hue + random.normal(0, 0.04, count)) % 1
  saturation = random.beta(2, 1.5, count) if vivid else random.beta(1.2, 5, count)
  value = random.beta(1.8, 1.2, count)
  # HSV to RGB: channel = value (1 - saturation clip(d - 1, 0, 1)), d the distance of the hue from the channel's own hue
  # in sixths of the colour circle.
  distance = np.abs((hue[:, None] * 6 - np.array([0, 2, 4]) + 3) % 6 - 3)
  return 255 * value[:, None] * (1 - saturation[:, None] * np.clip(distance - 1, 0, 1))


def _surfaces(random: np.random.Generator, picture: np.ndarray, palette: np.ndarray) -> np.ndarray:
  """Adds large surfaces with straight edges, like walls, tables and doors; some have stripes or tiles."""
  side = picture.shape[0]
  x, y = np.meshgrid(np.arange(side) / side - 0.5, np.arange(side) / side - 0.5)
  for _ in range(random.integers(1, 4)):
    angle = random.integers(4) * np.pi / 2 + random.normal(0, 0.25)
    across = np.cos(angle) * x + np.sin(angle) * y
    surface = palette[random.integers(len(palette))] + 0.3 * (picture - picture.mean(axis=(0, 1)))
    if random.uniform() < 0.35:
      along, period = np.cos(angle) * y - np.sin(angle) * x, np.exp(random.uniform(np.log(0.04), np.log(0.3)))
      lines = (along / period) % 1 < random.uniform(0.04, 0.6)
      if random.uniform() < 0.5:
        lines ^= (across / period) % 1 < random.uniform(0.04, 0.6)
      surface = surface + lines[..., None] * random.uniform(-60, 60)
    picture = np.where((across > random.uniform(-0.35, 0.35))[..., None], surface, picture)
  return picture


def _ground(random: np.random.Generator, side_px: int, palette: np.ndarray) -> np.ndarray:
  """Blends two to four colours of the palette by coarse to fine noise; float [side_px, side_px, 3]."""
  strength = random.uniform(0, 1) ** 2  # squared, so that many grounds are nearly plain
  ground = np.broadcast_to(palette[0].astype(float), (side_px, side_px, 3))
  for colour in palette[1:random.integers(2, 5)]:
    octaves = tuple(range(random.integers(2, 5), random.integers(5, 8)))
    share = strength * (0.5 + 0.5 * _noise(random, side_px, octaves))[..., None]
    ground = ground + share * (colour - ground)
  return ground


def _noise(random: np.random.Generator, side_px: int, octaves: Sequence[int]) -> np.ndarray:
  """Sums octaves of smooth noise, about -1..1, [side_px, side_px].

    noise = (1 / 1.5) sum_i 2^-i resize(u_i),

  where u_i is uniform in [-1, 1] on 2^octave_i x 2^octave_i cells.
  """
  total, height = np.zeros((side_px, side_px)), 1.
  for octave in octaves:
    cells = Image.fromarray(random.uniform(-1, 1, (2**octave, 2**octave)).astype(np.float32))
    total += height * np.asarray(cells.resize((side_px, side_px), Image.BICUBIC))
    height /= 2
  return total / 1.5


def _clutter(random: np.random.Generator, picture: np.ndarray, palette: np.ndarray) -> np.ndarray:
  """Draws rectangles, ellipses, bars and lines over a picture; some have the colour of skin, some are blurred."""
  image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
  side = image.size[0]
  draw = ImageDraw.Draw(image)
  for _ in range(random.integers(2, 26)):
    colours = _SKIN_RGB if random.uniform() < 0.2 else palette
    colour = tuple(int(x) for x in np.clip(colours[random.integers(len(colours))] + random.normal(0, 12, 3), 0, 255))
    center, size = random.uniform(0, side, 2), side * np.exp(random.uniform(np.log(0.03), np.log(0.5), 2))
    kind = random.integers(4)
    if kind == 0:
      draw.rectangle([*(center - size / 2), *(center + size / 2)], fill=colour)
    elif kind == 1:
      draw.ellipse([*(center - size / 2), *(center + size / 2)], fill=colour)
    else:
      angle = random.uniform(0, np.pi)
      along, across = side * np.array([np.cos(angle), np.sin(angle)]), size.min() / (2 if kind == 2 else 12)
      draw.line([tuple(center - along), tuple(center + along)], fill=colour, width=max(1, int(across)))
  if random.uniform() < 0.6:
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 6)))
  return np.asarray(image).astype(float)
