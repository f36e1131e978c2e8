"""Checks of pictures and masks against the labels."""
import io
from typing import Any, Optional

import numpy as np
from PIL import Image
from scipy import ndimage

from dhpe_tf.data import checks, encoded_pictures, image_files
from dhpe_tf.errors import UserError

# Edges of masks may be smooth: grey pixels count only at more than this distance from the edge.
_EDGE_PX, _MOST_GREY = 2, .01
_LEAST_ON_MASK, _MOST_BESIDE = .4, .5
_SLACK = .25
_EXIF_ORIENTATION = 0x0112


class Pictures(checks.Check):
  """Checks that pictures can be decoded, are upright and have the size that the record states."""

  title = 'pictures can be decoded and have their sizes'

  def __init__(self):
    self._bad, self._damaged = checks.Flagged(), checks.Flagged()

  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Tests each picture of a batch."""
    bad = [not _fits(*picture) for picture in zip(batch['image/encoded'], batch['image/height'], batch['image/width'])]
    self._bad.add(batch['image/id'], np.array(bad, bool))
    damaged = [not encoded_pictures.is_sound(picture) for picture in batch['image/encoded']]
    self._damaged.add(batch['image/id'], np.array(damaged, bool) & ~np.array(bad, bool))

  def findings(self) -> list[str]:
    """Reports pictures that do not open, are not upright, have another size, or cannot be decoded."""
    return [
        *self._bad.findings('the picture does not open, lies on its side, or has another size than the record says'),
        *self._damaged.findings('the picture is damaged or cut off')]


def _fits(data: bytes, height: int, width: int) -> bool:
  """Whether a picture opens, is upright and has this height and width."""
  try:
    size = image_files.read_image_size(data)
    with Image.open(io.BytesIO(data)) as image:
      upright = Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1) == 1
  except UserError:
    return False
  return upright and size == (height, width)


class Masks(checks.Check):
  """Checks that masks have the picture's size, are black and white except at edges, and cover the joints."""

  title = 'masks cover the joints and nothing else'

  def __init__(self):
    self._form, self._off, self._beside = checks.Flagged(), checks.Flagged(.1), checks.Flagged(.1)
    self._shares = []

  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Tests each mask of a batch against its picture's size and joints."""
    names = batch['image/id']
    for i in np.flatnonzero(batch['mask/encoded'] != b''):
      mask = _decode(batch['mask/encoded'][i])
      size = batch['image/height'][i], batch['image/width'][i]
      good = mask is not None and mask.shape == size and _share_grey(mask) <= _MOST_GREY
      self._form.add(names[i:i + 1], np.array([not good]))
      valid = batch['hand/joints_2d_valid'][i] > 0
      if not good or valid.sum() < 3:
        continue
      joints = batch['hand/joints_2d_px'][i]
      seen = valid & (batch['hand/visibility'][i] > 0)
      on = _share_on(mask, joints[seen if seen.any() else valid])
      self._shares.append(on)
      self._off.add(names[i:i + 1], np.array([on < _LEAST_ON_MASK]))
      self._beside.add(names[i:i + 1], np.array([_share_beside(mask, joints[valid]) > _MOST_BESIDE]))

  def findings(self) -> list[str]:
    """Reports masks of a wrong form, masks that miss the joints, and masks that cover much else."""
    return [
        *self._form.findings('the mask does not open, has another size than the picture, or other values than 0 and '
                             '255 beside its edge (not cut at a threshold?)'),
        *self._off.findings('the joints do not lie on the mask (that of the other hand, or of another picture?)'),
        *self._beside.findings('most of the mask lies far from the joints (the body, or both hands?)')]

  def numbers(self) -> dict[str, Any]:
    """Returns the mean share of joints on the mask."""
    return {'mean_share_of_joints_on_mask': round(float(np.mean(self._shares)), 4)} if self._shares else {}


def _decode(data: bytes) -> Optional[np.ndarray]:
  """Decodes a PNG mask; None if it is damaged."""
  try:
    with Image.open(io.BytesIO(data), formats=('PNG',)) as image:
      return np.array(image)
  except Exception:  # Pillow raises errors of many kinds on damaged files.
    return None


def _share_grey(mask: np.ndarray) -> float:
  """Number of grey pixels away from the mask's edge, divided by the mask's area."""
  inside = mask > 127
  core = ndimage.binary_erosion(inside, iterations=_EDGE_PX)
  beyond = ~ndimage.binary_dilation(inside, iterations=_EDGE_PX)
  return (np.count_nonzero(mask[core] != 255) + np.count_nonzero(mask[beyond])) / max(np.count_nonzero(inside), 1)


def _share_on(mask: np.ndarray, points: np.ndarray) -> float:
  """Share of the points inside the picture that have a mask pixel at most two pixels away.

  Args:
    mask: `[H, W]`.
    points: `[K, 2]` pixels (x, y).
  """
  height, width = mask.shape
  x, y = np.floor(points).astype(int).T
  inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
  if not inside.any():
    return 0.
  return float(np.mean([mask[max(j - 2, 0):j + 3, max(i - 2, 0):i + 3].any() for i, j in zip(x[inside], y[inside])]))


def _share_beside(mask: np.ndarray, points: np.ndarray) -> float:
  """Share of the mask outside the box around the points; the box is enlarged by a quarter of its longer side each way.

  Args:
    mask: `[H, W]`.
    points: `[K, 2]` pixels (x, y).
  """
  low, high = points.min(0), points.max(0)
  slack = _SLACK * max(high - low)
  left, top = np.maximum(np.floor(low - slack), 0).astype(int)
  right, bottom = np.maximum(np.ceil(high + slack), 0).astype(int)
  total = np.count_nonzero(mask)
  return 1 - np.count_nonzero(mask[top:bottom, left:right]) / max(total, 1)
