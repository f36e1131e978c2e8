"""Writing meshes as OBJ and PLY files."""
import os
from typing import Optional, Union

import numpy as np

from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path

PathLike = Union[str, 'os.PathLike[str]']


def write_obj(path: PathLike, vertices_m: np.ndarray, faces: np.ndarray, comment: str = '') -> None:
  """Writes a Wavefront OBJ file.

  Camera axes (y down, z forward) become the axes of mesh viewers (y up, z toward the viewer) by a half turn about x,
  (x, y, z) -> (x, -y, -z), so that the hand stands upright there. A comment in the file says so.

  Args:
    path: the file.
    vertices_m: [V, 3] metres, camera axes.
    faces: [F, 3] vertex numbers from 0, counter-clockwise seen from outside.
    comment: text for the head of the file.

  Raises:
    UserError: vertices are not finite, faces are out of range, or the file cannot be written.
  """
  vertices_m, faces = np.asarray(vertices_m), np.asarray(faces)
  _check(path, vertices_m, faces)
  lines = ['# metres; x right, y up, z toward the viewer (camera axes turned half about x)']
  lines += [f'# {line}' for line in comment.splitlines()]
  lines += [f'v {x:.7g} {-y:.7g} {-z:.7g}' for x, y, z in vertices_m]
  lines += [f'f {a} {b} {c}' for a, b, c in faces + 1]
  with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    file.write('\n'.join(lines) + '\n')


def write_ply(path: PathLike, vertices_m: np.ndarray, faces: np.ndarray, colors: Optional[np.ndarray] = None,
              comment: str = '') -> None:
  """Writes a binary PLY file, in the axes of `write_obj`.

  Args:
    path: the file.
    vertices_m: [V, 3] metres, camera axes.
    faces: [F, 3] vertex numbers from 0, counter-clockwise seen from outside.
    colors: [V, 3] red, green, blue of each vertex, 0..1, or None.
    comment: text for the head of the file.

  Raises:
    UserError: vertices are not finite, faces are out of range, or the file cannot be written.
  """
  vertices_m, faces = np.asarray(vertices_m), np.asarray(faces)
  _check(path, vertices_m, faces)
  kinds = [(axis, '<f4') for axis in 'xyz'] + ([] if colors is None else [(c, 'u1') for c in ('red', 'green', 'blue')])
  rows = np.zeros(len(vertices_m), kinds)
  for axis, column in zip('xyz', (vertices_m * [1, -1, -1]).T):
    rows[axis] = column
  if colors is not None:
    for name, column in zip(('red', 'green', 'blue'), np.round(255 * np.clip(colors, 0, 1)).T):
      rows[name] = column
  corners = np.zeros(len(faces), [('count', 'u1'), ('corners', '<i4', 3)])
  corners['count'], corners['corners'] = 3, faces
  names = {'<f4': 'float', 'u1': 'uchar'}
  head = ['ply', 'format binary_little_endian 1.0', 'comment metres; x right, y up, z toward the viewer',
          *(f'comment {line}' for line in comment.splitlines()), f'element vertex {len(rows)}',
          *(f'property {names[kind]} {name}' for name, kind in kinds), f'element face {len(faces)}',
          'property list uchar int vertex_indices', 'end_header']
  with atomic_path(path) as temporary, open(temporary, 'wb') as file:
    file.write(('\n'.join(head) + '\n').encode('ascii', 'replace') + rows.tobytes() + corners.tobytes())


def _check(path: PathLike, vertices: np.ndarray, faces: np.ndarray) -> None:
  """Raises a UserError if vertices are not finite or faces name vertices that do not exist."""
  if not np.isfinite(vertices).all():
    raise UserError(f'{path}: the mesh holds numbers that are not finite; the model that made it is damaged.')
  if faces.size and not 0 <= faces.min() <= faces.max() < len(vertices):
    raise UserError(f'{path}: faces name vertex {faces.max()}, there are {len(vertices)}; mesh and faces do not belong '
                    'together.')
