import io

import numpy as np
import pytest
from PIL import Image

from data_tools import convert_dexter_object
from data_tools.readers import base, dexter_object
from dhpe_tf import command_line
from dhpe_tf.data import tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data_tools.readers import dexter_object_files, hands

TIPS = list(skeletons.TIPS)


@pytest.fixture(scope='module', name='dataset')
def _dataset(tmp_path_factory):
  root = tmp_path_factory.mktemp('do')
  return root, dexter_object_files.write(root)


def test_tips_are_the_hands(dataset):
  root, truth = dataset
  examples = {example['image/id']: example
              for example in base.examples(dexter_object.DexterObjectReader(root), 'eval', base.Skipped(fatal=True))}
  # One frame has no label at all.
  assert len(examples) == 11 and 'Pinch/Color_0001' not in examples
  for name, example in examples.items():
    sequence, frame = name.split('/')[0], int(name[-4:]) - 1
    hand = truth[sequence, frame]
    valid = [(sequence, frame, tip) not in dexter_object_files.MISSING for tip in range(5)]
    np.testing.assert_array_equal(example['hand/joints_3d_valid'][TIPS] > 0, valid)
    assert example['hand/joints_3d_valid'].sum() == sum(valid)
    np.testing.assert_allclose(example['hand/joints_3d_m'][TIPS][valid], hand.keypoints_m[TIPS][valid], atol=1e-6)
    pixels = hands.project(hand.keypoints_m[TIPS], dexter_object_files.INTRINSICS) + .5
    np.testing.assert_allclose(example['hand/joints_2d_px'][TIPS][valid], pixels[valid], atol=1e-3)
    assert example['hand/side'] == 'left'
    SCHEMA.encode(example)


def test_missing_tips_leave_no_number_behind(dataset):
  root, _ = dataset
  example = dexter_object.DexterObjectReader(root).read('eval', dexter_object.Key('Grasp1', 'Color_0002.bmp', 1))[0]
  missing = [TIPS[2], TIPS[3]]
  np.testing.assert_array_equal(example['hand/joints_3d_m'][missing], 0)
  np.testing.assert_array_equal(example['hand/visibility'][missing], 0)


def test_picture_is_kept_exactly(dataset):
  root, _ = dataset
  example = dexter_object.DexterObjectReader(root).read('eval', dexter_object.Key('Rigid', 'Color_0001.bmp', 0))[0]
  stored = np.array(Image.open(root / 'dexter+object' / 'data' / 'Rigid' / 'color' / 'Color_0001.bmp'))
  np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(example['image/encoded']))), stored)
  assert example['image/encoded'][:4] == b'\x89PNG'


def test_corrected_labels_are_a_choice(dataset, tmp_path):
  root, _ = dataset
  with pytest.raises(UserError, match='my_Grasp13D.txt'):
    dexter_object.DexterObjectReader(root, 'corrected').read('eval', dexter_object.Key('Grasp1', 'Color_0001.bmp', 0))
  dexter_object_files.write(tmp_path, frames=1, prefix='my_')
  reader = dexter_object.DexterObjectReader(tmp_path, 'corrected')
  assert len(list(base.examples(reader, 'eval', base.Skipped(fatal=True)))) == 5


def test_bad_files(tmp_path):
  dexter_object_files.write(tmp_path, frames=1)
  path = tmp_path / 'dexter+object' / 'data' / 'Grasp2' / 'annotations' / 'Grasp23D.txt'
  key = dexter_object.Key('Grasp2', 'Color_0001.bmp', 0)
  for text, message in (('1, 2, 3; 4, x, 6;', 'Grasp23D.txt: lines of fields'), ('1, 2, 3; 4, 5, 6', '5 fields'),
                        ('', '5 fields')):
    path.write_text(text)
    with pytest.raises(UserError, match=message):
      dexter_object.DexterObjectReader(tmp_path).read('eval', key)
  with pytest.raises(UserError, match='no line 9'):
    dexter_object.DexterObjectReader(tmp_path).read('eval', dexter_object.Key('Rigid', 'Color_0009.bmp', 8))
  with pytest.raises(UserError, match='evaluation only'):
    dexter_object.DexterObjectReader(tmp_path).keys('train')


def test_converts(dataset, tmp_path):
  root, _ = dataset
  arguments = ['convert_dexter_object', f'--input={root}', f'--output={tmp_path}', '--shards=1']
  assert command_line.call(convert_dexter_object.main, arguments, convert_dexter_object._FLAGS) == 0
  assert tfrecords.count(str(tmp_path), 'eval') == 11
