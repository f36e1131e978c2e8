"""Writes and reads submission files of the FreiHAND and HO-3D challenges."""
import json
import os
import zipfile

import numpy as np

from dhpe_tf import errors, files, json_files, plain_arrays
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

# Joint order and signs of the axes. HO-3D has its own order and OpenGL axes: y up, z toward the viewer.
FORMATS = {'freihand': ('freihand', np.array([1., 1., 1.])), 'ho3d': ('ho3d', np.array([1., -1., -1.]))}


def write(path: files.PathLike, challenge: str, joints_3d_m: np.ndarray, vertices_m: np.ndarray,
          decimals: int = 6) -> None:
  """Writes a zip file that holds pred.json: `[[joints of each sample], [vertices of each sample]]`.

  Args:
    path: the zip file.
    challenge: 'freihand' or 'ho3d'.
    joints_3d_m: `[N, 21, 3]` in the joint order of this package, metres, camera axes x right, y down, z forward;
      samples in the challenge's order.
    vertices_m: `[N, 778, 3]` in the same frame.
    decimals: digits after the point; 6 gives micrometres.

  Raises:
    UserError: unknown challenge, wrong shapes, or a value that is not finite.
  """
  if challenge not in FORMATS:
    raise UserError(f'unknown challenge {challenge!r}; choose one of {", ".join(FORMATS)}')
  order, signs = FORMATS[challenge]
  joints, vertices = (np.asarray(points, np.float64) for points in (joints_3d_m, vertices_m))
  for name, points, count in (('joints_3d_m', joints, 21), ('vertices_m', vertices, 778)):
    if points.ndim != 3 or points.shape[1:] != (count, 3) or len(points) != len(joints):
      raise UserError(f'{name} for a submission must be [{len(joints)}, {count}, 3], got {list(points.shape)}')
    if not np.isfinite(points).all():
      raise UserError(f'{name} holds values that are not finite; the challenge would refuse them')
  joints = joints[:, skeletons.permutation('dhpe', order)]
  lists = [(points * signs).round(decimals).tolist() for points in (joints, vertices)]
  with files.atomic_path(path) as temporary, zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('pred.json', json.dumps(lists))


def read(path: files.PathLike, challenge: str) -> tuple[np.ndarray, np.ndarray]:
  """Reads a file of `write`, back in the joint order and axes of this package.

  Returns:
    Joints `[N, 21, 3]` and vertices `[N, V, 3]`, metres.

  Raises:
    UserError: the file is no submission.
  """
  order, signs = FORMATS[challenge]
  files.check_input(path, json_files.MOST_DATASET_BYTES)
  place, remedy = f'{os.fspath(path)}: not a submission file', 'give a zip file with a pred.json inside'
  with errors.naming(place, remedy, *files.ARCHIVE_FAULTS, TypeError), zipfile.ZipFile(os.fspath(path)) as archive:
    with archive.open('pred.json') as file:
      text = files.read_member(file, json_files.MOST_DATASET_BYTES).decode()
    joints, vertices = (plain_arrays.to_floats(points) * signs for points in json_files.parse(text, place, remedy))
    if joints.shape[1:] != (21, 3):
      raise ValueError('joints [N, 21, 3] were expected')
  return joints[:, skeletons.permutation(order, 'dhpe')], vertices
