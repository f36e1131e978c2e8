import io
import json

import numpy as np
import pytest
from PIL import Image

from data_tools.readers import base, coco_hand, freihand
from dhpe_tf.errors import UserError
from dhpe_tf.hand import hand_model
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data_tools.readers import freihand_files, hands


@pytest.fixture(scope='module', name='dataset')
def _dataset(tmp_path_factory):
  root = tmp_path_factory.mktemp('freihand')
  return root, freihand_files.write(root)


def test_labels_are_the_hands(dataset):
  root, truth = dataset
  reader = freihand.FreihandReader(root)
  for split, folder, count in (('train', 'training', 8), ('eval', 'evaluation', 2)):
    examples = list(base.examples(reader, split, base.Skipped(fatal=True)))
    assert len(examples) == count
    for i, example in enumerate(examples):
      hand, _ = truth[folder, i % 2]
      np.testing.assert_allclose(example['hand/joints_3d_m'], hand.keypoints_m, atol=1e-6)
      np.testing.assert_allclose(example['hand/joints_2d_px'],
                                 hands.project(hand.keypoints_m, freihand_files.intrinsics(i % 2)) + .5, atol=1e-4)
      np.testing.assert_allclose(example['camera/intrinsics'][:2, 2], [112.5, 112.5])
      assert example['hand/side'] == 'right' and example['hand/has_parameters'] == 0
      SCHEMA.encode(example)


def test_versions_are_numbered_behind_one_another(dataset):
  root, _ = dataset
  ids = [freihand.FreihandReader(root).read('train', key)[0]['image/id']
         for key in freihand.FreihandReader(root, ['gs', 'auto']).keys('train')]
  assert ids == [f'training/{number:08d}' for number in (0, 1, 6, 7)]


def test_versions_of_a_sample_make_one_group_and_share_its_mask(dataset):
  root, _ = dataset
  examples = list(base.examples(freihand.FreihandReader(root), 'train', base.Skipped(fatal=True)))
  assert len({example['group'] for example in examples}) == 2
  assert len({example['image/encoded'] for example in examples}) == 8
  for example in examples:
    assert example['mask/encoded'] == examples[int(example['group'][-1])]['mask/encoded'] != b''


def test_masks_are_cut_at_grey(dataset):
  root, truth = dataset
  for sample in range(2):
    example = freihand.FreihandReader(root).read('train', freihand.Key(sample, 'gs'))[0]
    mask = np.array(Image.open(io.BytesIO(example['mask/encoded'])))
    assert set(np.unique(mask)) == {0, 255}
    exact = freihand_files.exact_mask(truth['training', sample][0], sample)
    assert ((mask > 0) != exact).mean() < .002
  assert freihand.FreihandReader(root).read('eval', freihand.Key(0, 'gs'))[0]['mask/encoded'] == b''


def test_pose_is_moved_from_the_mean_to_the_flat_hand(dataset, tmp_path):
  root, truth = dataset
  model = hand_model.load_hand_model()
  path = tmp_path / 'model.npz'
  np.savez(path, v_template=model.v_template, f=model.faces, shapedirs=model.shapedirs, posedirs=model.posedirs,
           J_regressor=model.joint_regressor, weights=model.weights, hands_mean=model.hands_mean,
           hands_components=model.hands_components,
           kintree_table=np.stack([np.array(model.parents) % 2**32, np.arange(16)]))
  reader = freihand.FreihandReader(root, mano_model=str(path))
  example = reader.read('train', freihand.Key(1, 'hom'))[0]
  numbers = truth['training', 1][1]
  np.testing.assert_allclose(example['hand/pose'], numbers[3:48] + model.hands_mean, atol=1e-6)
  np.testing.assert_allclose(example['hand/shape'], numbers[48:58], atol=1e-6)
  assert example['hand/has_parameters'] == 1
  assert 'MANO' in reader.options['parameters']
  assert np.abs(model.hands_mean).max() > .1


def test_evaluation_without_labels_says_where_they_are(tmp_path):
  freihand_files.write(tmp_path, samples=1, evaluation=1, evaluation_labels=False)
  with pytest.raises(UserError, match='evaluation_xyz.json.*--noevaluation_labels.*--splits=train'):
    freihand.FreihandReader(tmp_path).keys('eval')
  assert len(freihand.FreihandReader(tmp_path).keys('train')) == 4


def test_evaluation_pictures_are_read_without_labels(tmp_path):
  freihand_files.write(tmp_path, samples=1, evaluation=2, evaluation_labels=False)
  reader = freihand.FreihandReader(tmp_path, evaluation_labels=False)
  examples = list(base.examples(reader, 'eval', base.Skipped(fatal=True)))
  assert len(examples) == 2 and reader.options['evaluation_labels'] is False
  for i, example in enumerate(examples):
    assert not example['hand/joints_2d_valid'].any() and not example['hand/joints_3d_valid'].any()
    assert not example['hand/joints_2d_px'].any()
    np.testing.assert_allclose(example['camera/intrinsics'], freihand_files.intrinsics(i) + freihand_files.SHIFT)
    SCHEMA.encode(example)


def test_published_counts_follow_the_versions(dataset):
  root, _ = dataset
  assert freihand.FreihandReader(root).published_counts == {'train': 130240, 'eval': 3960}
  assert freihand.FreihandReader(root, ['gs']).published_counts == {'train': 32560, 'eval': 3960}


def test_both_readers_of_the_same_labels_agree(dataset):
  """MMPose's file of FreiHAND holds the projections by K."""
  root, truth = dataset
  points = hands.project(truth['training', 0][0].keypoints_m, freihand_files.intrinsics(0))
  content = {'images': [{'id': 1, 'file_name': 'training/rgb/00000000.jpg', 'height': 224, 'width': 224}],
             'annotations': [{'id': 1, 'image_id': 1, 'keypoints': np.insert(points, 2, 1., axis=1).ravel().tolist()}]}
  folder = root / 'FreiHAND_pub_v2'
  path = root / 'freihand_train.json'
  path.write_text(json.dumps(content))
  other = coco_hand.CocoHandReader({'train': str(path)}, {'train': str(folder)}, 'right').read('train', 0)[0]
  ours = freihand.FreihandReader(root).read('train', freihand.Key(0, 'gs'))[0]
  np.testing.assert_allclose(ours['hand/joints_2d_px'], other['hand/joints_2d_px'], atol=1e-4)


def test_bad_files(tmp_path):
  freihand_files.write(tmp_path, samples=2, evaluation=1)
  root = tmp_path / 'FreiHAND_pub_v2'
  reader = freihand.FreihandReader(root)
  (root / 'training' / 'mask' / '00000001.jpg').write_bytes(b'')
  with pytest.raises(UserError, match='mask/00000001.jpg'):
    reader.read('train', freihand.Key(1, 'auto'))
  labels = json.loads((root / 'training_xyz.json').read_text())
  (root / 'training_xyz.json').write_text(json.dumps([labels[0][:20], labels[1]]))
  with pytest.raises(UserError, match='training_xyz.json, sample 0'):
    freihand.FreihandReader(root).read('train', freihand.Key(0, 'gs'))
  (root / 'training_xyz.json').write_text(json.dumps(labels[:1]))
  with pytest.raises(UserError, match='differ in length'):
    freihand.FreihandReader(root).keys('train')
  (root / 'training_xyz.json').write_text('[')
  with pytest.raises(UserError, match='training_xyz.json: not JSON'):
    freihand.FreihandReader(root).keys('train')
  with pytest.raises(UserError, match='--versions must be one of'):
    freihand.FreihandReader(root, ['green'])
