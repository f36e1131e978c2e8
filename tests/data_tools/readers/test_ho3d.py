import json
import pickle

import numpy as np
import pytest

from data_tools.readers import base, ho3d
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data_tools.readers import hands, ho3d_files


@pytest.fixture(scope='module', name='dataset')
def _dataset(tmp_path_factory):
  root = tmp_path_factory.mktemp('ho3d')
  return root, ho3d_files.write(root)


def _examples(reader, split):
  return list(base.examples(reader, split, base.Skipped(fatal=True)))


@pytest.mark.parametrize('version', [2, 3])
def test_labels_are_the_hands(tmp_path, version):
  """Axes of OpenGL turned into those of the camera, MANO's order into ours, both versions."""
  truth = ho3d_files.write(tmp_path, version)
  reader = ho3d.Ho3dReader(tmp_path)
  for split, count in (('train', 5), ('eval', 3)):
    examples = _examples(reader, split)
    assert len(examples) == count
    for example in examples:
      hand, _ = truth[tuple(example['image/id'].split('/'))]
      np.testing.assert_allclose(example['hand/joints_3d_m'], hand.keypoints_m, atol=1e-6)
      pixels = hands.project(hand.keypoints_m, ho3d_files.INTRINSICS) + .5
      np.testing.assert_allclose(example['hand/joints_2d_px'], pixels, atol=1e-4)
      assert (example['hand/joints_3d_m'][:, 2] > 0).all() and example['hand/side'] == 'right'
      assert example['hand/joints_3d_valid'].all() and example['hand/has_parameters'] == 0
      SCHEMA.encode(example)
  assert reader.options['version'] == version
  assert reader.published_counts['train'] == {2: 66034, 3: 83325}[version]


def test_order_of_keypoints():
  """By name as the dataset's own code has it by number."""
  np.testing.assert_array_equal(skeletons.permutation('ho3d', 'dhpe'), ho3d_files.PLACES)


def test_picture_without_hand_labels_gives_nothing(dataset):
  root, _ = dataset
  assert ho3d.Ho3dReader(root).read('train', ho3d.Key(*ho3d_files.UNLABELLED, 5)) == []


def test_object_without_pose_does_no_harm(dataset):
  root, truth = dataset
  assert truth['train', 'ABF10', '0001'][1]['objRot'] is None
  assert len(ho3d.Ho3dReader(root).read('train', ho3d.Key('ABF10', '0001', 1))) == 1


def test_pose_is_about_the_flat_hand_already(dataset):
  root, truth = dataset
  example = ho3d.Ho3dReader(root, mano_parameters=True).read('train', ho3d.Key('ABF10', '0000', 0))[0]
  meta = truth['train', 'ABF10', '0000'][1]
  np.testing.assert_allclose(example['hand/pose'], meta['handPose'][3:], atol=1e-6)
  np.testing.assert_allclose(example['hand/shape'], meta['handBeta'], atol=1e-6)
  assert example['hand/has_parameters'] == 1


def test_evaluation_without_keypoints_has_wrist_and_box(tmp_path):
  truth = ho3d_files.write(tmp_path, keypoints=False)
  for example in _examples(ho3d.Ho3dReader(tmp_path), 'eval'):
    hand, _ = truth[tuple(example['image/id'].split('/'))]
    np.testing.assert_array_equal(np.flatnonzero(example['hand/joints_3d_valid']), [0])
    np.testing.assert_allclose(example['hand/joints_3d_m'][0], hand.keypoints_m[0], atol=1e-6)
    left, top, width, height = example['hand/box_px']
    x, y = hands.project(hand.keypoints_m, ho3d_files.INTRINSICS).T
    assert abs(left - x.min()) < 1 and abs(top - y.min()) < 1
    assert abs(width - np.ptp(x)) < 1 and abs(height - np.ptp(y)) < 1
    SCHEMA.encode(example)


def test_keypoints_of_another_frame_or_axes_are_refused(tmp_path):
  ho3d_files.write(tmp_path)
  path = tmp_path / 'HO3D_v3' / 'evaluation_xyz.json'
  joints = np.array(json.loads(path.read_text()))
  path.write_text(json.dumps((joints * [1, -1, -1]).tolist()))
  with pytest.raises(UserError, match='evaluation_xyz.json, entry 0: its wrist is not that of'):
    _examples(ho3d.Ho3dReader(tmp_path), 'eval')
  path.write_text(json.dumps(joints[:1].tolist()))
  with pytest.raises(UserError, match='do not reach line 2'):
    _examples(ho3d.Ho3dReader(tmp_path), 'eval')
  path.write_text('[[1]]')
  with pytest.raises(UserError, match='evaluation_xyz.json'):
    _examples(ho3d.Ho3dReader(tmp_path), 'eval')


def test_bad_files(tmp_path):
  ho3d_files.write(tmp_path)
  root = tmp_path / 'HO3D_v3'
  meta = root / 'train' / 'ABF10' / 'meta' / '0000.pkl'
  content = pickle.loads(meta.read_bytes())
  key = ho3d.Key('ABF10', '0000', 0)
  reader = ho3d.Ho3dReader(root)
  meta.write_bytes(pickle.dumps({**content, 'handJoints3D': np.full([21, 3], np.nan)}, protocol=2))
  with pytest.raises(UserError, match='0000.pkl: handJoints3D must be'):
    reader.read('train', key)
  meta.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / 'ran').encode() + b"'\ntR.")
  with pytest.raises(UserError, match='0000.pkl'):
    reader.read('train', key)
  assert not (tmp_path / 'ran').exists()
  (root / 'train' / 'ABF10' / 'rgb' / '0001.jpg').unlink()
  with pytest.raises(UserError, match='0001.jpg'):
    reader.read('train', ho3d.Key('ABF10', '0001', 1))
  (root / 'train.txt').write_text('0000\n')
  with pytest.raises(UserError, match='line 1'):
    reader.keys('train')
  (root / 'evaluation.txt').unlink()
  with pytest.raises(UserError, match='evaluation.txt'):
    reader.keys('eval')
  with pytest.raises(UserError, match='train.txt: not found'):
    ho3d.Ho3dReader(tmp_path / 'elsewhere')
