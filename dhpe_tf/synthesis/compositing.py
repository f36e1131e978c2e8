"""Composes training pictures: background, shadow, forearm, hand, occluding object, blur and pixel noise.

Forearm, hand and object are blended by their cover a, 0..1 for each pixel: picture <- (1 - a) picture + a colour.
"""
import functools
from typing import Optional

import gin
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dhpe_tf.synthesis.backgrounds import Backgrounds

_KNUCKLES = [5, 9, 13, 17]


@gin.configurable(module='synthesis', denylist=['rgb', 'alpha', 'joints_px', 'seen', 'backgrounds', 'random',
                                               'hand_alpha'])
def compose(rgb: np.ndarray, alpha: np.ndarray, joints_px: np.ndarray, seen: np.ndarray, backgrounds: Backgrounds,
            random: np.random.Generator, forearm: float = 0.75, shadow: float = 0.4, occluder: float = 0.2,
            blur: float = 0.3, grain: float = 8.,
            hand_alpha: Optional[np.ndarray] = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Places a rendered hand on a background, with a forearm behind it and sometimes an object in front of it.

  Args:
    rgb: [S, S, 3] in 0..1, the hand, and what it holds.
    alpha: [S, S] in 0..1, share of each pixel that they cover.
    joints_px: [21, 2] pixels.
    seen: [21] bool, whether each joint is visible, that is, hidden neither by the hand itself nor by what it holds.
    backgrounds: source of backgrounds and of the objects' textures.
    random: generator of all draws.
    forearm: probability of a forearm (the hand model ends at the wrist).
    shadow: probability of the hand's shadow on the background.
    occluder: probability of an object in front of the hand.
    blur: probability of an out-of-focus picture.
    grain: largest standard deviation of the pixel noise, in units of 1/255.
    hand_alpha: [S, S] in 0..1, share of each pixel in which the hand is seen; `alpha` where the hand is alone.

  Returns:
    picture: uint8 [S, S, 3].
    mask: uint8 [S, S], 255 times the share of each pixel in which the hand is visible.
    seen: [21] bool, joints that neither the hand nor the object hides.
  """
  side = alpha.shape[0]
  picture = backgrounds.draw(random, side).astype(np.float32)
  if random.uniform() < shadow:
    picture *= _shadow(alpha, random)[..., None]
  if random.uniform() < forearm:
    _draw_forearm(picture, rgb, alpha, joints_px, random)
  # picture [S, S, 3] <- (1 - alpha) picture + alpha 255 rgb.
  picture += alpha[..., None] * (255 * rgb - picture)
  alpha = alpha if hand_alpha is None else hand_alpha
  if random.uniform() < occluder:
    cover = _object_mask(random, side)
    # The object goes over the hand, whose visible part becomes alpha (1 - cover).
    picture += cover[..., None] * (backgrounds.draw(random, side) - picture)
    alpha = alpha * (1 - cover)
    at = np.clip(joints_px.astype(int), 0, side - 1)
    seen = seen & (cover[at[:, 1], at[:, 0]] < 0.5)
  if random.uniform() < blur:
    picture = _blur(picture, random.uniform(0.4, max(0.4, side / 120)))
  top, left = random.integers(0, side, 2)
  picture += np.float32(grain * random.uniform() ** 2) * _noise_tile(2 * side)[top:top + side, left:left + side]
  return np.clip(picture, 0, 255).astype(np.uint8), np.round(255 * alpha).astype(np.uint8), seen


def _blur(picture: np.ndarray, radius_px: float) -> np.ndarray:
  """Blurs a picture [S, S, 3] by a Gaussian of `radius_px` pixels; float32 in 0..255."""
  image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
  return np.asarray(image.filter(ImageFilter.GaussianBlur(radius_px))).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _noise_tile(side: int) -> np.ndarray:
  """Normal noise [side, side, 3], float32, from which each picture takes a part: faster than drawing it each time."""
  return np.random.default_rng(0).standard_normal((side, side, 3), np.float32)


def _shadow(alpha: np.ndarray, random: np.random.Generator) -> np.ndarray:
  """Returns the share of light [S, S], 0..1, that reaches the background: 1 - k blur(shift(alpha)), k in 0.15..0.6.

  It is computed at a quarter of the resolution.
  """
  side = alpha.shape[0]
  small = Image.fromarray(np.round(255 * alpha).astype(np.uint8)).resize((side // 4, side // 4), Image.BILINEAR)
  shift = random.normal(0, side / 48, 2)
  small = small.transform(small.size, Image.AFFINE, (1, 0, shift[0], 0, 1, shift[1]), Image.BILINEAR)
  radius_px = random.uniform(0.5, max(0.5, side / 32))
  soft = small.filter(ImageFilter.GaussianBlur(radius_px)).resize((side, side), Image.BILINEAR)
  return 1 - np.float32(random.uniform(0.15, 0.6) / 255) * np.asarray(soft, np.float32)


def _draw_forearm(picture: np.ndarray, rgb: np.ndarray, alpha: np.ndarray, joints_px: np.ndarray,
                  random: np.random.Generator) -> None:
  """Draws a forearm or sleeve into a picture, in place, from the wrist to the picture's border.

  With d `[2]` the arm's direction, away from the knuckles and turned by a random angle, a pixel p has the coordinates
  far = d . (p - wrist) along the arm and across = d x (p - wrist). The arm covers |across| <= half_width(far) where far
  is above zero; its edges are smoothed over a pixel.

  Args:
    picture: [S, S, 3] float32 in 0..255, changed in place.
    rgb: [S, S, 3] in 0..1, the hand alone, from which the skin colour is taken.
    alpha: [S, S] in 0..1, share of each pixel that the hand covers.
    joints_px: [21, 2] pixels.
    random: generator of all draws.
  """
  side = alpha.shape[0]
  wrist = joints_px[0].astype(np.float32)
  away = wrist - joints_px[_KNUCKLES].mean(axis=0)
  length = float(np.linalg.norm(away))
  if length < side / 20:  # foreshortened: the arm points at the camera or away from it
    return
  angle = np.arctan2(away[1], away[0]) + random.normal(0, 0.35)
  along = np.array([np.cos(angle), np.sin(angle)], np.float32)
  at = np.arange(side, dtype=np.float32) + np.float32(0.5)
  x, y = at[None] - wrist[0], at[:, None] - wrist[1]
  far, across = x * along[0] + y * along[1], y * along[0] - x * along[1]
  half_width = np.float32(length * random.uniform(0.28, 0.36)) + np.maximum(far, 0) * np.float32(random.uniform(0, .2))
  cover = np.clip(half_width - np.abs(across) + np.float32(0.5), 0, 1)
  cover *= np.clip(far + np.float32(length * 0.1), 0, 1)
  skin, cloth = _skin_near(wrist, rgb, alpha, length), random.uniform(0, 255, 3).astype(np.float32)
  sleeve_from = np.inf if random.uniform() < 0.6 else length * random.uniform(0, 0.8)
  bend = across / np.maximum(half_width, 1)
  # Shading across the arm with t = bend in [-1, 1]: 1 + a t - b t^2 + c, darker toward the borders.
  shade = 1 + random.normal(0, 0.15) * bend - random.uniform(0.1, 0.5) * bend ** 2 + random.normal(0, 0.06)
  rows, columns = np.nonzero(cover > 0)
  colour = np.where((far[rows, columns] > sleeve_from)[:, None], cloth, skin) * shade[rows, columns, None]
  picture[rows, columns] += cover[rows, columns, None] * (colour - picture[rows, columns]).astype(np.float32)


def _skin_near(wrist: np.ndarray, rgb: np.ndarray, alpha: np.ndarray, length: float) -> np.ndarray:
  """Mean colour of the hand in a box around the wrist, or of the whole hand if the box holds none of it.

  Args:
    wrist: [2] pixels (x, y).
    rgb: [S, S, 3] in 0..1.
    alpha: [S, S], the weight of each pixel in the mean.
    length: from the wrist to the middle of the knuckles, px; the box reaches a third of it to each side.

  Returns:
    [3] float32 in 0..255.
  """
  side = alpha.shape[0]
  low = np.clip(wrist[::-1] - length / 3, 0, side - 1).astype(int)
  high = np.clip(wrist[::-1] + length / 3, 1, side).astype(int)
  part = np.s_[low[0]:high[0], low[1]:high[1]]
  weight = alpha[part]
  if weight.sum() < 1:
    part, weight = np.s_[:, :], alpha
  return 255 * np.tensordot(weight, rgb[part], 2) / max(float(weight.sum()), 1e-3)


def _object_mask(random: np.random.Generator, side: int) -> np.ndarray:
  """Draws the outline of a random object, a polygon or an ellipse; float32 [side, side] in 0..1."""
  image = Image.new('L', (side, side))
  draw = ImageDraw.Draw(image)
  center, size = random.uniform(0.1, 0.9, 2) * side, random.uniform(0.08, 0.3, 2) * side
  if random.uniform() < 0.5:
    draw.ellipse([*(center - size / 2), *(center + size / 2)], fill=255)
  else:
    angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 7)))
    corners = center + size / 1.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    draw.polygon([tuple(corner) for corner in corners], fill=255)
  return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / 255
