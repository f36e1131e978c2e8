"""Reads labels of one's own photographs: one JSON object a line, one hand each (see `convert_jsonl`)."""
import json
import os
import zlib
from collections.abc import Callable
from typing import Any, Optional

import numpy as np

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

Label = dict
NUM_KEYPOINTS = len(skeletons.KEYPOINT_NAMES)


def read_labels(path: str) -> list[Label]:
  """The lines of a file of labels, each with `place`, its file and line, and `folder`.

  Raises:
    UserError: the file cannot be read, or a line is not a JSON object.
  """
  labels = []
  try:
    with open(path, encoding='utf-8') as file:
      for number, line in enumerate(file, 1):
        if line.strip():
          labels.append({**_parse(line, f'{path}:{number}'), 'place': f'{path}:{number}',
                         'folder': os.path.dirname(path)})
  except OSError as error:
    raise UserError(f'{path}: cannot be read ({error.strerror}); check --labels') from error
  except UnicodeDecodeError as error:
    raise UserError(f'{path}: not a text file in UTF-8 ({error.reason}); check --labels') from error
  return labels


def _parse(line: str, place: str) -> Label:
  """One line."""
  try:
    label = json.loads(line)
  except ValueError as error:
    raise UserError(f'{place}: not JSON ({error})') from error
  if not isinstance(label, dict):
    raise UserError(f'{place}: not a JSON object')
  return label


def check(label: Label) -> Label:
  """The label with `group` as text and `score` as a number.

  Raises:
    UserError: it lacks a field, or its score is no number; names file, line and field.
  """
  for name in ('image', 'hand', 'joints_2d_px'):
    if name not in label:
      raise UserError(f"{label['place']}: field {name} is missing")
  score = float(_numbers(label, 'score', ())) if 'score' in label else 1.
  return {**label, 'group': str(label.get('group', label['image'])), 'score': score}


def choose_groups(groups: set[str], fraction: float) -> set[str]:
  """Groups to hold out: a share by a hash of the name, so that a group keeps its side when others are added.

  With few groups the share is only roughly met, but of two or more, one at least is held out and one is not.
  """
  ordered = sorted(groups, key=lambda group: (_place(group), group))
  chosen = [group for group in ordered if _place(group) < fraction]
  if 0 < fraction < 1 and len(ordered) > 1:
    chosen = chosen[:len(ordered) - 1] or ordered[:1]
  return set(chosen)


def _place(group: str) -> float:
  """A number in 0..1 that only the name decides."""
  return zlib.crc32(group.encode()) % 1000 / 1000


def to_record(label: Label, teacher: str = '') -> dict:
  """The record of one label.

  Args:
    label: from `check`.
    teacher: the network that made it, if one did.

  Returns:
    See `dhpe_tf.data.example_schema.FIELDS`.

  Raises:
    UserError: the picture or a label is unusable; names file, line and field.
  """
  encoded, height, width = _read(image_files.read_upright, label, 'image')
  valid = _numbers(label, 'valid', (NUM_KEYPOINTS,)) if 'valid' in label else np.ones(NUM_KEYPOINTS)
  source = str(label.get('source', 'jsonl')) + (f'; labels by {teacher}' if teacher else '')
  record = {
      'image/encoded': encoded, 'image/height': height, 'image/width': width, 'image/id': str(label['image']),
      'hand/side': label['hand'], 'hand/joints_2d_px': _numbers(label, 'joints_2d_px', (NUM_KEYPOINTS, 2), valid),
      'hand/joints_2d_valid': valid, 'source': source, 'group': label['group'],
  }
  if 'joints_3d_m' in label:
    joints_3d_m = _numbers(label, 'joints_3d_m', (NUM_KEYPOINTS, 3), valid)
    if 'intrinsics' not in label:
      joints_3d_m = joints_3d_m - joints_3d_m[skeletons.ROOT]
    record.update({'hand/joints_3d_m': joints_3d_m, 'hand/joints_3d_valid': valid})
  if 'intrinsics' in label:
    fx, fy, cx, cy = _numbers(label, 'intrinsics', (4,))
    record['camera/intrinsics'] = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
  if 'mask' in label:
    record['mask/encoded'] = _mask(label, (height, width))
  if label['hand'] not in ('right', 'left'):
    raise UserError(f"{label['place']}: hand is {label['hand']!r}, not 'right' or 'left'")
  return record


def _read(read: Callable[[str], Any], label: Label, name: str) -> Any:
  """What `read` makes of the picture that a field names; errors say in which line it is named."""
  try:
    return read(os.path.join(label['folder'], str(label[name])))
  except UserError as error:
    raise UserError(f"{label['place']}: {name}: {error}") from error


def _mask(label: Label, size: tuple[int, int]) -> bytes:
  """The mask of a label as a PNG of one channel."""
  mask = _read(image_files.read_image, label, 'mask').mean(axis=-1)
  if mask.shape != size:
    raise UserError(f"{label['place']}: mask has size {mask.shape}, its picture {size}")
  return image_files.encode(np.round(mask).astype(np.uint8), 'PNG')


def _numbers(label: Label, name: str, shape: tuple, valid: Optional[np.ndarray] = None) -> np.ndarray:
  """A field as finite numbers of a shape; rows that `valid` does not count become zeros."""
  try:
    array = np.asarray(label[name], np.float64)
  except (TypeError, ValueError) as error:
    raise UserError(f"{label['place']}: {name} holds something that is not a number") from error
  if array.shape != shape:
    raise UserError(f"{label['place']}: {name} has shape {array.shape}, not {shape}")
  if valid is not None:
    array = np.where(valid[:, None] > 0, array, 0.)
  if not np.all(np.isfinite(array)):
    raise UserError(f"{label['place']}: {name} holds NaN or infinity; mark such joints by 0 in `valid`")
  return array
