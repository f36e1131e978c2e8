"""Labels of photographs as text: one JSON object a line, one hand each, as `data_tools/convert_jsonl.py` describes."""
import json
import os
from typing import Optional

import numpy as np

from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

Label = dict


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
    raise UserError(f'{path}: cannot be read ({error.strerror}); check the path') from error
  except UnicodeDecodeError as error:
    raise UserError(f'{path}: not a text file in UTF-8 ({error.reason}); check the path') from error
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
  score = float(numbers(label, 'score', ())) if 'score' in label else 1.
  return {**label, 'group': str(label.get('group', label['image'])), 'score': score}


def joints_2d_px(label: Label) -> tuple[np.ndarray, np.ndarray]:
  """The 2D joints `[21, 2]` of a label, px, and which of them count `[21]`; see `numbers`."""
  count = skeletons.NUM_KEYPOINTS
  valid = numbers(label, 'valid', (count,)) if 'valid' in label else np.ones(count)
  return numbers(label, 'joints_2d_px', (count, 2), valid), valid


def side(label: Label) -> str:
  """'right' or 'left'; raises a UserError that names file and line for anything else."""
  if label['hand'] not in ('right', 'left'):
    raise UserError(f"{label['place']}: hand is {label['hand']!r}, not 'right' or 'left'")
  return label['hand']


def numbers(label: Label, name: str, shape: tuple, valid: Optional[np.ndarray] = None) -> np.ndarray:
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
