"""The command lines of the converters that have no choices of their own to test: files on disk to records and back."""
import os

import numpy as np
import pytest
from PIL import Image

from data_tools import convert_coco_hand, convert_freihand, convert_ho3d, convert_interhand, convert_photographs
from data_tools.readers import base, coco_hand, ho3d, interhand, photographs
from dhpe_tf import command_line
from dhpe_tf.data import input_pipeline, tfrecords
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data_tools.readers import coco_hand_files, freihand_files, ho3d_files, interhand_files
from tests.tasks.hand.hands import TASK


def _photographs(root):
  for i in range(3):
    Image.fromarray(np.full([40, 60, 3], 80 * i, np.uint8)).save(os.path.join(root, f'{i}.png'))


def _coco_reader(root):
  return coco_hand.CocoHandReader({'eval': f'{root}/coco_wholebody_val_v1.0.json'}, {'eval': f'{root}/val2017'})


_CASES = {
    'ho3d': (convert_ho3d, ho3d_files.write, ho3d.Ho3dReader, [], {'train': 5, 'eval': 3}),
    'interhand': (convert_interhand, interhand_files.write, interhand.InterhandReader, [],
                  {'train': 5, 'val': 5, 'eval': 5}),
    'coco_hand': (convert_coco_hand, coco_hand_files.write_wholebody, _coco_reader,
                  ['--eval_annotations=coco_wholebody_val_v1.0.json', '--eval_images=val2017'], {'eval': 3}),
    'photographs': (convert_photographs, _photographs, photographs.PhotographsReader, [], {'train': 3}),
}


def _convert(converter, root, *arguments):
  return command_line.call(converter.main, [converter.__name__, f'--input={root}', f'--output={root}/records',
                                            '--shards=2', *arguments], converter._FLAGS)


@pytest.mark.parametrize('name', _CASES)
def test_records_hold_what_was_read(tmp_path, name):
  converter, write, make_reader, arguments, counts = _CASES[name]
  write(tmp_path)
  assert _convert(converter, tmp_path, *arguments) == 0
  reader = make_reader(str(tmp_path))
  for split, count in counts.items():
    read = {example['image/id']: example for example in base.examples(reader, split, base.Skipped(True))}
    records = list(tfrecords.read(f'{tmp_path}/records', split, SCHEMA).as_numpy_iterator())
    assert len(records) == len(read) == count == tfrecords.count(f'{tmp_path}/records', split)
    for record in records:
      for field, value in read[record['image/id'].decode()].items():
        if isinstance(value, (str, bytes)):
          assert record[field] == (value.encode() if isinstance(value, str) else value), field
        else:
          np.testing.assert_allclose(record[field], value, atol=1e-4, err_msg=field)


def test_labels_of_every_split_are_looked_for_first(tmp_path, capsys):
  freihand_files.write(tmp_path, samples=1, evaluation=1, evaluation_labels=False)
  assert _convert(convert_freihand, tmp_path) == 1
  assert '--noevaluation_labels' in capsys.readouterr().err
  assert not os.path.exists(tmp_path / 'records' / 'Split-train')
  assert _convert(convert_freihand, tmp_path, '--noevaluation_labels') == 0
  batch = _batch(tmp_path, 'eval', 1)
  assert not batch['joints_2d_weight'].numpy().any()
  np.testing.assert_allclose(batch['crop_side_px'], [224.])


@pytest.mark.parametrize('name', _CASES)
def test_wrong_input_is_one_line(tmp_path, capsys, name):
  converter, _, _, arguments, _ = _CASES[name]
  assert _convert(converter, tmp_path / 'nothing', *arguments) == 1
  error = capsys.readouterr().err
  assert error.startswith('error: ') and error.count('\n') == 1


def _batch(root, split, size):
  return next(iter(input_pipeline.build_dataset(TASK, [(f'{root}/records', split, 1.)], size, 32, training=False)))


def test_without_labels_the_whole_picture_is_the_crop(tmp_path):
  _photographs(tmp_path)
  assert _convert(convert_photographs, tmp_path, '--side=left') == 0
  batch = _batch(tmp_path, 'train', 3)
  np.testing.assert_allclose(batch['crop_center_px'], np.tile([[30., 20.]], [3, 1]))
  np.testing.assert_allclose(batch['crop_side_px'], [60.] * 3)
  assert not batch['joints_2d_weight'].numpy().any() and batch['is_left'].numpy().all()
  assert np.isfinite(batch['joints_3d']).all()


def test_without_joints_the_box_is_the_crop(tmp_path):
  truth = ho3d_files.write(tmp_path, keypoints=False)
  assert _convert(convert_ho3d, tmp_path, '--splits=eval') == 0
  batch = _batch(tmp_path, 'eval', 3)
  for name, center, side in zip(batch['id'].numpy(), batch['crop_center_px'].numpy(), batch['crop_side_px'].numpy()):
    left, top, right, bottom = truth[tuple(name.decode().split('/'))][1]['handBoundingBox']
    np.testing.assert_allclose(center, [(left + right) / 2, (top + bottom) / 2], atol=1e-3)
    np.testing.assert_allclose(side, 1.2 * max(right - left, bottom - top), rtol=1e-5)
