"""Good and hostile datasets for `memory`: one picture, or one file of labels, is a bomb or a device."""
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.data_tools.readers import dexter_object_files, freihand_files, ho3d_files, interhand_files, stb_files
from tests.fuzz import memory

_NUMBERS = 100_000_000  # in a file of labels


class Dataset(NamedTuple):
  """A small dataset and where to damage it.

  Attributes:
    write: writes it into a folder.
    labels: path of a file of labels in that folder.
    picture: path of a picture.
    kind: name of the hostile picture.
    bomb: the content of a file of labels that takes far more memory than it has bytes, or has many bytes.
  """

  write: Callable[[str], None]
  labels: str
  picture: str
  kind: str
  bomb: Callable[[], bytes]


def _json() -> bytes:
  """A list of many numbers."""
  return b'[' + b'0,' * _NUMBERS + b'0]'


def _pickle() -> bytes:
  """A pickle of a list of many zeros."""
  return b'\x80\x04](' + b'K\0' * _NUMBERS


def _text() -> bytes:
  """A line of many numbers."""
  return b'0 ' * _NUMBERS


def _mat() -> bytes:
  """A MATLAB file of version 5 with a compressed array `handPara` of 2.4 GB."""
  frames = 3 * _NUMBERS // 63
  size = 8 * 63 * frames

  def element(kind: int, content: bytes) -> bytes:
    return struct.pack('<II', kind, len(content)) + content + bytes(-len(content) % 8)

  start = (element(6, struct.pack('<II', 6, 0)) + element(5, struct.pack('<III', 3, 21, frames))
           + element(1, b'handPara') + struct.pack('<II', 9, size))
  packer = zlib.compressobj(9)
  parts = [packer.compress(struct.pack('<II', 14, len(start) + size) + start)]
  parts += [packer.compress(bytes(1 << 24)) for _ in range(-(-size >> 24))]
  packed = b''.join([*parts, packer.flush()])
  head = b'MATLAB 5.0 MAT-file'.ljust(124) + struct.pack('<H', 0x0100) + b'IM'
  return head + struct.pack('<II', 15, len(packed)) + packed


DATASETS: Mapping[str, Dataset] = {
    'stb': Dataset(lambda folder: stb_files.write(folder, frames=1), 'labels/B1Counting_BB.mat',
                   'images/B1Counting/BB_left_0.png', 'png_49mp', _mat),
    'freihand': Dataset(lambda folder: freihand_files.write(folder, samples=1, evaluation=1),
                        'FreiHAND_pub_v2/training_xyz.json', 'FreiHAND_pub_v2/training/rgb/00000000.jpg', 'jpeg_49mp',
                        _json),
    'ho3d': Dataset(lambda folder: ho3d_files.write(folder, frames=1), 'HO3D_v3/train/ABF10/meta/0000.pkl',
                    'HO3D_v3/train/ABF10/rgb/0000.jpg', 'jpeg_49mp', _pickle),
    'interhand': Dataset(lambda folder: interhand_files.write(folder, splits=('val',)),
                         'annotations/val/InterHand2.6M_val_data.json',
                         'images/val/Capture0/00_scene/cam400026/image0.jpg', 'jpeg_49mp', _json),
    'dexter_object': Dataset(lambda folder: dexter_object_files.write(folder, frames=1),
                             'dexter+object/data/Grasp1/annotations/Grasp13D.txt',
                             'dexter+object/data/Grasp1/color/Color_0001.bmp', 'bmp_49mp', _text)}


def write(folder: str) -> None:
  """Writes each dataset as it is and damaged, by the names of `memory.dataset`; the hostile pictures are there."""
  for name, dataset in DATASETS.items():
    good, hostile = memory.dataset(name)
    os.mkdir(os.path.join(folder, good))
    dataset.write(os.path.join(folder, good))
    for given in hostile:
      shutil.copytree(os.path.join(folder, good), os.path.join(folder, given))
      _damage(folder, given, dataset)


def _damage(folder: str, given: str, dataset: Dataset) -> None:
  """Puts the bomb or the device in its place."""
  kind = given.rpartition('_')[2]
  path = os.path.join(folder, given, dataset.picture if kind == memory.PICTURE else dataset.labels)
  os.remove(path)
  if kind == memory.BOMB:
    with open(path, 'wb') as file:
      file.write(dataset.bomb())
  else:
    os.symlink('/dev/zero' if kind == memory.DEVICE else os.path.join(folder, dataset.kind), path)
