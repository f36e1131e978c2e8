import json
import os

import numpy as np
import pytest
from PIL import Image

from data_tools.readers import base, coco_hand
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data_tools.readers import coco_hand_files


def _onehand10k(root, side='right', **options):
  return coco_hand.CocoHandReader({'train': f'{root}/annotations/onehand10k_train.json',
                                   'eval': f'{root}/annotations/onehand10k_test.json'},
                                  {'train': str(root), 'eval': str(root)}, side, name='onehand10k', **options)


def _wholebody(root, **options):
  return coco_hand.CocoHandReader({'eval': f'{root}/coco_wholebody_val_v1.0.json'}, {'eval': f'{root}/val2017'},
                                  **options)


def _examples(reader, split):
  return list(base.examples(reader, split, base.Skipped(fatal=True)))


def test_onehand10k(tmp_path):
  truth = coco_hand_files.write_onehand10k(tmp_path)
  examples = _examples(_onehand10k(tmp_path), 'train')
  for example, hand in zip(examples, truth):
    valid = np.ones(21)
    valid[list(coco_hand_files.UNLABELLED)] = 0
    np.testing.assert_array_equal(example['hand/joints_2d_valid'], valid)
    np.testing.assert_array_equal(example['hand/visibility'], valid)
    np.testing.assert_allclose(example['hand/joints_2d_px'], coco_hand_files.pixels(hand) * valid[:, None], atol=1e-4)
    assert not example['hand/joints_3d_valid'].any() and not example['camera/intrinsics'].any()
    assert example['source'] == 'onehand10k' and example['hand/side'] == 'right'
    SCHEMA.encode(example)
  assert len(examples) == len(_examples(_onehand10k(tmp_path), 'eval')) == 2


def test_outlines_of_boxes_are_no_masks(tmp_path):
  coco_hand_files.write_onehand10k(tmp_path)
  assert _examples(_onehand10k(tmp_path), 'train')[0]['mask/encoded'] == b''


def test_names_of_the_categories_tell_the_order(tmp_path):
  """RHD as MMPose has it names each finger from its tip."""
  names = ['wrist'] + [f'{finger}{k}' for finger in coco_hand_files.FINGERS for k in (4, 3, 2, 1)]
  truth = coco_hand_files.write_onehand10k(tmp_path, 1, names)
  example = _examples(_onehand10k(tmp_path), 'train')[0]
  valid = example['hand/joints_2d_valid'] > 0
  np.testing.assert_allclose(example['hand/joints_2d_px'][valid], coco_hand_files.pixels(truth[0])[valid], atol=1e-4)


def test_a_joint_order_that_is_asked_for_wins_over_the_categories(tmp_path):
  """The categories of MMPose's file of RHD name base to tip; its keypoints run from tip to base."""
  names = ['wrist'] + [f'{finger}{k}' for finger in coco_hand_files.FINGERS for k in (4, 3, 2, 1)]
  truth = coco_hand_files.write_onehand10k(tmp_path, 1, names)
  path = tmp_path / 'annotations' / 'onehand10k_train.json'
  content = json.loads(path.read_text())
  content['categories'][0]['keypoints'] = coco_hand_files.NAMES
  path.write_text(json.dumps(content))
  pixels = coco_hand_files.pixels(truth[0])
  for order, right in (('rhd', True), (None, False)):
    reader = _onehand10k(tmp_path, joint_order=order)
    assert np.allclose(_examples(reader, 'train')[0]['hand/joints_2d_px'][8], pixels[8], atol=1e-3) == right
    assert reader.options['joint_order'] == (order or 'by the categories')


def test_joint_order_is_by_option_without_names(tmp_path):
  names = ['wrist'] + [f'{finger}{k}' for finger in coco_hand_files.FINGERS for k in (4, 3, 2, 1)]
  truth = coco_hand_files.write_onehand10k(tmp_path, 1, names)
  path = tmp_path / 'annotations' / 'onehand10k_train.json'
  content = json.loads(path.read_text())
  del content['categories']
  path.write_text(json.dumps(content))
  pixels = coco_hand_files.pixels(truth[0])
  for order, right in (('rhd', True), ('dhpe', False)):
    example = _examples(_onehand10k(tmp_path, joint_order=order), 'train')[0]
    assert np.allclose(example['hand/joints_2d_px'][8], pixels[8], atol=1e-3) == right


def test_wholebody(tmp_path):
  truth = coco_hand_files.write_wholebody(tmp_path)
  examples = _examples(_wholebody(tmp_path), 'eval')
  assert [example['hand/side'] for example in examples] == ['right', 'left', 'left']
  for example in examples:
    valid = example['hand/joints_2d_valid'] > 0
    pixels = coco_hand_files.pixels(truth[example['hand/side']])
    np.testing.assert_allclose(example['hand/joints_2d_px'][valid], pixels[valid], atol=1e-4)
    np.testing.assert_array_equal(np.flatnonzero(~valid), coco_hand_files.UNLABELLED)
    # Each hand has a 2, so its 1 means hidden.
    assert sorted(np.flatnonzero(example['hand/visibility'] == 0)) == sorted(
        coco_hand_files.UNLABELLED + coco_hand_files.HIDDEN)
    np.testing.assert_allclose(example['hand/box_px'][:2], pixels.min(0), atol=1e-3)
  assert len({example['image/id'] for example in examples}) == 3


def _set_v(path, side, change):
  content = json.loads(path.read_text())
  for person in content['annotations']:
    marks = np.array(person[f'{side}hand_kpts'], float).reshape(21, 3)
    marks[:, 2] = change(marks[:, 2])
    person[f'{side}hand_kpts'] = marks.ravel().tolist()
  path.write_text(json.dumps(content))


@pytest.mark.parametrize('min_v, unlabelled', [(.5, [3, 5, 6, 17]), (.3, [3, 17]), (0., [3, 17])])
def test_fractions_of_v_count_from_a_threshold(tmp_path, min_v, unlabelled):
  coco_hand_files.write_wholebody(tmp_path)
  # What was hidden gets .4, what was seen .9.
  _set_v(tmp_path / 'coco_wholebody_val_v1.0.json', 'right', lambda v: np.choose(v.astype(int), [0., .4, .9]))
  example = _examples(_wholebody(tmp_path, min_v=min_v), 'eval')[0]
  assert example['hand/side'] == 'right'
  np.testing.assert_array_equal(np.flatnonzero(example['hand/joints_2d_valid'] == 0), unlabelled)
  np.testing.assert_array_equal(np.flatnonzero(example['hand/visibility'] == 0), unlabelled)


def test_whether_1_means_hidden_is_told_by_each_hand(tmp_path):
  coco_hand_files.write_wholebody(tmp_path)
  _set_v(tmp_path / 'coco_wholebody_val_v1.0.json', 'right', lambda v: np.minimum(v, 1))
  right, left = _examples(_wholebody(tmp_path), 'eval')[:2]
  assert (right['hand/side'], left['hand/side']) == ('right', 'left')
  np.testing.assert_array_equal(np.flatnonzero(right['hand/visibility'] == 0), coco_hand_files.UNLABELLED)
  assert set(coco_hand_files.HIDDEN) <= set(np.flatnonzero(left['hand/visibility'] == 0))


def test_side_must_come_from_somewhere(tmp_path):
  coco_hand_files.write_onehand10k(tmp_path)
  with pytest.raises(UserError, match='onehand10k_train.json, annotation 100.*--side'):
    _examples(_onehand10k(tmp_path, side=None), 'train')
  path = tmp_path / 'annotations' / 'onehand10k_train.json'
  content = json.loads(path.read_text())
  for annotation in content['annotations']:
    annotation['hand_type'] = 'left'
  path.write_text(json.dumps(content))
  assert {example['hand/side'] for example in _examples(_onehand10k(tmp_path), 'train')} == {'left'}


def test_names_of_pictures_tell_the_side(tmp_path):
  """As CMU Panoptic names them."""
  coco_hand_files.write_onehand10k(tmp_path)
  path = tmp_path / 'annotations' / 'onehand10k_train.json'
  content = json.loads(path.read_text())
  for image, name in zip(content['images'], ('000015774_01_l.jpg', '000015774_01_r.jpg')):
    os.rename(tmp_path / image['file_name'], tmp_path / name)
    image['file_name'] = name
  path.write_text(json.dumps(content))
  sides = [example['hand/side'] for example in _examples(_onehand10k(tmp_path, side=None), 'train')]
  assert sides == ['left', 'right']
  assert [example['hand/side'] for example in _examples(_onehand10k(tmp_path), 'train')] == ['right', 'right']


def test_turned_photographs_must_fit_their_labels(tmp_path):
  """A picture that says it lies on its side is turned upright; its labels must be made that way too."""
  coco_hand_files.write_onehand10k(tmp_path, 1)
  path = os.path.join(tmp_path, 'Train', 'source', '0.jpg')
  with Image.open(path) as image:
    exif = image.getexif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(path, exif=exif, quality=95)
  example = _examples(_onehand10k(tmp_path), 'train')[0]
  assert (example['image/height'], example['image/width']) == coco_hand_files.SIZE
  with Image.open(path) as image:
    image.save(path)
  with pytest.raises(UserError, match='is 240 x 320 pixels, its label says 320 x 240'):
    _examples(_onehand10k(tmp_path), 'train')


@pytest.mark.parametrize('change', [
    lambda content: content.pop('images'), lambda content: content['annotations'][0].update(keypoints=[0] * 60),
    lambda content: content['annotations'][0].update(image_id=-1), lambda content: content.update(annotations=3),
    lambda content: content['annotations'][0]['keypoints'].__setitem__(0, None),
    lambda content: content['annotations'][0].update(image_id={}), lambda content: content['annotations'].insert(0, 1),
    lambda content: content['annotations'][0].update(bbox='abcd'),
    lambda content: content['annotations'][0].update(bbox=[None] * 4), lambda content: content.update(categories={}),
    lambda content: content['images'][0].update(file_name=7), lambda content: content['images'][0].pop('id')])
def test_bad_labels(tmp_path, change):
  coco_hand_files.write_onehand10k(tmp_path, 1)
  path = tmp_path / 'annotations' / 'onehand10k_train.json'
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content))
  with pytest.raises(UserError, match='onehand10k_train.json') as caught:
    _onehand10k(tmp_path).keys('train')
  assert '\n' not in str(caught.value)


def test_a_picture_that_cannot_be_read_is_named_with_its_annotation(tmp_path):
  coco_hand_files.write_onehand10k(tmp_path, 1)
  path = tmp_path / 'annotations' / 'onehand10k_train.json'
  content = json.loads(path.read_text())
  content['images'][0]['file_name'] = '/'
  path.write_text(json.dumps(content))
  with pytest.raises(UserError, match='onehand10k_train.json, annotation 100: /: cannot be read .it is no plain file'):
    _onehand10k(tmp_path, side='right').read('train', 0)


def test_names_of_keypoints_that_are_no_texts_are_not_taken(tmp_path):
  coco_hand_files.write_onehand10k(tmp_path, 1)
  path = tmp_path / 'annotations' / 'onehand10k_train.json'
  content = json.loads(path.read_text())
  content['categories'] = [{'keypoints': 5}, {'keypoints': [None, '']}]
  path.write_text(json.dumps(content))
  assert len(_onehand10k(tmp_path).keys('train')) == 1


def test_wrong_arguments(tmp_path):
  with pytest.raises(UserError, match='cannot be read'):
    _onehand10k(tmp_path).keys('train')
  with pytest.raises(UserError, match='--train_annotations'):
    coco_hand.CocoHandReader({}, {})
  with pytest.raises(UserError, match='--joint_order must be one of'):
    _onehand10k(tmp_path, joint_order='mano16')
  with pytest.raises(UserError, match='--side must be'):
    _onehand10k(tmp_path, side='both')
