import json

import numpy as np
import pytest

from data_tools.readers import base, interhand
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data_tools.readers import hands, interhand_files


@pytest.fixture(scope='module', name='dataset')
def _dataset(tmp_path_factory):
  root = tmp_path_factory.mktemp('interhand')
  return root, interhand_files.write(root)


def _examples(reader, split):
  return list(base.examples(reader, split, base.Skipped(fatal=True)))


@pytest.mark.parametrize('split, folder', [('train', 'train'), ('val', 'val'), ('eval', 'test')])
def test_labels_are_the_hands(dataset, split, folder):
  """World to camera, millimetres to metres, right hand first, tips first, the wrist last."""
  root, truth = dataset
  examples = _examples(interhand.InterhandReader(root), split)
  assert [example['hand/side'] for example in examples] == ['right', 'left', 'right', 'left', 'right']
  for number, example in zip((0, 1, 2, 2, 3), examples):
    hand = truth[folder, number][example['hand/side']]
    valid = example['hand/joints_3d_valid'] > 0
    np.testing.assert_allclose(example['hand/joints_3d_m'][valid], hand.keypoints_m[valid], atol=1e-6)
    pixels = hands.project(hand.keypoints_m, interhand_files.intrinsics())[valid] + .5
    np.testing.assert_allclose(example['hand/joints_2d_px'][valid], pixels, atol=1e-4)
    assert (example['image/height'], example['image/width']) == (512, 334)
    SCHEMA.encode(example)


def test_order_of_keypoints():
  np.testing.assert_array_equal(skeletons.permutation('interhand', 'dhpe'), interhand_files.PLACES)


def test_joint_that_is_not_valid(dataset):
  root, _ = dataset
  example = interhand.InterhandReader(root).read('train', 0)[0]
  np.testing.assert_array_equal(np.flatnonzero(example['hand/joints_3d_valid'] == 0), [interhand_files.LOST_KEYPOINT])
  assert example['hand/visibility'][interhand_files.LOST_KEYPOINT] == 0
  assert (example['hand/joints_3d_m'][interhand_files.LOST_KEYPOINT] == 0).all()


def test_hand_without_valid_wrist_is_left_out(dataset):
  root, _ = dataset
  examples = interhand.InterhandReader(root).read('train', interhand_files.LOST_WRIST)
  assert [example['hand/side'] for example in examples] == ['right']


def test_single_and_interacting(dataset):
  root, _ = dataset
  assert interhand.InterhandReader(root, 'single').keys('train') == [0, 1]
  assert interhand.InterhandReader(root, 'interacting').keys('train') == [2, 3]
  assert interhand.InterhandReader(root, 'single').options == {'hands': 'single'}
  ids = [example['image/id'] for example in interhand.InterhandReader(root).read('train', 2)]
  assert len(set(ids)) == 2


def test_people_make_groups(dataset):
  root, _ = dataset
  examples = _examples(interhand.InterhandReader(root), 'train')
  assert {example['group'] for example in examples} == {'train/subject0', 'train/subject1'}


@pytest.mark.parametrize('name, change, message', [
    ('data', lambda content: content['annotations'][0].pop('hand_type'), 'hand_type'),
    ('data', lambda content: content['annotations'][0].update(joint_valid=[1]), 'annotation 0: joint_valid must be'),
    ('camera', lambda content: content['0']['focal'].clear(), 'train_camera.json, .*: focal must be'),
    ('camera', lambda content: content['0']['camrot'].update({interhand_files.CAMERA: [1]}), 'camrot must be'),
    ('joint_3d', lambda content: content['0'].pop('100'), 'one release'),
    ('joint_3d', lambda content: content.update({'0': [1]}), 'train_joint_3d.json, .*: 0 must be an object'),
    ('camera', lambda content: content['0'].update(campos=3), 'train_camera.json, .*: campos must be an object'),
    ('data', lambda content: content['images'][0].update(id=[1]), 'id of an image must be'),
    ('data', lambda content: content['images'][0].update(file_name=None), 'file_name must be a text'),
    ('data', lambda content: content['images'].insert(0, 3), 'images must be a list of objects'),
    ('data', lambda content: content['annotations'][0].update(hand_type={}), 'hand_type must be a text'),
    ('joint_3d', lambda content: content['0']['100'].update(world_coord=[[10 ** 400, 0, 0]] * 42), 'world_coord'),
    ('joint_3d', lambda content: content['0']['100'].update(world_coord=[[0, 0, None]] * 42), 'world_coord'),
    ('joint_3d', lambda content: content['0']['100'].update(world_coord=[[1e300, 0, 1]] * 42),
     'joint_3d.json, capture 0, frame 100, .* make hand/joints_3d_m too large')])
def test_bad_labels(tmp_path, name, change, message):
  interhand_files.write(tmp_path, ['train'])
  path = tmp_path / 'annotations' / 'train' / f'InterHand2.6M_train_{name}.json'
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content))
  with pytest.raises(UserError, match=message):
    interhand.InterhandReader(tmp_path).read('train', 0)


def test_missing_files(tmp_path):
  with pytest.raises(UserError, match='annotations: not found'):
    interhand.InterhandReader(tmp_path)
  interhand_files.write(tmp_path, ['train'])
  reader = interhand.InterhandReader(tmp_path)
  with pytest.raises(UserError, match='InterHand2.6M_test_data.json: cannot be read'):
    reader.keys('eval')
  with pytest.raises(UserError, match='--splits must be one of train'):
    reader.keys('test')
  next((tmp_path / 'images').rglob('image0.jpg')).unlink()
  with pytest.raises(UserError, match='image0.jpg'):
    reader.read('train', 0)
