import os

import numpy as np
import pytest

import dhpe_tf

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
