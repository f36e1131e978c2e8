"""Entries of single files: arrays, hand models, weights, configurations, pictures, labels, submissions."""
import contextlib
import io
import json
import os
import pathlib
import pickle
import random
from collections.abc import Callable

import numpy as np
import scipy.sparse
from PIL import Image
from scipy import io as scipy_io

from data_tools.readers import base, jsonl, mat_files
from dhpe_tf import configuration, plain_arrays
from dhpe_tf.data import image_files
from dhpe_tf.evaluation import reports
from dhpe_tf.hand import hand_model, restricted_pickle
from dhpe_tf.networks import torch_weights
from dhpe_tf.tasks.hand import label_lines, submissions
from tests.data import headers
from tests.fuzz import mutations
from tests.fuzz.cases import Changed, Entry, Seed, seed_of
from tests.hand import hostile_pickles, mano_files
from tests.networks import test_torch_weights

_PICTURE_TOKENS = (b'IHDR', b'IDAT', b'IEND', b'PLTE', b'tRNS', b'eXIf', b'iCCP', b'acTL', b'\xff\xd8\xff', b'\xff\xe1',
                   b'\xff\xc0', b'\xff\xc2', b'\xff\xc4', b'\xff\xda', b'\xff\xdb', b'\xff\xd9', b'Exif\0\0', b'II*\0',
                   b'MM\0*', b'\x12\x01', b'GIF89a', b'\x2c', b'\x21\xf9\x04', b'\x21\xff', b'RIFF', b'WEBP', b'VP8 ',
                   b'VP8X', b'VP8L', b'EXIF', b'ANIM', b'BM', b'\x28\0\0\0', b'\x7c\0\0\0', b'8BIM', b'ICC_PROFILE\0')


def _pickle_entry(folder: str) -> Entry:
  values = {'a': np.arange(6.).reshape(2, 3), 'b': [1, (2.5, 'x', None)], 'c': {'d': np.float64(3), 'e': b'bytes'},
            'f': np.asfortranarray(np.arange(4, dtype='>i2').reshape(2, 2)), 'g': {1, 2}, 'h': np.array([True, False]),
            'm': scipy.sparse.random(4, 5, .5, format='csc', random_state=0), 'o': np.array(['x', None], object)}
  path = os.path.join(folder, 'a.pkl')
  contents = [pickle.dumps(values, protocol) for protocol in range(6)]
  contents += [code + b'.' for code in hostile_pickles.FORGED.values() if len(code) < 10_000]

  def read(path: str) -> None:
    loaded = restricted_pickle.load(path)
    for value in loaded.values() if isinstance(loaded, dict) else [loaded]:
      with contextlib.suppress(ValueError):  # as documented
        restricted_pickle.to_floats(value)
  return Changed([Seed(path, content) for content in contents], read, tokens=mutations.PICKLE_TOKENS, made=.3,
                 make=mutations.program)


def _mano_entry(folder: str) -> Entry:
  path, seeds = os.path.join(folder, 'MANO_RIGHT.pkl'), []
  for write in (mano_files.write_pickle, mano_files.write_distributed_pickle):
    write(path, hand_model.load_hand_model())
    seeds.append(seed_of(path))
  return Changed(seeds, hand_model.load_hand_model, tokens=mutations.PICKLE_TOKENS)


def _hand_npz_entry(folder: str) -> Entry:
  path = os.path.join(folder, 'hand.npz')
  with np.load(hand_model.__file__.replace('hand_model.py', 'assets/hand_right.npz')) as arrays:
    np.savez(path, **arrays)
  return Changed([seed_of(path, mutations.inside_zip(_change_npy))], hand_model.load_hand_model)


def _change_npy(content: bytes, chance: random.Random) -> bytes:
  """Changes an .npy file, mostly in its header."""
  tokens = (b"'<f8'", b"'|O'", b"'|V8'", b"'<U99'", b'True', b'False', b'(', b')', b'-1', b'9' * 11, b',', b"'descr'")
  return mutations.mutate(content, range(min(len(content), 128) or 1), chance, [content], tokens)


def _npz_entry(folder: str) -> Entry:
  path, seeds = os.path.join(folder, 'a.npz'), []
  small = {'a': np.arange(6.), 'b': np.array('text'), 'c': np.eye(3, dtype='>i4'), 'd': np.zeros([0, 2])}
  for save in (np.savez, np.savez_compressed):
    save(path, **small)
    seeds += [seed_of(path), seed_of(path, mutations.inside_zip(_change_npy))]
  return Changed(seeds, plain_arrays.read_npz, tokens=(b'PK\1\2', b'PK\3\4', b'PK\5\6', b"'descr'"))


def _torch_entry(folder: str) -> Entry:
  path, seeds = os.path.join(folder, 'a.pth'), []
  for changes in ({}, {'count': 3}, {'shape': (2, 3), 'strides': (0, 1)}):
    test_torch_weights._write(pathlib.Path(path), **changes)
    seeds.append(seed_of(path))
  return Changed(seeds, torch_weights.read_state, tokens=mutations.PICKLE_TOKENS, made=.3, make=mutations.program)


def _gin_entry(folder: str) -> Entry:
  path = os.path.join(folder, 'a.gin')
  shipped = ('defaults.gin', 'rendered.gin', 'models/tiny.gin')
  contents = [(configuration.folder() / name).read_bytes() for name in shipped]
  contents += [b'import os\n', b"from os import path as p\ninclude 'a.gin'\ntrain.epochs = 3\n"]
  return Changed([Seed(path, content) for content in contents], lambda path: configuration.load([path]),
                 also=('configuration: ',), tokens=(*mutations.TEXT_TOKENS, b'@', b'%', b'= ', b"include 'a.gin'\n",
                                                    b'import os\n', b'train.epochs', b'()', b'1000000000000', b'None'))


def _mat_entry(folder: str) -> Entry:
  path, seeds = os.path.join(folder, 'a.mat'), []
  for compressed in (False, True):
    scipy_io.savemat(path, {'text': 'x', 'handPara': np.arange(24.).reshape(2, 3, 4), 'z': np.ones(2)},
                     do_compression=compressed)
    seeds.append(seed_of(path))
  return Changed(seeds, lambda path: mat_files.read(path, 'handPara'))


def _picture_entry(kind: str, ending: str, **options) -> Callable[[str], Entry]:
  """Pictures of a format, read in every way in which photographs and labels are read."""
  def make(folder: str) -> Entry:
    path, picture = os.path.join(folder, f'a.{ending}'), np.random.default_rng(0).integers(0, 255, [9, 13, 3], np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = []
    for image in (Image.fromarray(picture), Image.fromarray(picture[..., 0]), Image.fromarray(picture).convert('P')):
      with contextlib.suppress(OSError):  # JPEG has no palette
        image.save(path, kind, **{**options, **({'exif': exif} if kind in ('JPEG', 'PNG', 'WEBP') else {})})
        seeds.append(seed_of(path))
    if kind == 'GIF':
      frames = [Image.fromarray(np.roll(picture, turn, 0)) for turn in range(3)]
      frames[0].save(path, kind, save_all=True, append_images=frames[1:])
      seeds.append(seed_of(path))
    bomb = {'PNG': headers.png_header, 'JPEG': headers.jpeg_header, 'BMP': headers.bmp_header}.get(kind)
    seeds += [Seed(path, bomb(60_000, 60_000))] if bomb else []

    def read(path: str) -> None:
      pixels = image_files.read_image(path)
      data, height, width = image_files.read_upright(path)
      assert (height, width) == pixels.shape[:2], f'{(height, width)} and {pixels.shape}'
      assert image_files.read_image_size(data, path) == (height, width), 'another size in the header'
    return Changed(seeds, read, tokens=_PICTURE_TOKENS)
  return make


def _label_picture_entry(folder: str) -> Entry:
  """Pictures of a dataset: PNG and JPEG as `base.read_picture` and `read_labels` take them."""
  numbers, seeds = np.random.default_rng(0).integers(0, 33, [9, 13], np.uint8), []
  for name in ('a.png', 'a.jpg'):
    path = os.path.join(folder, name)
    for image in (Image.fromarray(numbers), Image.fromarray(numbers.astype(np.uint16)) if name == 'a.png' else None,
                  Image.fromarray(numbers).convert('RGB')):
      if image is not None:
        image.save(path)
        seeds.append(seed_of(path))

  def read(path: str) -> None:
    base.read_picture(path)
    base.read_labels(path)
    base.read_labels(path, grey=True)
  return Changed(seeds, read, tokens=_PICTURE_TOKENS)


def _jsonl_entry(folder: str) -> Entry:
  """Labels of one's own photographs, to records."""
  rng = np.random.default_rng(0)
  Image.fromarray(rng.integers(0, 255, [40, 60, 3], np.uint8)).save(os.path.join(folder, 'photo.png'))
  Image.fromarray(rng.integers(0, 255, [40, 60], np.uint8)).save(os.path.join(folder, 'mask.png'))
  plain = {'image': 'photo.png', 'hand': 'left', 'joints_2d_px': rng.uniform(0, 40, [21, 2]).round(1).tolist(),
           'score': .9, 'valid': [1] * 21}
  full = {**plain, 'group': 'anna', 'intrinsics': [50., 50., 30., 20.], 'mask': 'mask.png', 'source': 'x',
          'joints_3d_m': rng.normal(0, .1, [21, 3]).round(3).tolist(), 'licence': 'CC0'}
  path = os.path.join(folder, 'labels.jsonl')
  content = '\n'.join(map(json.dumps, (plain, full))).encode()

  def read(path: str) -> None:
    from dhpe_tf.tasks.hand.record import HAND_RECORD
    for label in label_lines.read_labels(path):
      HAND_RECORD.schema.encode(jsonl.to_record(label_lines.check(label)))
  return Changed([Seed(path, content, mutations.change_json_line)], read, tokens=mutations.TEXT_TOKENS,
                 also=('photo.png',))


def _submission_entry(folder: str) -> Entry:
  path = os.path.join(folder, 'a.zip')
  rng = np.random.default_rng(0)
  submissions.write(path, 'freihand', rng.normal(size=[2, 21, 3]), rng.normal(size=[2, 778, 3]), decimals=1)
  change = mutations.inside_zip(mutations.change_json)
  tokens = b'PK\1\2', b'PK\3\4', b'PK\5\6', b'pred.json'
  return Changed([seed_of(path), seed_of(path, change), seed_of(path, change)],
                 lambda path: submissions.read(path, 'freihand'), tokens=tokens)


def _report_entry(folder: str) -> Entry:
  """The report of another run, whose curves `evaluate --compare` draws."""
  path = os.path.join(folder, 'report.json')
  curves = {name: {'root': [0., .5, 1.], 'palm': [0., .25, .5]} for name in ('model', 'mean of train')}
  entry = {'summary': 'x', 'results': {'model': {'auc': {'value': .5, 'unit': '', 'definition': 'x'}}},
           'curves': curves, 'lines': {'model': {}}}
  content = json.dumps({'images': 2, 'protocols': {'own-size': entry}, 'curves_over': {'x': [0, 1, 2], 'label': 'mm'}})
  return Changed([Seed(path, content.encode(), mutations.change_json)], lambda path: reports.read_curves([path]),
                 tokens=mutations.TEXT_TOKENS)


def _video_entry(folder: str) -> Entry:
  """Videos in three containers, and a GIF in the place of one, read frame by frame."""
  from dhpe_tf.data import video_files
  seeds, rng = [], np.random.default_rng(0)
  for ending in ('mp4', 'mkv', 'mov'):
    path = os.path.join(folder, f'a.{ending}')
    with video_files.write_video(path, (32, 48), 10.) as writer:
      for _ in range(4):
        writer.write(rng.integers(0, 255, [32, 48, 3], np.uint8))
    seeds.append(seed_of(path))
  gif, path = io.BytesIO(), os.path.join(folder, 'a.avi')
  Image.fromarray(rng.integers(0, 255, [32, 48, 3], np.uint8)).save(gif, 'GIF')
  seeds.append(Seed(path, gif.getvalue()))

  def read(path: str) -> None:
    with video_files.read_frames(path) as frames:
      sizes = {frame.picture.shape for _, frame in zip(range(200), frames)}
      assert len(sizes) <= 1, f'frames of {sizes}'
  return Changed(seeds, read, tokens=(b'moov', b'trak', b'stsz', b'stco', b'stts', b'mdat', b'avcC', b'hvcC', b'ftyp',
                                      b'elst', b'\x1a\x45\xdf\xa3', b'\0\0\0\1', b'tkhd', b'udta', b'meta'))


ENTRIES = {
    'pickle': _pickle_entry, 'mano': _mano_entry, 'hand_npz': _hand_npz_entry, 'npz': _npz_entry, 'torch': _torch_entry,
    'gin': _gin_entry, 'mat': _mat_entry, 'png': _picture_entry('PNG', 'png'),
    'jpeg': _picture_entry('JPEG', 'jpg', quality=60), 'webp': _picture_entry('WEBP', 'webp'),
    'gif': _picture_entry('GIF', 'gif'), 'bmp': _picture_entry('BMP', 'bmp'), 'label_pictures': _label_picture_entry,
    'jsonl': _jsonl_entry, 'submission': _submission_entry, 'report': _report_entry, 'video': _video_entry,
}

_READ_PICTURE = '`image_files.read_image`, `read_upright`, `read_image_size`'
ABOUT = {
    'pickle': '`restricted_pickle.load`, `to_floats`', 'mano': '`load_hand_model` on .pkl',
    'hand_npz': '`load_hand_model` on .npz', 'npz': '`plain_arrays.read_npz`', 'torch': '`torch_weights.read_state`',
    'gin': '`configuration.load`', 'mat': '`mat_files.read`', **dict.fromkeys(('png', 'jpeg', 'webp', 'gif', 'bmp'),
                                                                             _READ_PICTURE),
    'label_pictures': '`base.read_picture`, `read_labels`', 'jsonl': '`label_lines`, `jsonl.to_record`',
    'submission': '`submissions.read`', 'report': '`reports.read_curves`, by `evaluate --compare`',
    'video': '`video_files.read_frames`',
}
