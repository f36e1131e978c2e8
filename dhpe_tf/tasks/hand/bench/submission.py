"""Writes and reads the text files of results of the HANDS 2019 challenge.

A line is one picture: its name, a tab, and 63 numbers with tabs between them, x, y and z of 21 joints in millimetres in
the camera's frame (x right, y down, z forward). The joints come in the challenge's order for depth pictures: wrist, the
five finger bases, then the three further joints of each finger from thumb to little finger.
"""
import os
from collections.abc import Sequence

import numpy as np

from dhpe_tf import files
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

_MOST_BYTES = 1 << 30
_NUMBERS = 3 * skeletons.NUM_KEYPOINTS
_MILLIMETRES = 1000.


def write(path: files.PathLike, names: Sequence[str], joints_3d_m: np.ndarray, decimals: int = 3) -> None:
  """Writes a file of results.

  Args:
    path: of the file.
    names: of N pictures, in the challenge's order.
    joints_3d_m: `[N, 21, 3]` in the joint order of this package, metres, camera axes.
    decimals: digits after the point; 3 gives micrometres.

  Raises:
    UserError: wrong shapes, a value that is not finite, a name that is empty, occurs twice or holds a tab or line end.
  """
  joints = np.asarray(joints_3d_m, np.float64)
  if joints.shape != (len(names), skeletons.NUM_KEYPOINTS, 3):
    raise UserError(f'joints_3d_m for a submission must be [{len(names)}, 21, 3], got {list(joints.shape)}')
  if not np.isfinite(joints).all():
    raise UserError('joints_3d_m holds values that are not finite; the challenge would refuse them')
  seen: set[str] = set()
  for name in names:
    if not name or name in seen or any(sign in name for sign in '\t\r\n'):
      raise UserError(f'picture {name!r}: names of a submission must be different, not empty, and without tabs')
    seen.add(name)
  millimetres = _MILLIMETRES * joints[:, skeletons.permutation('dhpe', 'bighand')].reshape(-1, _NUMBERS)
  with files.atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8', newline='\n') as file:
    for name, row in zip(names, millimetres):
      file.write('\t'.join([name, *(f'{value:.{decimals}f}' for value in row)]) + '\n')


def read(path: files.PathLike) -> tuple[list[str], np.ndarray]:
  """Reads a file of `write` or of the challenge, labels too, back in the joint order of this package.

  Args:
    path: of the file.

  Returns:
    Names of N pictures, and joints `[N, 21, 3]`, metres.

  Raises:
    UserError: the file is missing or empty, a line has another number of values, or one that is no finite number, or a
      name occurs twice. The message names file and line.
  """
  text = files.read_text(path, _MOST_BYTES, 'give a tab-separated file of results')
  names, rows = {}, []
  for number, line in enumerate(text.splitlines(), 1):
    if not line.strip():
      continue
    name, *values = line.rstrip().split('\t')
    place = f'{os.fspath(path)}, line {number}'
    if len(values) != _NUMBERS:
      raise UserError(f'{place}: {len(values)} numbers after the name, not {_NUMBERS}; separate them by tabs')
    if name in names:
      raise UserError(f'{place}: picture {name} was in line {names[name]} already; keep one of them')
    names[name] = number
    rows.append(_numbers(values, place))
  if not rows:
    raise UserError(f'{os.fspath(path)}: no line with joints; give a tab-separated file of results')
  joints = np.stack(rows).reshape(-1, skeletons.NUM_KEYPOINTS, 3) / _MILLIMETRES
  return list(names), joints[:, skeletons.permutation('bighand', 'dhpe')]


def _numbers(values: Sequence[str], place: str) -> np.ndarray:
  """The numbers of a line as an array; raises a UserError that begins with `place` for one that is none."""
  try:
    row = np.array([float(value) for value in values])
  except ValueError as error:
    raise UserError(f'{place}: {error}; write millimetres with a decimal point') from error
  if not np.isfinite(row).all():
    raise UserError(f'{place}: a value is not finite; leave the line out or correct it')
  return row
