import numpy as np
import pytest
from PIL import Image

from data_tools.readers import base, photographs
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand.record import SCHEMA


@pytest.fixture(name='folder')
def _folder(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 255, [30, 40, 3], np.uint8)
  for name in ('a/1.jpg', 'a/2.PNG', 'b/1.webp', 'c.bmp', 'd.jpeg'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(tmp_path / name)
  (tmp_path / 'notes.txt').write_text('no picture')
  return tmp_path


def _examples(reader, split):
  return list(base.examples(reader, split, base.Skipped(fatal=True)))


def test_all_pictures_without_labels(folder):
  examples = _examples(photographs.PhotographsReader(folder, 'left'), 'train')
  assert [example['image/id'] for example in examples] == ['a/1.jpg', 'a/2.PNG', 'b/1.webp', 'c.bmp', 'd.jpeg']
  assert [example['group'] for example in examples] == ['a', 'a', 'b', 'c.bmp', 'd.jpeg']
  for example in examples:
    assert not example['hand/joints_2d_valid'].any() and not example['hand/joints_3d_valid'].any()
    assert example['hand/side'] == 'left' and (example['image/height'], example['image/width']) == (30, 40)
    SCHEMA.encode(example)


def test_bytes_pass_unchanged_if_records_can_hold_them(folder):
  examples = {example['image/id']: example for example in _examples(photographs.PhotographsReader(folder), 'train')}
  for name in ('a/1.jpg', 'a/2.PNG', 'd.jpeg'):
    assert examples[name]['image/encoded'] == (folder / name).read_bytes()
  for name in ('b/1.webp', 'c.bmp'):
    assert examples[name]['image/encoded'].startswith(b'\x89PNG')


def test_picture_on_its_side_is_turned_upright(folder):
  with Image.open(folder / 'd.jpeg') as image:
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(folder / 'd.jpeg', exif=exif)
  example = photographs.PhotographsReader(folder).read('train', 'd.jpeg')[0]
  assert (example['image/height'], example['image/width']) == (40, 30)
  assert example['image/encoded'].startswith(b'\x89PNG')


def test_groups_are_never_cut(folder):
  for fraction in (.3, .6, .9):
    reader = photographs.PhotographsReader(folder, eval_fraction=fraction)
    groups = [{photographs._group(name) for name in reader.keys(split)} for split in ('train', 'eval')]
    assert not groups[0] & groups[1] and len(groups[0] | groups[1]) == 4
  assert not photographs.PhotographsReader(folder).keys('eval')


def test_bad_input(folder, tmp_path):
  (folder / 'a' / '1.jpg').write_bytes((folder / 'a' / '1.jpg').read_bytes()[:200])
  with pytest.raises(UserError, match='1.jpg'):
    photographs.PhotographsReader(folder).read('train', 'a/1.jpg')
  with pytest.raises(UserError, match='no such folder'):
    photographs.PhotographsReader(folder / 'z')
  (tmp_path / 'empty').mkdir()
  with pytest.raises(UserError, match='no picture'):
    photographs.PhotographsReader(tmp_path / 'empty').keys('train')
  with pytest.raises(UserError, match='--eval_fraction'):
    photographs.PhotographsReader(folder, eval_fraction=2.)
