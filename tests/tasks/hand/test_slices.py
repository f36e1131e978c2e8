import numpy as np
import pytest

from dhpe_tf.evaluation import collection
from dhpe_tf.geometry import rotations
from dhpe_tf.hand import anatomy
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.tasks.hand import slices
from tests.tasks.hand.hands import TASK, perfect


def hands(poses, shapes=None, quaternions=None, scale=1.):
  """Keypoints [N, 21, 3] in metres; without rotation the back of the hand is turned to +y."""
  poses = np.asarray(poses, np.float64)
  count = len(poses)
  shapes = np.zeros([count, 10]) if shapes is None else shapes
  quaternions = np.tile([1., 0, 0, 0], [count, 1]) if quaternions is None else quaternions
  camera = np.concatenate([quaternions, np.full([count, 1], scale), np.zeros([count, 3])], 1)
  return ManoLayer(load_hand_model(), dtype='float64')(poses, shapes, camera)['keypoints'].numpy()


def labels_of(joints, **changes):
  count = len(joints)
  return {'joints_3d_m': joints, 'joints_3d_weight': np.ones([count, 21]), 'joints_2d': joints[..., :2],
          'joints_2d_weight': np.ones([count, 21]), 'mask': np.ones([count, 4, 4]), 'mask_weight': np.ones(count),
          'crop_side_px': np.full(count, 100.), **changes}


@pytest.fixture(scope='module')
def poses():
  return anatomy.sample_poses(60, 3)


def test_side_occlusion_and_size(poses):
  visibility = np.ones([4, 21])
  visibility[1, :3], visibility[2, :15] = 0, 0
  found = slices.assign(labels_of(hands(poses[:4]), is_left=np.array([True, False, True, False]), visibility=visibility,
                                  crop_side_px=np.array([60., 96., 180., 400.])), {})
  assert list(found['side']) == ['left', 'right', 'left', 'right']
  assert list(found['occlusion']) == ['none', 'up to half', 'more', 'none']
  assert list(found['hand size']) == ['below 64 px', '64 to 128 px', '64 to 128 px', 'above 128 px']
  assert 'pose' not in found


def test_view_tells_palm_from_back():
  # Turns about x: the back, +y at rest, goes to -z (toward the camera), +z (away), -y.
  quarter = np.sqrt(.5)
  turns = np.array([[quarter, -quarter, 0, 0], [quarter, quarter, 0, 0], [0, 1, 0, 0]])
  turned = hands(np.zeros([3, 45]), quaternions=turns)
  assert list(slices.assign(labels_of(turned), {})['view']) == ['back', 'palm', 'side']


def test_hands_of_the_training_are_no_extrapolation(poses):
  training = labels_of(hands(poses))
  found = slices.assign(training, training)
  assert all((found[criterion] == 'interpolation').all() for criterion in ('pose', 'viewpoint', 'shape'))


def test_each_criterion_sees_its_own_change_only(poses):
  spread = rotations.random_rotations(60, 1).numpy().astype(np.float64)
  spread = spread / np.linalg.norm(spread, axis=1, keepdims=True)
  # Near the front view, as of people who hold their hands up.
  near = np.concatenate([np.full([60, 1], 8.), spread[:, 1:]], 1)
  near /= np.linalg.norm(near, axis=1, keepdims=True)
  shapes = np.random.RandomState(0).normal(size=[60, 10]) * .3
  training = labels_of(hands(poses * .2, shapes, near))

  def judged(**changes):
    given = {'poses': poses[:1] * .2, 'shapes': shapes[:1], 'quaternions': near[:1], **changes}
    found = slices.assign(labels_of(hands(**given)), training)
    return {criterion for criterion in ('pose', 'viewpoint', 'shape') if found[criterion][0] == 'extrapolation'}
  assert judged() == set()
  assert judged(quaternions=np.array([[0., 1, 0, 0]])) == {'viewpoint'}
  assert judged(scale=1.6) == {'shape'}
  fist = anatomy.gesture_pose('fist', load_hand_model())[None]
  assert judged(poses=fist) == {'pose'}


def test_unlabelled_hands_are_in_no_slice(poses):
  labels = labels_of(hands(poses[:3]))
  labels['joints_3d_weight'][1, 4] = 0
  found = slices.assign(labels, labels_of(hands(poses)))
  assert [name == '' for name in found['view']] == [False, True, False] == [name == '' for name in found['pose']]


def test_measures_each_slice_alone(poses):
  labels = labels_of(hands(poses[:4]), is_left=np.array([True, True, True, False]))
  predictions = perfect(labels)
  wrong = predictions['joints_3d_m'].copy()
  wrong[3, 4] += [0, 0, .21]
  kinds = slices.assign(labels, {})
  found = collection.measure_slices(TASK, {**predictions, 'joints_3d_m': wrong}, labels, kinds)['side']
  assert found['left']['images'] == 3 and found['left']['3D root, mm'] < 1e-9
  assert found['right']['3D root, mm'] == pytest.approx(10.)
