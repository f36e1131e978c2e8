import io
import os
import pickle

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_tools.readers import base, rhd
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data_tools.readers import hands, rhd_files


@pytest.fixture(scope='module', name='dataset')
def _dataset(tmp_path_factory):
  root = tmp_path_factory.mktemp('rhd')
  return root, rhd_files.write(root)


def _mask(example):
  return np.array(Image.open(io.BytesIO(example['mask/encoded']))) > 127



def test_labels_are_the_hands(dataset):
  root, truth = dataset
  reader = rhd.RhdReader(root, first_keypoint='wrist')
  for split, folder in (('train', 'training'), ('eval', 'evaluation')):
    read = list(base.examples(reader, split, base.Skipped(fatal=True)))
    assert [example['hand/side'] for example in read] == ['right', 'left']
    for i, example in enumerate(read):
      hand = truth[folder, i][example['hand/side']]
      np.testing.assert_allclose(example['hand/joints_3d_m'], hand.keypoints_m, atol=1e-6)
      pixels = hands.project(hand.keypoints_m, rhd_files.intrinsics(i))
      np.testing.assert_allclose(example['hand/joints_2d_px'], pixels, atol=1e-4)
      np.testing.assert_allclose(example['camera/intrinsics'], rhd_files.intrinsics(i))
      assert example['hand/joints_2d_valid'].all() and example['hand/joints_3d_valid'].all()
      SCHEMA.encode(example)


def test_picture_bytes_pass_unchanged(dataset):
  root, _ = dataset
  example = rhd.RhdReader(root).read('train', 0)[0]
  path = os.path.join(root, 'RHD_published_v2', 'training', 'color', '00000.png')
  with open(path, 'rb') as file:
    assert example['image/encoded'] == file.read()
  assert (example['image/height'], example['image/width']) == (320, 320)


def test_fingers_are_turned_from_tip_first_to_base_first(dataset):
  root, _ = dataset
  joints = rhd.RhdReader(root, first_keypoint='wrist').read('train', 0)[0]['hand/joints_3d_m']
  from_wrist = np.linalg.norm(joints - joints[0], axis=-1)
  assert (np.diff(from_wrist[1:].reshape(5, 4), axis=1) > 0).all()


def test_mask_is_the_chosen_hand_without_the_person(dataset):
  root, truth = dataset
  for i in range(2):
    example = rhd.RhdReader(root).read('train', i)[0]
    mask = _mask(example)
    hand = truth['training', i][example['hand/side']]
    x, y = np.floor(hands.project(hand.keypoints_m, rhd_files.intrinsics(i))).astype(int).T
    assert mask[y, x].mean() > .8
    # The person fills 120 of 320 columns.
    assert 500 < mask.sum() < 320 * 60


def test_side_is_that_of_more_pixels_and_right_if_equal(dataset):
  root, _ = dataset
  reader = rhd.RhdReader(root)
  masks = {'left': np.ones([2, 2], bool), 'right': np.ones([2, 2], bool)}
  nothing = np.zeros([42, 3])
  assert reader._choose(masks, nothing) == ['right']
  masks['right'][0, 0] = False
  assert reader._choose(masks, nothing) == ['left']
  by_visible = rhd.RhdReader(root, hand='visible')
  seen = np.ones([42, 3])
  assert by_visible._choose(masks, seen) == ['right']
  seen[30, 2] = 0
  assert by_visible._choose(masks, seen) == ['left']
  assert rhd.RhdReader(root, hand='both')._choose(masks, seen) == ['left', 'right']


def test_palm_is_the_middle_of_wrist_and_middle_knuckle(dataset):
  """In the order of RHD the knuckle is 12, not 9."""
  root, truth = dataset
  example = rhd.RhdReader(root).read('train', 1)[0]
  hand = truth['training', 1]['left']
  palm = (hand.keypoints_m[0] + hand.keypoints_m[9]) / 2
  np.testing.assert_allclose(example['hand/joints_3d_m'][0], palm, atol=1e-6)
  np.testing.assert_allclose(example['hand/joints_2d_px'][0], hands.project(palm[None], rhd_files.intrinsics(1))[0],
                             atol=1e-4)
  np.testing.assert_allclose(example['hand/joints_3d_m'][1:], hand.keypoints_m[1:], atol=1e-6)


def test_visibility_and_min_visible(dataset):
  root, _ = dataset
  left = rhd.RhdReader(root, first_keypoint='wrist').read('train', 1)[0]
  # Of the left hand every third label is hidden: 0 wrist, 3 thumb 2, 6 index 3, 9 middle 4, 12 middle 1, ...
  hidden = [0, 2, 7, 12, 9, 14, 19]
  np.testing.assert_array_equal(np.flatnonzero(left['hand/visibility'] == 0), sorted(hidden))
  assert left['hand/joints_2d_valid'].all()
  assert rhd.RhdReader(root, min_visible=15, hand='both').read('train', 0)[0]['hand/side'] == 'right'


def test_both_hands(dataset):
  root, _ = dataset
  examples = rhd.RhdReader(root, hand='both').read('train', 0)
  assert [example['hand/side'] for example in examples] == ['left', 'right']
  assert len({example['image/id'] for example in examples}) == 2


def test_root_may_be_the_folder_itself(dataset):
  root, _ = dataset
  assert rhd.RhdReader(os.path.join(root, 'RHD_published_v2')).keys('eval') == [0, 1]


def test_damaged_picture_is_named_and_counted(tmp_path, capsys):
  rhd_files.write(tmp_path, (('training', 3),))
  color = tmp_path / 'RHD_published_v2' / 'training' / 'color'
  (color / '00001.png').write_bytes((color / '00001.png').read_bytes()[:-20])
  (tmp_path / 'RHD_published_v2' / 'training' / 'mask' / '00002.png').write_bytes(b'no')
  reader, skipped = rhd.RhdReader(tmp_path), base.Skipped()
  assert len(list(base.examples(reader, 'train', skipped))) == 1
  assert len(skipped.messages) == 2
  assert '00001.png' in skipped.messages[0] and 'mask' in skipped.messages[1]
  assert 'skipped' in capsys.readouterr().err
  with pytest.raises(UserError, match='00001.png'):
    list(base.examples(reader, 'train', base.Skipped(fatal=True)))


@pytest.mark.parametrize('field, value', [('xyz', np.zeros([21, 3])), ('K', np.full([3, 3], np.nan)), ('uv_vis', None)])
def test_damaged_labels(tmp_path, field, value):
  rhd_files.write(tmp_path, (('training', 1),))
  path = tmp_path / 'RHD_published_v2' / 'training' / 'anno_training.pickle'
  annotations = pickle.loads(path.read_bytes())
  annotations[0][field] = value
  path.write_bytes(pickle.dumps(annotations, protocol=2))
  with pytest.raises(UserError, match=f'anno_training.pickle, sample 0: {field}'):
    rhd.RhdReader(tmp_path).read('train', 0)


def test_pickle_is_never_executed(tmp_path):
  rhd_files.write(tmp_path, (('training', 1),))
  path = tmp_path / 'RHD_published_v2' / 'training' / 'anno_training.pickle'
  path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / 'ran').encode() + b"'\ntR.")
  with pytest.raises(UserError, match='anno_training.pickle'):
    rhd.RhdReader(tmp_path).keys('train')
  assert not (tmp_path / 'ran').exists()


def test_wrong_arguments(dataset, tmp_path):
  root, _ = dataset
  with pytest.raises(UserError, match='not found'):
    rhd.RhdReader(tmp_path)
  with pytest.raises(UserError, match='--hand must be one of'):
    rhd.RhdReader(root, hand='left')
  with pytest.raises(UserError, match='--splits must be one of train'):
    rhd.RhdReader(root).keys('test')


def test_options_are_stated(dataset):
  root, _ = dataset
  assert rhd.RhdReader(root).options == {'hand': 'mask', 'first_keypoint': 'palm', 'min_visible': 0}


def test_published_counts_hold_for_one_hand_a_picture(dataset):
  root, _ = dataset
  assert rhd.RhdReader(root, hand='visible').published_counts == {'train': 41258, 'eval': 2728}
  assert not rhd.RhdReader(root, hand='both').published_counts
  assert not rhd.RhdReader(root, min_visible=10).published_counts


def test_masks_of_any_depth_and_with_equal_channels(dataset, tmp_path):
  root, _ = dataset
  with Image.open(os.path.join(root, 'RHD_published_v2', 'training', 'mask', '00000.png')) as image:
    ids = np.array(image)
  path = str(tmp_path / 'mask.png')
  for picture in (Image.fromarray(ids), Image.fromarray(ids.astype(np.uint16)),
                  Image.fromarray(np.repeat(ids[..., None], 3, 2)), Image.fromarray(ids).convert('LA'),
                  Image.fromarray(np.repeat(ids[..., None], 3, 2)).convert('RGBA')):
    picture.save(path)
    np.testing.assert_array_equal(base.read_labels(path), ids)
  Image.fromarray(ids > 1).save(path)
  np.testing.assert_array_equal(base.read_labels(path), ids > 1)


def test_masks_whose_channels_differ(tmp_path):
  path = str(tmp_path / 'mask.png')
  colours = np.zeros([4, 5, 3], np.uint8)
  colours[1, 2, 2] = 1
  Image.fromarray(colours).save(path)
  with pytest.raises(UserError, match='mask.png: .*channels must be equal'):
    base.read_labels(path)
  with open(path, 'wb') as file:
    file.write(tf.io.encode_png(tf.ones([4, 5, 3], tf.uint16)).numpy())
  with pytest.raises(UserError, match='mask.png: several channels of 16 bits'):
    base.read_labels(path)
