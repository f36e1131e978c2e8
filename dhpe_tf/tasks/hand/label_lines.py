"""Labels of photographs as text: one JSON object a line for each hand, as `data_tools/convert_jsonl.py` describes."""
import os
from collections.abc import Iterator
from typing import Optional

import numpy as np

from dhpe_tf import errors, files, json_files, plain_arrays
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

Label = dict
_LONGEST_LINE = 1 << 20  # characters
_TEXTS = ('image', 'hand', 'mask', 'source', 'licence')


def read_labels(path: str, most_bytes: int = json_files.MOST_DATASET_BYTES) -> Iterator[Label]:
  """Reads a file of labels line by line: parsed, they take twelve times the memory of their text.

  Args:
    path: of the file.
    most_bytes: its largest size.

  Yields:
    A dict for each line, with the added entries `place` (file and line, for errors) and `folder` (of the file).

  Raises:
    UserError: the file cannot be read, or a line is not a JSON object.
  """
  files.check_input(path, most_bytes)
  with errors.naming(path, 'give a text file in UTF-8', OSError, UnicodeDecodeError), \
      open(path, encoding='utf-8') as file:
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE + 1), ''), 1):
      if line.strip():
        yield {**_parse(line, f'{path}:{number}'), 'place': f'{path}:{number}', 'folder': os.path.dirname(path)}


def _parse(line: str, place: str) -> Label:
  """Parses one line as a JSON object; raises a UserError that begins with `place`."""
  if len(line) > _LONGEST_LINE:
    raise UserError(f'{place}: more than {_LONGEST_LINE} characters; write one hand a line')
  label = json_files.parse(line, place)
  if not isinstance(label, dict):
    raise UserError(f'{place}: not a JSON object; write one hand a line')
  return label


def check(label: Label) -> Label:
  """Checks the required fields; returns the label with `group` as text and `score` as a number.

  Raises:
    UserError: a field is missing or of another kind, or the score is no number; the message names file, line and field.
  """
  for name in ('image', 'hand', 'joints_2d_px'):
    if name not in label:
      raise UserError(f"{label['place']}: field {name} is missing")
  for name in _TEXTS:
    if not isinstance(label.get(name, ''), str):
      raise UserError(f"{label['place']}: {name} must be a text")
  if not isinstance(label.get('group', ''), (str, int, float)):
    raise UserError(f"{label['place']}: group must be a text or a number")
  score = float(numbers(label, 'score', ())) if 'score' in label else 1.
  return {**label, 'group': str(label.get('group', label['image'])), 'score': score}


def joints_2d_px(label: Label) -> tuple[np.ndarray, np.ndarray]:
  """Returns a label's 2D joints `[21, 2]` in pixels and their validity `[21]`.

  Raises:
    UserError: as of `numbers`, or a validity that is not from 0 to 1.
  """
  count = skeletons.NUM_KEYPOINTS
  valid = numbers(label, 'valid', (count,)) if 'valid' in label else np.ones(count)
  if valid.min() < 0 or valid.max() > 1:
    raise UserError(f"{label['place']}: valid holds {valid.min() if valid.min() < 0 else valid.max():g}, not a number "
                    'from 0 to 1; write 0 for a joint without a label')
  return numbers(label, 'joints_2d_px', (count, 2), valid), valid


def side(label: Label) -> str:
  """Returns 'right' or 'left'; raises a UserError that names file and line for anything else."""
  if label['hand'] not in ('right', 'left'):
    raise UserError(f"{label['place']}: hand is {label['hand']!r}, not 'right' or 'left'")
  return label['hand']


def numbers(label: Label, name: str, shape: tuple, valid: Optional[np.ndarray] = None) -> np.ndarray:
  """Returns a field as a float64 array of numbers that are finite as float32.

  Args:
    label: from `read_labels`.
    name: of the field.
    shape: expected shape.
    valid: `[N]`; rows where it is 0 become zeros and may hold anything. None if all rows count.

  Raises:
    UserError: not numbers, another shape, not finite, or beyond float32; the message names file, line and field.
  """
  value = label[name]
  if valid is not None and isinstance(value, list) and len(value) == len(valid):
    value = [row if counts > 0 else [0.] * shape[1] for row, counts in zip(value, valid)]
  try:
    array = plain_arrays.to_floats(value)
  except ValueError as error:
    raise UserError(f"{label['place']}: {name} holds something that is not a number") from error
  if array.shape != shape:
    raise UserError(f"{label['place']}: {name} has shape {array.shape}, not {shape}")
  if valid is not None:
    array = np.where(valid[:, None] > 0, array, 0.)
  if not np.all(np.isfinite(array)):
    raise UserError(f"{label['place']}: {name} holds NaN or infinity; mark such joints by 0 in `valid`")
  largest = array.flat[np.argmax(np.abs(array))]
  if abs(largest) > np.finfo(np.float32).max:
    raise UserError(f"{label['place']}: {name} holds {largest:g}, which is beyond float32; correct it")
  return array
