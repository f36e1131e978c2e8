import io

import numpy as np
import pytest
from PIL import Image
from scipy import io as scipy_io

from data_tools.readers import base, stb
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data_tools.readers import hands, stb_files


@pytest.fixture(scope='module', name='dataset')
def _dataset(tmp_path_factory):
  root = tmp_path_factory.mktemp('stb')
  return root, stb_files.write(root, frames=2)


def _on_hand(example) -> float:
  """The share of keypoints with the drawn hand within a pixel: its red is brighter than any background."""
  red = np.array(Image.open(io.BytesIO(example['image/encoded'])))[..., 0]
  near = np.max([np.roll(red, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
  x, y = np.floor(example['hand/joints_2d_px']).astype(int).T
  return (near[y, x] > 110).mean()


@pytest.mark.parametrize('picture', stb.PICTURES)
def test_labels_lie_on_the_picture_they_belong_to(dataset, picture):
  root, truth = dataset
  reader = stb.StbReader(root, [picture])
  shift = [.120054, 0, 0] if picture == 'bb_right' else [0, 0, 0]
  for split in ('train', 'eval'):
    for example in base.examples(reader, split, base.Skipped(fatal=True)):
      sequence, name = example['image/id'].split('/')
      hand = truth[sequence, int(name.rsplit('_', 1)[1])]
      np.testing.assert_allclose(example['hand/joints_3d_m'][1:], hand.keypoints_m[1:] - shift, atol=1e-6)
      np.testing.assert_allclose(example['hand/joints_3d_m'][0], stb_files.palm(hand) - shift, atol=1e-6)
      assert example['hand/side'] == 'left' and example['group'] == sequence
      assert _on_hand(example) > .8
      SCHEMA.encode(example)


def test_labels_of_one_camera_do_not_fit_the_other():
  """What the reader must not confuse: SK labels as they are published lie 24 mm beside the colour camera's."""
  joints = np.array([[[0., 0., 600.]]])
  assert np.linalg.norm(stb.to_camera(stb_files.sk_depth_from_color(joints), 'sk_color') - joints) < 1e-9
  assert np.linalg.norm(stb_files.sk_depth_from_color(joints) - joints) > 24


def test_pixel_centres_are_at_one_half(dataset):
  root, truth = dataset
  example = stb.StbReader(root, ['bb_left']).read('eval', stb.Key('B1Counting', 'bb_left', 0))[0]
  hand = truth['B1Counting', 0]
  np.testing.assert_allclose(example['hand/joints_2d_px'][1:], hands.project(hand.keypoints_m, stb_files.BB)[1:] + .5,
                             atol=1e-4)
  np.testing.assert_allclose(example['camera/intrinsics'][:2, 2], [318.97345, 250.81296])


def test_first_sequence_is_for_evaluation_and_counts(dataset):
  root, _ = dataset
  reader = stb.StbReader(root)
  train, evaluation = reader.keys('train'), reader.keys('eval')
  assert {key.sequence for key in evaluation} == {'B1Counting', 'B1Random'}
  assert len({key.sequence for key in train}) == 10
  assert not {key.sequence for key in train} & {key.sequence for key in evaluation}
  # Of 1500 frames each there are 2 here.
  for pictures in (['bb_left', 'bb_right'], ['sk_color']):
    reader = stb.StbReader(root, pictures)
    assert {split: 750 * len(reader.keys(split)) for split in ('train', 'eval')} == reader.published_counts
  assert stb.StbReader(root).published_counts == {'train': 30000, 'eval': 6000}


@pytest.mark.parametrize('name, knuckles, factor', [('wrist_ring', [13], 2.), ('wrist_middle', [9], 2.2),
                                                    ('wrist_mean', [5, 9, 13, 17], 2.25)])
def test_wrists_are_estimated_from_the_palm(dataset, name, knuckles, factor):
  root, truth = dataset
  example = stb.StbReader(root, ['bb_left'], name).read('eval', stb.Key('B1Random', 'bb_left', 1))[0]
  hand = truth['B1Random', 1]
  knuckle = hand.keypoints_m[knuckles].mean(0)
  wrist = knuckle + factor * (stb_files.palm(hand) - knuckle)
  np.testing.assert_allclose(example['hand/joints_3d_m'][0], wrist, atol=1e-6)
  # Twice from the middle knuckle would be the wrist itself; these ways come near it.
  assert np.linalg.norm(wrist - hand.keypoints_m[0]) < .03


def test_order_is_little_finger_first():
  """The published order against its permutation to the order that starts with the thumb."""
  joints = np.tile(np.arange(21.)[None, :, None], [1, 1, 3])
  found = stb.to_keypoints(joints, 'palm')[0, :, 0]
  np.testing.assert_array_equal(found, [0, 17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4])


def test_missing_picture_is_named(tmp_path):
  stb_files.write(tmp_path, frames=2, pictures=False)
  skipped = base.Skipped()
  assert not list(base.examples(stb.StbReader(tmp_path), 'eval', skipped))
  assert len(skipped.messages) == 8 and 'BB_left_0.png' in skipped.messages[0]


def test_bad_labels(tmp_path):
  stb_files.write(tmp_path, frames=2, pictures=False)
  path = tmp_path / 'labels' / 'B1Counting_BB.mat'
  scipy_io.savemat(path, {'handPara': np.zeros([21, 3, 2])})
  with pytest.raises(UserError, match=r'handPara must be \[3, 21, frames\]'):
    stb.StbReader(tmp_path).keys('eval')
  path.write_bytes(b'MATLAB')
  with pytest.raises(UserError, match='B1Counting_BB.mat: not a .mat file'):
    stb.StbReader(tmp_path).keys('eval')
  path.unlink()
  with pytest.raises(UserError, match='B1Counting_BB.mat: not found'):
    stb.StbReader(tmp_path).keys('eval')


@pytest.mark.parametrize('arguments', [dict(pictures=['sk_depth']), dict(pictures=[]), dict(first_keypoint='wrist')])
def test_wrong_options(dataset, arguments):
  with pytest.raises(UserError, match='--'):
    stb.StbReader(dataset[0], **arguments)
