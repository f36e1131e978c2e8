import json
import os
import resource
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from data_tools import convert_jsonl
from data_tools.readers import jsonl
from dhpe_tf import command_line
from dhpe_tf.data import tfrecords
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data.test_image_files import png_header


def label(number, **fields):
  random = np.random.default_rng(number)
  return {'image': f'{number}.jpg', 'hand': 'right', 'group': f'g{number // 2}', 'score': 0.5 + number / 20,
          'source': 'one/set', 'joints_2d_px': random.uniform(5, 35, (21, 2)).tolist(),
          'joints_3d_m': random.normal(0, 0.05, (21, 3)).tolist(), **fields}


@pytest.fixture
def folder(tmp_path):
  """Ten photographs of five groups."""
  for number in range(10):
    picture = np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / f'{number}.jpg')
  return tmp_path


def convert(folder, lines=None, **values):
  if lines is not None:
    with open(folder / 'labels.jsonl', 'w', encoding='utf-8') as file:
      file.writelines((line if isinstance(line, str) else json.dumps(line)) + '\n' for line in lines)
  options = {'labels': folder / 'labels.jsonl', 'output': folder / 'records', 'shards': 1, **values}
  argv = ['convert_jsonl', *(f'--{name}={value}' for name, value in options.items())]
  return command_line.call(convert_jsonl.main, argv, convert_jsonl._FLAGS)


def read(folder, split='train'):
  return list(tfrecords.read(str(folder / 'records'), split, SCHEMA).as_numpy_iterator())


def about(folder):
  with open(folder / 'records' / 'dataset.json', encoding='utf-8') as file:
    return json.load(file)


def test_labels_and_bytes_come_through(folder):
  Image.new('L', (50, 40), 255).save(folder / 'mask.png')
  labels = [label(0), label(0, hand='left', intrinsics=[100, 101, 25, 20], mask='mask.png')]
  assert convert(folder, labels, eval_fraction=0) == 0
  first, second = read(folder)
  assert first['image/encoded'] == (folder / '0.jpg').read_bytes()
  assert (first['image/height'], first['image/width'], first['image/id']) == (40, 50, b'0.jpg')
  np.testing.assert_allclose(first['hand/joints_2d_px'], labels[0]['joints_2d_px'], rtol=1e-6)
  metres = np.array(labels[0]['joints_3d_m'])
  np.testing.assert_allclose(first['hand/joints_3d_m'], metres - metres[9], atol=1e-7)
  np.testing.assert_array_equal(first['camera/intrinsics'], np.zeros((3, 3)))
  assert (first['source'], first['group'], first['hand/side']) == (b'one/set', b'g0', b'right')
  assert second['hand/side'] == b'left'
  np.testing.assert_allclose(second['hand/joints_3d_m'], metres, atol=1e-7)
  np.testing.assert_array_equal(second['camera/intrinsics'], [[100, 0, 25], [0, 101, 20], [0, 0, 1]])
  assert second['mask/encoded'][:4] == b'\x89PNG'


def test_groups_are_never_cut(folder):
  assert convert(folder, [label(i) for i in range(10)], eval_fraction=0.4) == 0
  train, held_out = ({record['group'] for record in read(folder, split)} for split in ('train', 'eval'))
  assert train and held_out and not train & held_out
  assert about(folder)['eval_groups'] == sorted(name.decode() for name in held_out)
  assert convert(folder, [label(i) for i in range(10)], eval_groups='g1,g4') == 0
  assert sorted(record['image/id'] for record in read(folder, 'eval')) == [b'2.jpg', b'3.jpg', b'8.jpg', b'9.jpg']


def test_choice_of_groups():
  many = {f'person{i}' for i in range(1000)}
  chosen = jsonl.choose_groups(many, 0.2)
  assert 150 < len(chosen) < 250
  assert jsonl.choose_groups(many | {'another'}, 0.2) - {'another'} == chosen
  for fraction in (0.01, 0.5, 0.99):
    assert len(jsonl.choose_groups({'anna', 'ben'}, fraction)) == 1
  assert jsonl.choose_groups({'anna', 'ben'}, 0.) == set()
  assert jsonl.choose_groups({'anna', 'ben'}, 1.) == {'anna', 'ben'}


def test_filters_and_teacher(folder):
  labels = [label(i, source='one/set' if i % 2 else 'other/set') for i in range(10)]
  assert convert(folder, labels, eval_fraction=0, sources='one', min_score=0.7, teacher='MediaPipe') == 0
  assert sorted(record['image/id'] for record in read(folder)) == [b'5.jpg', b'7.jpg', b'9.jpg']
  assert {record['source'] for record in read(folder)} == {b'one/set; labels by MediaPipe'}
  assert about(folder)['teacher'] == 'MediaPipe'


def test_joints_without_label_may_be_null(folder):
  joints = label(0)['joints_2d_px']
  joints[4] = [None, None]
  assert convert(folder, [label(0, joints_2d_px=joints, valid=[1] * 4 + [0] + [1] * 16)], eval_fraction=0) == 0
  record, = read(folder)
  np.testing.assert_array_equal(record['hand/joints_2d_px'][4], [0, 0])
  assert record['hand/joints_2d_valid'].sum() == 20


def test_turned_photograph_is_stored_upright(folder):
  exif = Image.Exif()
  exif[0x0112] = 6
  Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / '0.jpg', exif=exif)
  assert convert(folder, [label(0)], eval_fraction=0) == 0
  assert (read(folder)[0]['image/height'], read(folder)[0]['image/width']) == (50, 40)


def huge_header(folder):
  (folder / '1.jpg').write_bytes(png_header(60000, 60000))


def cut_off(folder):
  data = (folder / '1.jpg').read_bytes()
  (folder / '1.jpg').write_bytes(data[:len(data) // 2])


NAN = [[float('nan'), 1.]] * 21


@pytest.mark.parametrize('bad, message', [
    (label(1, joints_2d_px=NAN), 'joints_2d_px holds NaN'),
    (label(1, joints_3d_m=[[0, 0, float('inf')]] * 21), 'joints_3d_m holds NaN or infinity'),
    (label(1, joints_3d_m=[[0, 1e300, 1]] * 21), 'joints_3d_m holds 1e+300, which is beyond float32'),
    (label(1, joints_2d_px=[[-1e300, 0]] * 21), 'joints_2d_px holds -1e+300, which is beyond float32'),
    (label(1, valid=[1] * 20 + [-1]), 'valid holds -1, not a number from 0 to 1'),
    (label(1, valid=[1] * 20 + [1e300]), 'valid holds 1e+300, which is beyond float32'),
    (label(1, valid=[2] + [1] * 20), 'valid holds 2, not a number from 0 to 1'),
    (label(1, hand='up'), "hand is 'up', not 'right' or 'left'"),
    (label(1, joints_2d_px=[[1, 2]] * 20), r'joints_2d_px has shape (20, 2), not (21, 2)'),
    (label(1, joints_2d_px='many'), 'joints_2d_px holds something that is not a number'),
    (label(1, hand='both'), "hand is 'both', not 'right' or 'left'"),
    (label(1, score='good'), 'score holds something that is not a number'),
    (label(1, image='none.jpg'), 'none.jpg: cannot be read'),
    (label(1, image='labels.jsonl'), 'labels.jsonl: not a picture'),
    (label(1, mask='0.jpg', image='small.png'), 'mask has size (40, 50), its picture (3, 4)'),
    ({'image': '1.jpg', 'hand': 'left'}, 'field joints_2d_px is missing'),
    (label(1, joints_2d_px=[[10 ** 400, 0]] * 21), 'joints_2d_px holds something that is not a number'),
    (label(1, joints_2d_px=[['1', '2']] * 21), 'joints_2d_px holds something that is not a number'),
    (label(1, image=['1.jpg']), 'image must be a text'), (label(1, hand={}), 'hand must be a text'),
    (label(1, group=[]), 'group must be a text or a number'),
    (label(1, source=[[[1]]]), 'source must be a text'), ('{"image": ' + '[' * 100000, 'nested too deeply'),
    ('{"image": "' + 'a' * (1 << 20) + '"}', 'write one hand a line'), (label(1, image='/dev/zero'), 'no plain file'),
    ('{"image": "\\ud800"}', 'surrogates'), ('{"image": "a\\u0000b"}', 'the character NUL'),
    ('{"image": ', 'not JSON'), ('[1, 2]', 'not a JSON object'), (huge_header, 'its header announces'),
    (cut_off, 'damaged or cut off'),
])
def test_bad_input_stops_with_one_line_and_leaves_nothing(folder, bad, message, capsys):
  Image.new('RGB', (4, 3)).save(folder / 'small.png')
  if callable(bad):
    bad(folder)
    bad = label(1)
  assert convert(folder, [label(0), bad, label(2)], eval_fraction=0) == 1
  error = capsys.readouterr().err.split('error: ')[1]
  assert message in error and 'labels.jsonl:2' in error and error.count('\n') == 1
  assert not os.path.exists(folder / 'records')
  if not isinstance(bad, str):
    assert convert(folder, [label(0), bad, label(2)], eval_fraction=0, on_error='skip') == 0
    assert [record['image/id'] for record in read(folder)] == [b'0.jpg', b'2.jpg']
    assert len(about(folder)['skipped']) == 1


def test_an_earlier_record_set_is_replaced_whole_and_other_folders_are_left_alone(folder, capsys):
  assert convert(folder, [label(i) for i in range(10)], eval_groups='g1') == 0
  assert convert(folder, [label(0, hand='neither')]) == 1
  assert len(read(folder)) == 8 and len(read(folder, 'eval')) == 2
  assert convert(folder, [label(i) for i in range(10)], eval_fraction=0) == 0
  assert len(read(folder)) == 10 and not os.path.exists(folder / 'records' / 'Split-eval')
  assert convert(folder, [label(0)], output=folder) == 1
  assert 'is no record set' in capsys.readouterr().err and os.path.exists(folder / '0.jpg')


def test_a_write_that_fails_leaves_nothing(folder, capsys):
  """A limit on the length of files makes the operating system refuse, as it does on a full disk."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  assert convert(folder, [label(i % 10) for i in range(40)], eval_fraction=0) == 0
  os.rename(folder / 'records', folder / 'earlier')
  resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
  try:
    status = convert(folder, eval_fraction=0)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  assert status == 1
  assert sorted(name for name in os.listdir(folder) if 'records' in name) == []
  assert capsys.readouterr().err.split('error: ')[1].count('\n') == 1


def test_what_is_asked_for_must_be_there(folder, capsys):
  for values, message in (({'eval_groups': 'carl'}, "no label has group 'carl'"), ({'min_score': 2}, 'no label passes'),
                          ({'labels': folder / 'none.jsonl'}, 'none.jsonl: cannot be read')):
    assert convert(folder, [label(0)], **values) == 1
    assert message in capsys.readouterr().err


def test_labels_are_never_all_in_memory(folder, capsys):
  """All are read, and left out by their score; parsed they would take twelve times the size of the file."""
  lines = [json.dumps(label(number % 10, score=.1)) for number in range(100)] * 60
  (folder / 'labels.jsonl').write_text('\n'.join(lines))
  tracemalloc.start()
  assert convert(folder, min_score=.5) == 1
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert 'no label passes --sources and --min_score' in capsys.readouterr().err
  assert peak < (folder / 'labels.jsonl').stat().st_size / 4


def test_of_many_bad_labels_the_first_are_named_and_all_are_counted(folder, capsys, monkeypatch):
  monkeypatch.setattr(convert_jsonl, '_MOST_MESSAGES', 2)
  assert convert(folder, [label(0), *[{}] * 5], on_error='skip', eval_fraction=0) == 0
  said = capsys.readouterr()
  assert 'labels.jsonl:3: field image is missing' in said.err and 'labels.jsonl:4' not in said.err
  assert 'skipped: 3 more' in said.err and '1 train, 5 skipped' in said.out
  assert len(about(folder)['skipped']) == 2


def test_an_empty_output_leaves_the_working_folder_as_it_is(folder, capsys, monkeypatch):
  monkeypatch.chdir(folder)
  assert convert(folder, [label(0)], output='') == 1
  assert 'error: --output is empty' in capsys.readouterr().err and (folder / '0.jpg').exists()


def test_a_teacher_of_any_bytes_is_refused(folder, capsys):
  assert convert(folder, [label(0)], teacher='\udcff') == 1
  assert 'error: --teacher=\\xff holds bytes that are no UTF-8' in capsys.readouterr().err
