import os

import numpy as np
import pytest

import dhpe_tf
from data_tools.hand_building import correctives, pose_space, skinning
from dhpe_tf.hand import joint_angles
from dhpe_tf.hand.mano_layer import ManoLayer

PARENTS = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14]
PATH = os.path.join(os.path.dirname(dhpe_tf.__file__), 'hand', 'assets', 'hand_right.npz')


@pytest.fixture(scope='module')
def hand():
  with np.load(PATH) as stored:
    return {name: stored[name].astype(np.float64) if stored[name].dtype.kind == 'f' else stored[name]
            for name in stored.files}


def _directed_edges(faces):
  return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def _boundary_loop(faces):
  edges = {tuple(edge) for edge in _directed_edges(faces).tolist()}
  following = {a: b for a, b in edges if (b, a) not in edges}
  loop = [next(iter(following))]
  while following[loop[-1]] != loop[0]:
    loop.append(following[loop[-1]])
  assert len(loop) == len(following), 'more than one boundary loop'
  return loop


def _closed(faces):
  loop = _boundary_loop(faces)[::-1]
  fan = [[loop[0], loop[i], loop[i + 1]] for i in range(1, len(loop) - 1)]
  return np.concatenate([faces.astype(np.int64), fan])


def _winding_number(point, vertices, faces):
  a, b, c = np.moveaxis(vertices[faces] - point, 1, 0)
  la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
  numerator = np.einsum('fi,fi->f', a, np.cross(b, c))
  denominator = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
  return np.arctan2(numerator, denominator).sum() / (2 * np.pi)


def test_arrays_have_mano_names_and_sizes(hand):
  shapes = {'v_template': (778, 3), 'f': (1538, 3), 'shapedirs': (778, 3, 10), 'posedirs': (778, 3, 135),
            'J_regressor': (16, 778), 'weights': (778, 16), 'kintree_table': (2, 16), 'hands_mean': (45,),
            'hands_components': (45, 45), 'keypoint_regressor': (3, 21, 778)}
  assert {name: hand[name].shape for name in shapes} == shapes
  assert all(np.isfinite(hand[name]).all() for name in shapes)
  assert hand['kintree_table'][0].tolist() == PARENTS
  assert str(hand['side']) == 'right'


def test_file_is_small_and_states_its_licence_and_source(hand):
  assert os.path.getsize(PATH) < 300_000
  assert str(hand['licence']) == 'CC0-1.0'
  assert 'MakeHuman' in str(hand['source'])
  with open(os.path.join(os.path.dirname(PATH), 'PROVENANCE.md'), encoding='utf-8') as note:
    assert 'CC0 1.0' in note.read()


def test_mesh_is_manifold_with_one_loop_of_16_vertices_at_the_wrist(hand):
  faces = hand['f']
  edges = _directed_edges(faces)
  assert len(np.unique(edges, axis=0)) == len(edges), 'a directed edge occurs twice'
  assert np.array_equal(np.unique(faces), np.arange(778))
  loop = _boundary_loop(faces)
  assert len(loop) == 16
  assert (hand['v_template'][loop, 0] > 0.005).all()
  _, counts = np.unique(np.sort(_directed_edges(_closed(faces)), axis=1), axis=0, return_counts=True)
  assert (counts == 2).all()


def test_faces_look_outward(hand):
  corners = hand['v_template'][_closed(hand['f'])]
  volume_ml = 1e6 * np.einsum('fi,fi->', corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
  assert 200 < volume_ml < 400


def test_weights_are_few_and_sum_to_one(hand):
  weights = hand['weights']
  np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
  assert weights.min() >= 0
  influences = (weights > 0).sum(1)
  assert influences.min() >= 1
  assert influences.max() <= 5


@pytest.mark.parametrize('name', ['J_regressor', 'keypoint_regressor'])
def test_regressor_rows_are_convex_and_local(hand, name):
  rows = hand[name].reshape(-1, 778)
  np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
  assert rows.min() >= 0
  assert (rows > 0).sum(1).max() <= 12


def test_joints_lie_inside_the_closed_mesh(hand):
  faces = _closed(hand['f'])
  for joint in hand['J_regressor'] @ hand['v_template']:
    assert _winding_number(joint, hand['v_template'], faces) == pytest.approx(1, abs=1e-3)


def test_rest_frame_is_a_right_hand_with_its_wrist_at_the_origin(hand):
  joints = hand['J_regressor'] @ hand['v_template']
  np.testing.assert_allclose(joints[0], 0, atol=2e-3)
  assert joints[4, 0] < -0.07
  np.testing.assert_allclose(joints[4, 1:], 0, atol=2e-3)
  # Thumb and index on the +z side; the palm, to which the fingers are slightly bent at rest, on the -y side.
  assert joints[13, 2] > joints[4, 2] > joints[7, 2]
  assert (joints[[3, 6, 9, 12, 15], 1] < 0).all()


def test_sizes_are_human(hand):
  joints = 1000 * hand['J_regressor'] @ hand['v_template']
  bones = np.array([np.linalg.norm(joints[k] - joints[PARENTS[k]]) for k in range(1, 16)])
  np.testing.assert_allclose(bones[[1, 2, 4, 5, 7, 8, 10, 11]], [37, 23, 44, 27, 29, 15, 41, 24], atol=2.5)
  assert bones[13] == pytest.approx(46, abs=2), 'thumb metacarpal'
  keypoints = np.einsum('ckv,vc->kc', hand['keypoint_regressor'], hand['v_template'])
  assert np.linalg.norm(keypoints[12] - keypoints[0]) == pytest.approx(0.176, abs=0.006)


def _pose(hand, flexion_deg):
  """Pose [45] that bends the joints of MANO's order by the given angles about the hand's own axes."""
  template = hand['v_template']
  tips = template[hand['keypoint_regressor'][0, [8, 12, 20, 16, 4]].argmax(1)]
  axes = joint_angles.axes_of(hand['J_regressor'] @ template, tips)
  return pose_space.angles_to_pose(np.array(flexion_deg)[:, None] * [1, 0, 0], axes)


def _volume_ml(hand, pose, posedirs):
  joints = hand['J_regressor'] @ hand['v_template']
  vertices = skinning.skin(hand['v_template'], joints, hand['weights'], pose, posedirs)
  return 1e6 * correctives.closed_volume(vertices, _closed(hand['f']))


FIST = (80, 95, 55) * 4 + (20, 40, 50)


def test_a_fist_keeps_its_volume(hand):
  rest = _volume_ml(hand, np.zeros(45), hand['posedirs'])
  fist = _pose(hand, FIST)
  assert _volume_ml(hand, fist, None) < 0.88 * rest, 'plain skinning loses more than a tenth: else this test is empty'
  assert _volume_ml(hand, fist, hand['posedirs']) == pytest.approx(rest, rel=0.05)


def test_correctives_are_local_and_small(hand):
  # The fingertips are rigid, a finger's correctives stay off the other fingers, and none moves skin by half its girth.
  tips = hand['keypoint_regressor'][0, [4, 8, 12, 16, 20]].argmax(1)
  assert np.abs(hand['posedirs'][tips]).max() < 1e-3
  rim = _boundary_loop(hand['f'])
  assert np.abs(hand['posedirs'][rim]).max() < 1e-3
  index, others = hand['posedirs'][:, :, :27], hand['weights'][:, 4:].sum(1) > 0.9
  assert np.abs(index[others]).max() < 1e-3
  fist = hand['posedirs'] @ skinning.pose_features(_pose(hand, FIST))
  assert np.linalg.norm(fist, axis=1).max() < 0.010


def test_bent_fingertips_reach_the_palm_and_keypoints_stay_inside(hand):
  pose = _pose(hand, FIST)
  joints = hand['J_regressor'] @ hand['v_template']
  vertices = skinning.skin(hand['v_template'], joints, hand['weights'], pose, hand['posedirs'])
  keypoints = np.einsum('ckv,vc->kc', hand['keypoint_regressor'], vertices)
  tips, knuckles = keypoints[[8, 12, 16, 20]], keypoints[[5, 9, 13, 17]]
  assert (np.linalg.norm(tips - knuckles, axis=1) < 0.045).all()
  assert (tips[:, 1] < knuckles[:, 1]).all(), 'a fist closes toward the palm, -y'
  faces = _closed(hand['f'])
  for k in [0, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19]:
    assert _winding_number(keypoints[k], vertices, faces) > 0.99, k


def test_shapes_have_the_spread_of_human_hands(hand):
  beta = np.random.default_rng(0).normal(size=(500, 10))
  vertices = hand['v_template'] + np.einsum('vck,pk->pvc', hand['shapedirs'], beta)
  keypoints = np.einsum('ckv,pvc->pkc', hand['keypoint_regressor'], vertices)
  length = np.linalg.norm(keypoints[:, 12] - keypoints[:, 0], axis=1)
  assert 0.170 < length.mean() < 0.182
  assert 0.015 < length.std() < 0.025
  chains = keypoints[:, 1:].reshape(-1, 5, 4, 3)
  finger = np.linalg.norm(np.diff(chains, axis=2), axis=-1).sum(-1)
  relative = finger / length[:, None]
  spread = relative.std(0) / relative.mean(0)
  assert (spread > 0.015).all() and (spread < 0.07).all()
  index_to_ring = finger[:, 1] / finger[:, 3]
  assert 0.03 < index_to_ring.std() / index_to_ring.mean() < 0.06
  assert abs(np.corrcoef(relative[:, [1, 3]].T)[0, 1]) < 0.6


def test_shape_components_are_orthogonal_and_sorted_with_the_size_first(hand):
  directions = hand['shapedirs'].reshape(-1, 10)
  gram = directions.T @ directions
  scale = np.sqrt(np.diag(gram))
  np.testing.assert_allclose(gram / np.outer(scale, scale), np.eye(10), atol=1e-4)
  assert (np.diff(scale) < 0).all()
  joints = hand['J_regressor'] @ hand['v_template']
  larger = hand['J_regressor'] @ (hand['v_template'] + hand['shapedirs'][:, :, 0])
  assert (np.linalg.norm(larger[1:], axis=1) > np.linalg.norm(joints[1:], axis=1)).all()


def test_the_wrist_stays_at_the_origin_for_every_shape(hand):
  shift = np.einsum('v,vck->ck', hand['J_regressor'][0], hand['shapedirs'])
  assert np.abs(shift).max() < 2e-3


def test_mean_pose_bends_every_finger_toward_the_palm(hand):
  joints = hand['J_regressor'] @ hand['v_template']
  rest = np.einsum('ckv,vc->kc', hand['keypoint_regressor'], hand['v_template'])
  vertices = skinning.skin(hand['v_template'], joints, hand['weights'], hand['hands_mean'], hand['posedirs'])
  mean = np.einsum('ckv,vc->kc', hand['keypoint_regressor'], vertices)
  assert (mean[[4, 8, 12, 16, 20], 1] < rest[[4, 8, 12, 16, 20], 1] - 0.005).all()


def test_pose_components_are_orthonormal(hand):
  np.testing.assert_allclose(hand['hands_components'] @ hand['hands_components'].T, np.eye(45), atol=1e-5)


def test_the_layer_poses_the_hand_as_the_tool_that_built_it_does(hand):
  beta, pose = np.random.default_rng(1).normal(size=10), _pose(hand, FIST)
  template = hand['v_template'] + hand['shapedirs'] @ beta
  wanted = skinning.skin(template, hand['J_regressor'] @ template, hand['weights'], pose, hand['posedirs'])
  found = ManoLayer(dtype='float64')(pose[None], beta[None])['vertices'][0].numpy()
  np.testing.assert_allclose(found, wanted, atol=1e-7)
