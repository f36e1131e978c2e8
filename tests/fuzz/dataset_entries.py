"""Entries of datasets on disk: one label file of a small dataset is changed, and every example is read and encoded."""
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from data_tools.readers import base, coco_hand, dexter_object, freihand, ho3d, interhand, photographs, rhd, stb
from dhpe_tf.tasks.hand.record import HAND_RECORD
from tests.data_tools.readers import (
  coco_hand_files,
  dexter_object_files,
  freihand_files,
  ho3d_files,
  interhand_files,
  rhd_files,
  stb_files,
)
from tests.fuzz import mutations
from tests.fuzz.cases import Changed, Entry, Seed, seed_of


def _read_all(make: Callable[[], base.Reader], splits: Sequence[str]) -> Callable[[str], Any]:
  """Reads every key of some splits with a new reader; a key that is refused does not stop the others."""
  def read(path: str) -> None:
    del path
    reader = make()
    refused = None
    for split in splits:
      for key in reader.keys(split):
        try:
          for example in reader.read(split, key):
            HAND_RECORD.schema.encode(example)
        except base.UserError as error:
          refused = refused or error
    if refused:
      raise refused
  return read


def _seeds(root: str, names: Sequence[str], change: Any = None) -> list[Seed]:
  return [seed_of(os.path.join(root, name), change) for name in names]


def _rhd_entry(folder: str) -> Entry:
  rhd_files.write(folder, (('training', 1), ('evaluation', 1)))
  root = os.path.join(folder, 'RHD_published_v2')
  return Changed(_seeds(root, ('training/anno_training.pickle', 'evaluation/anno_evaluation.pickle',
                               'training/mask/00000.png')),
                 _read_all(lambda: rhd.RhdReader(root), ('train', 'eval')), also=('/color/', '/mask/'),
                 tokens=mutations.PICKLE_TOKENS)


def _stb_entry(folder: str) -> Entry:
  stb_files.write(folder, frames=1)
  names = [os.path.join('labels', name) for name in sorted(os.listdir(os.path.join(folder, 'labels')))]
  return Changed(_seeds(folder, [name for name in names if 'B1' in name]),
                 _read_all(lambda: stb.StbReader(folder, pictures=('bb_left', 'sk_color')), ('eval',)),
                 also=('/images/',))


def _freihand_entry(folder: str) -> Entry:
  freihand_files.write(folder, samples=1, evaluation=1)
  root = os.path.join(folder, 'FreiHAND_pub_v2')
  names = [f'{split}_{field}.json' for split in ('training', 'evaluation') for field in ('K', 'xyz')]
  seeds = _seeds(root, names, mutations.change_json) + _seeds(root, ['training/mask/00000000.jpg'])
  return Changed(seeds, _read_all(lambda: freihand.FreihandReader(root, versions=('gs',)), ('train', 'eval')),
                 also=('/rgb/', 'label files differ in length'), tokens=mutations.TEXT_TOKENS)


def _ho3d_entry(folder: str) -> Entry:
  ho3d_files.write(folder, frames=1)
  root = os.path.join(folder, 'HO3D_v3')
  seeds = _seeds(root, ('train/ABF10/meta/0000.pkl', 'evaluation/SM1/meta/0000.pkl', 'train.txt', 'evaluation.txt'))
  seeds += _seeds(root, ['evaluation_xyz.json'], mutations.change_json)
  return Changed(seeds, _read_all(lambda: ho3d.Ho3dReader(root, mano_parameters=True), ('train', 'eval')),
                 also=('/meta/', '/rgb/'), tokens=mutations.PICKLE_TOKENS)


def _interhand_entry(folder: str) -> Entry:
  interhand_files.write(folder, splits=('val',))
  names = [f'annotations/val/InterHand2.6M_val_{name}.json' for name in ('data', 'camera', 'joint_3d')]
  return Changed(_seeds(folder, names, mutations.change_json),
                 _read_all(lambda: interhand.InterhandReader(folder), ('val',)),
                 also=('/images/', 'InterHand2.6M_val_'),
                 tokens=mutations.TEXT_TOKENS)


def _onehand10k_entry(folder: str) -> Entry:
  coco_hand_files.write_onehand10k(folder, count=1)
  path = os.path.join(folder, 'annotations', 'onehand10k_train.json')
  return Changed([seed_of(path, mutations.change_json)],
                 _read_all(lambda: coco_hand.CocoHandReader({'train': path}, {'train': folder}, side='right'),
                           ('train',)), also=(folder,), tokens=mutations.TEXT_TOKENS)


def _wholebody_entry(folder: str) -> Entry:
  coco_hand_files.write_wholebody(folder)
  path, pictures = os.path.join(folder, 'coco_wholebody_val_v1.0.json'), os.path.join(folder, 'val2017')
  return Changed([seed_of(path, mutations.change_json)],
                 _read_all(lambda: coco_hand.CocoHandReader({'eval': path}, {'eval': pictures}), ('eval',)),
                 also=(pictures,), tokens=mutations.TEXT_TOKENS)


def _dexter_object_entry(folder: str) -> Entry:
  dexter_object_files.write(folder, frames=1)
  root = os.path.join(folder, 'dexter+object', 'data')
  return Changed(_seeds(root, ['Grasp1/annotations/Grasp13D.txt', 'Grasp1/color/Color_0001.bmp']),
                 _read_all(lambda: _Grasp1(folder), ('eval',)), tokens=mutations.TEXT_TOKENS)


class _Grasp1(dexter_object.DexterObjectReader):
  """Reads one sequence, because the others stay as they are."""

  def keys(self, split: str) -> Sequence[dexter_object.Key]:
    return [key for key in super().keys(split) if key.sequence == 'Grasp1']


def _photographs_entry(folder: str) -> Entry:
  from PIL import Image
  os.makedirs(os.path.join(folder, 'photographs', 'anna'))
  path = os.path.join(folder, 'photographs', 'anna', 'a.jpg')
  Image.new('RGB', (20, 30), 'red').save(path)
  return Changed([seed_of(path)], _read_all(lambda: photographs.PhotographsReader(
      os.path.join(folder, 'photographs')), ('train',)), also=(f'{folder}/photographs: no picture in it',),
      tokens=(b'\xff\xe1', b'Exif\0\0', b'\xff\xda', b'\xff\xc0', b'GIF89a', b'RIFF'))


def _dataset_description_entry(folder: str) -> Entry:
  """dataset.json beside records, as `validate` reads it."""
  from data_tools import validate
  path = os.path.join(folder, 'dataset.json')
  content = json.dumps({'counts': {'train': 3}, 'published_counts': {'train': 3}, 'name': 'x', 'licence': 'CC0'})
  return Changed([Seed(path, content.encode(), mutations.change_json)], validate._about, tokens=mutations.TEXT_TOKENS)


ENTRIES = {'rhd': _rhd_entry, 'stb': _stb_entry, 'freihand': _freihand_entry, 'ho3d': _ho3d_entry,
           'interhand': _interhand_entry, 'onehand10k': _onehand10k_entry, 'wholebody': _wholebody_entry,
           'dexter_object': _dexter_object_entry, 'photographs': _photographs_entry,
           'dataset_json': _dataset_description_entry}

ABOUT = {'rhd': '`RhdReader`', 'stb': '`StbReader`', 'freihand': '`FreihandReader`', 'ho3d': '`Ho3dReader`',
         'interhand': '`InterhandReader`', 'onehand10k': '`CocoHandReader` on OneHand10K',
         'wholebody': '`CocoHandReader` on COCO-WholeBody', 'dexter_object': '`DexterObjectReader`',
         'photographs': '`PhotographsReader`', 'dataset_json': '`validate` on dataset.json'}
