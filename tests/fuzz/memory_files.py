"""Good and hostile inputs for `memory`, by the names that it uses."""
import gzip
import io
import json
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from data_tools import landmarker
from dhpe_tf.data import tfrecords, video_files
from dhpe_tf.hand import hand_model
from dhpe_tf.tasks.hand.record import HAND_RECORD
from tests.data import records
from tests.data_tools.readers import coco_hand_files, rhd_files
from tests.fuzz import memory_datasets
from tests.hand import mano_files

_SIDE = 7_000  # 49 megapixels, below the limit of 50
_ABOVE = 23_000
_TRAIN = """
include 'models/tiny.gin'
RECORDS = ''
train/build_dataset.sources = [(%RECORDS, 'train', 1.0)]
eval/build_dataset.sources = [(%RECORDS, 'train', 1.0)]
build_dataset.image_size = %IMAGE_SIZE
build_dataset.batch_size = 2
dhpe.build_model.rounds = 1
train.epochs = 1
train.steps_per_epoch = 2
"""


def write(folder: str) -> None:
  """Writes all inputs into a folder."""
  pictures = _pictures()
  pictures['photo.jpg'] = _encoded(np.random.default_rng(0).integers(0, 255, [480, 640, 3], np.uint8), 'JPEG')
  for name, content in pictures.items():
    _write(os.path.join(folder, name), content)
  _write_pipes(folder, 'device', 'pipe')
  _write_labels(folder, pictures)
  for name in (*pictures, 'device', 'pipe'):
    inside = 'photographs' if name == 'photo.jpg' else f'photographs_{name}'
    os.mkdir(os.path.join(folder, inside))
    os.symlink(os.path.join(folder, name), os.path.join(folder, inside, 'a.png'))
  _write_records(folder, pictures)
  _write(os.path.join(folder, 'train.gin'), _TRAIN.encode())
  _write_arrays(folder)
  _write_datasets(folder, pictures)
  memory_datasets.write(folder)
  _write_videos(folder)


def _pictures() -> dict[str, bytes]:
  """Pictures of few bytes and many pixels."""
  flat = Image.new('RGB', (_SIDE, _SIDE), (90, 60, 30))
  found = {'jpeg_49mp': _saved(flat, 'JPEG'), 'jpeg_49mp_progressive': _saved(flat, 'JPEG', progressive=True),
           'webp_49mp': _saved(Image.new('RGB', (16_000, 3_000)), 'WEBP', lossless=True, quality=0, method=0),
           'gif_49mp': _saved(flat.convert('P'), 'GIF'), 'bmp_49mp': _saved(flat, 'BMP')}
  found['png_49mp'] = _png(_SIDE, 8, 2, 3 * _SIDE)
  found['png_49mp_16bit'] = _png(_SIDE, 16, 6, 8 * _SIDE)
  found['png_529mp'] = _png(_ABOVE, 1, 0, -(-_ABOVE // 8))
  return found


def _png(side: int, depth: int, kind: int, row_bytes: int) -> bytes:
  """A black PNG."""
  packer, parts = zlib.compressobj(9), []
  for _ in range(side):
    parts.append(packer.compress(bytes(row_bytes + 1)))
  parts.append(packer.flush())
  chunks = ((b'IHDR', struct.pack('>IIBBBBB', side, side, depth, kind, 0, 0, 0)), (b'IDAT', b''.join(parts)),
            (b'IEND', b''))
  return b'\x89PNG\r\n\x1a\n' + b''.join(struct.pack('>I', len(data)) + name + data + struct.pack(
      '>I', zlib.crc32(name + data)) for name, data in chunks)


def _saved(image: Image.Image, kind: str, **options) -> bytes:
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def _encoded(picture: np.ndarray, kind: str) -> bytes:
  return _saved(Image.fromarray(picture), kind)


def _write_labels(folder: str, pictures: dict[str, bytes]) -> None:
  """Labels of each picture; a line of 400 MB, and a million lines."""
  joints = [[10. + number, 10.] for number in range(21)]
  for name in (*pictures, 'device', 'pipe'):
    label = {'image': name, 'hand': 'right', 'joints_2d_px': joints}
    target = 'photo.jsonl' if name == 'photo.jpg' else f'{name}.jsonl'
    _write(os.path.join(folder, target), json.dumps(label).encode())
  with open(os.path.join(folder, 'jsonl_long_line'), 'wb') as file:
    file.write(b'{"image": "photo.jpg", "joints_2d_px": [')
    for _ in range(400):
      file.write(b'[0, 0], ' * 131_072)
  line = json.dumps({'image': 'missing.jpg', 'hand': 'right', 'joints_2d_px': joints}).encode() + b'\n'
  with open(os.path.join(folder, 'jsonl_many_lines'), 'wb') as file:
    for _ in range(100):
      file.write(line * 3_000)


def _write_records(folder: str, pictures: dict[str, bytes]) -> None:
  """Record sets with large pictures, and with a shard that unpacks to 8 GB or is a device."""
  records.write(os.path.join(folder, 'records'), 8)
  for name in ('png_49mp', 'jpeg_49mp_progressive'):
    record = {**records.record(), 'image/encoded': pictures[name], 'image/height': _SIDE, 'image/width': _SIDE}
    del record['mask/encoded']
    tfrecords.write_split(os.path.join(folder, f'records_{name}'), 'train', (record for _ in range(8)), HAND_RECORD, 2)
  for name in ('gzip_bomb', 'device'):
    root = os.path.join(folder, f'records_{name}')
    records.write(root, 8)
    shard = tfrecords.list_shards(root, 'train')[0]
    os.remove(shard)
    if name == 'device':
      os.symlink('/dev/zero', shard)
    else:
      _write(shard, _gzip_bomb())
      path = os.path.join(os.path.dirname(shard), 'statistics.json')
      with open(path, encoding='utf-8') as file:
        statistics = json.load(file)
      statistics['bytes'][os.path.basename(shard)] = os.path.getsize(shard)
      _write(path, json.dumps(statistics).encode())


def _gzip_bomb() -> bytes:
  """A shard of records of 100 MB each, 8 GB in all."""
  file, frame = io.BytesIO(), struct.pack('<QI', 100 << 20, 0) + bytes((100 << 20) + 4)
  with gzip.GzipFile(fileobj=file, mode='wb', compresslevel=9) as packer:
    packer.write(frame)
  return file.getvalue() * 80


def _write_arrays(folder: str) -> None:
  """Hand models: as they are, and those that announce or unpack to far more than they hold."""
  model = hand_model.load_hand_model()
  mano_files.write_pickle(os.path.join(folder, 'MANO_RIGHT.pkl'), model)
  with np.load(os.path.join(os.path.dirname(hand_model.__file__), 'assets', 'hand_right.npz')) as arrays:
    fields = dict(arrays)
  np.savez(os.path.join(folder, 'hand.npz'), **fields)
  for name, ending in (('pkl_zeros', 'pkl'), ('pkl_device', 'pkl'), ('npz_bomb', 'npz'), ('npz_header', 'npz'),
                       ('npz_device', 'npz')):
    path = os.path.join(folder, f'{name}.{ending}')
    if name.endswith('device'):
      os.symlink('/dev/zero', path)
    elif name == 'pkl_zeros':
      _write(path, pickle.dumps({'v_template': 0}, 4)[:-1] + b'0' + b']' + b'(K\0' * 10_000_000)
  _write_bomb(os.path.join(folder, 'npz_bomb.npz'), 'v_template.npy', 3 << 30)
  with zipfile.ZipFile(os.path.join(folder, 'npz_header.npz'), 'w') as archive:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {'descr': '<f8', 'fortran_order': False, 'shape': (1 << 40, 3)})
    archive.writestr('v_template.npy', header.getvalue())
  _write_bomb(os.path.join(folder, 'zip_bomb'), landmarker.SOURCES[0].path, 3 << 30)


def _write_bomb(path: str, member: str, size: int) -> None:
  """A zip file whose member unpacks to `size` zeros."""
  piece = bytes(1 << 26)
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive, archive.open(member, 'w', force_zip64=True) as file:
    if member.endswith('.npy'):
      np.lib.format.write_array_header_1_0(file, {'descr': '<f8', 'fortran_order': False, 'shape': (size >> 3,)})
    for _ in range(size // len(piece)):
      file.write(piece)


def _write_datasets(folder: str, pictures: dict[str, bytes]) -> None:
  """RHD with a mask of 49 megapixels and hostile pickles; label files of COCO with many numbers or deep nesting."""
  for name in ('RHD_published_v2', 'rhd_mask_49mp', 'rhd_zeros', 'rhd_device'):
    rhd_files.write(os.path.join(folder, f'{name}.parent'), (('training', 1),))
    os.symlink(os.path.join(folder, f'{name}.parent', 'RHD_published_v2'), os.path.join(folder, name))
    labels = os.path.join(folder, name, 'training', 'anno_training.pickle')
    if name == 'rhd_mask_49mp':
      for inside in ('mask', 'color'):
        _write(os.path.join(folder, name, 'training', inside, '00000.png'), pictures['png_49mp'])
    elif name == 'rhd_zeros':
      _write(labels, b'\x80\x04](' + b'K\0' * 100_000_000)
    elif name == 'rhd_device':
      os.remove(labels)
      os.symlink('/dev/zero', labels)
  coco_hand_files.write_onehand10k(os.path.join(folder, 'coco'), 1)
  with open(os.path.join(folder, 'coco', 'annotations', 'onehand10k_train.json'), encoding='utf-8') as file:
    content = json.load(file)
  for image in content['images']:
    image['file_name'] = f'coco/{image["file_name"]}'
  _write(os.path.join(folder, 'onehand10k.json'), json.dumps(content).encode())
  _write(os.path.join(folder, 'json_many_numbers'), b'{"images": [' + b'0,' * 100_000_000 + b'0]}')
  _write(os.path.join(folder, 'json_deep'), b'[' * 100_000_000)


def _write_videos(folder: str) -> None:
  """A small clip, one with frames of 33 megapixels, and a device and a pipe in the place of one."""
  for name, size, frames in (('clip.mp4', (120, 160), 5), ('video_33mp.mp4', (4320, 7680), 6)):
    picture = np.full([*size, 3], 90, np.uint8)
    with video_files.write_video(os.path.join(folder, name), size, 10.) as writer:
      for _ in range(frames):
        writer.write(picture)
  _write_pipes(folder, 'video_device.mp4', 'video_pipe.mp4')


def _write_pipes(folder: str, device: str, pipe: str) -> None:
  """A link to a device that never ends, and a pipe that nobody writes to."""
  os.symlink('/dev/zero', os.path.join(folder, device))
  os.mkfifo(os.path.join(folder, pipe))


def _write(path: str, content: bytes) -> None:
  with open(path, 'wb') as file:
    file.write(content)
