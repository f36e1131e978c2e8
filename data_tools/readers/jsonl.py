"""Converts labels of one's own photographs, one JSON object a line, to records (see `convert_jsonl`)."""
import os
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons
from dhpe_tf.tasks.hand import label_lines


def choose_groups(groups: set[str], fraction: float) -> set[str]:
  """Chooses groups to hold out by a hash of the name, so a group keeps its split when others are added.

  With few groups the share is met only roughly. Of two or more groups, at least one is held out and one is not.

  Args:
    groups: names of all groups.
    fraction: share to hold out, 0..1.

  Returns:
    Names of the groups to hold out.
  """
  ordered = sorted(groups, key=lambda group: (_place(group), group))
  chosen = [group for group in ordered if _place(group) < fraction]
  if 0 < fraction < 1 and len(ordered) > 1:
    chosen = chosen[:len(ordered) - 1] or ordered[:1]
  return set(chosen)


def _place(group: str) -> float:
  """A number in 0..1 that depends on the name only."""
  return zlib.crc32(group.encode()) % 1000 / 1000


def to_record(label: label_lines.Label, teacher: str = '') -> dict:
  """Makes the record of one label.

  Args:
    label: from `label_lines.check`.
    teacher: name of the network that made the label; empty if a person did.

  Returns:
    Values by field name, see `dhpe_tf.tasks.hand.record.FIELDS`.

  Raises:
    UserError: the picture or a label is unusable; the message names file, line and field.
  """
  encoded, height, width = _read(image_files.read_upright, label, 'image')
  joints_px, valid = label_lines.joints_2d_px(label)
  source = str(label.get('source', 'jsonl')) + (f'; labels by {teacher}' if teacher else '')
  record = {
      'image/encoded': encoded, 'image/height': height, 'image/width': width, 'image/id': str(label['image']),
      'hand/side': label_lines.side(label), 'hand/joints_2d_px': joints_px,
      'hand/joints_2d_valid': valid, 'source': source, 'group': label['group'],
  }
  if 'joints_3d_m' in label:
    joints_3d_m = label_lines.numbers(label, 'joints_3d_m', (skeletons.NUM_KEYPOINTS, 3), valid)
    if 'intrinsics' not in label:
      joints_3d_m = joints_3d_m - joints_3d_m[skeletons.ROOT]
    record.update({'hand/joints_3d_m': joints_3d_m, 'hand/joints_3d_valid': valid})
  if 'intrinsics' in label:
    fx, fy, cx, cy = label_lines.numbers(label, 'intrinsics', (4,))
    record['camera/intrinsics'] = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
  if 'mask' in label:
    record['mask/encoded'] = _mask(label, (height, width))
  return record


def _read(read: Callable[[str], Any], label: label_lines.Label, name: str) -> Any:
  """Applies `read` to the path in a field; errors name the line of the label."""
  try:
    return read(os.path.join(label['folder'], str(label[name])))
  except UserError as error:
    raise UserError(f"{label['place']}: {name}: {error}") from error


def _mask(label: label_lines.Label, size: tuple[int, int]) -> bytes:
  """Reads the mask of a label and encodes it as a PNG of one channel; it must have its picture's size."""
  mask = _read(image_files.read_image, label, 'mask').mean(axis=-1)
  if mask.shape != size:
    raise UserError(f"{label['place']}: mask has size {mask.shape}, its picture {size}")
  return image_files.encode(np.round(mask).astype(np.uint8), 'PNG')
