import dataclasses
import sys

import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.geometry import meshes
from dhpe_tf.hand import model_files
from dhpe_tf.hand.hand_model import FIELDS, found_side, load_hand_model, mirrored, shapedirs_x_inverted
from tests.hand.mano_files import mano_arrays, write_distributed_pickle, write_pickle
from tests.hand.model_fixture import mano_like_model, random_model


def _assert_same(loaded, expected, but=()):
  for name in FIELDS:
    if name not in but:
      np.testing.assert_allclose(getattr(loaded, name), getattr(expected, name), atol=1e-12, err_msg=name)


def test_built_in_hand():
  model = load_hand_model()
  assert (model.num_vertices, len(model.faces), model.side, model.path) == (778, 1538, 'right', '')
  assert model is load_hand_model()
  with pytest.raises(ValueError):
    model.v_template[0] = 0


def test_closed_faces_add_a_fan_over_the_wrist():
  model = load_hand_model()
  assert model.closed_faces.shape == (1552, 3) and model.closed_faces.dtype == np.int32
  np.testing.assert_array_equal(model.closed_faces[:1538], model.faces)
  assert (meshes.edge_faces(model.closed_faces).faces >= 0).all()


def test_left_hand_looks_outward_too():
  for side in ('right', 'left'):
    model = load_hand_model(side=side)
    assert np.linalg.det(model.v_template[model.closed_faces]).sum() > 0
    assert found_side(model) == side
  _assert_same(mirrored(mirrored(mano_like_model())), mano_like_model())


@pytest.mark.parametrize('side', ['right', 'left'])
def test_distributed_mano_file(tmp_path, side):
  expected = random_model(side)
  path = write_distributed_pickle(tmp_path / f'MANO_{side.upper()}.pkl', expected)
  content = path.read_bytes()
  assert b'cchumpy.ch\nCh\n' in content and b'cscipy.sparse.csc\ncsc_matrix\n' in content
  assert b'cnumpy.core.multiarray\n_reconstruct\n' in content and b'_codecs' not in content
  model = load_hand_model(path, side=side)
  assert not any(name.startswith('chumpy') for name in sys.modules)
  _assert_same(model, expected)
  assert model.name == f'MANO_{side.upper()}' and model.path == str(path)
  assert "'boukhayma'" in model.description['keypoints']


def test_npz_with_manos_names(tmp_path):
  expected = mano_like_model()
  arrays = {**mano_arrays(expected), 'J_regressor': expected.joint_regressor}
  np.savez(tmp_path / 'hand.npz', **arrays, keypoint_regressor=expected.keypoint_regressor)
  _assert_same(load_hand_model(tmp_path / 'hand.npz'), expected)


def test_keypoints_of_a_mano_file(tmp_path):
  path = write_pickle(tmp_path / 'MANO_RIGHT.pkl', random_model())
  for choice, tips in {**model_files.TIP_VERTICES, 'own': (1, 2, 3, 4, 5)}.items():
    model = load_hand_model(path, tip_vertices=tips if choice == 'own' else choice)
    keypoints = model.rest_keypoints
    np.testing.assert_allclose(keypoints[[4, 8, 12, 16, 20]], model.v_template[list(tips)], atol=1e-12)
    np.testing.assert_allclose(keypoints[[0, 1, 5, 9, 13, 17]], model.rest_joints[[0, 13, 1, 4, 10, 7]], atol=1e-12)
  with pytest.raises(UserError, match="'dhpe' is unknown.*manopth"):
    load_hand_model(path, tip_vertices='dhpe')
  with pytest.raises(UserError, match=r'five vertices in 0\.\.777'):
    load_hand_model(path, tip_vertices=(1, 2, 3, 4, 778))


def _with_wrong_sign(model):
  return dataclasses.replace(model, shapedirs=model.shapedirs * np.array([-1.0, 1, 1])[:, None])


def test_the_version_is_named_and_hands_are_told_apart(tmp_path):
  folder = tmp_path / 'mano_v1_2' / 'models'
  folder.mkdir(parents=True)
  ours = random_model()
  model = load_hand_model(write_pickle(folder / 'MANO_RIGHT.pkl', ours))
  assert model.description['version'] == '1.2 (by the name of its folder)'
  renamed = load_hand_model(write_pickle(tmp_path / 'other.pkl', ours))
  assert renamed.description['version'] == 'unknown' and renamed.fingerprint == model.fingerprint
  moved = load_hand_model(write_pickle(tmp_path / 'moved.pkl', ours, {'v_template': ours.v_template + 1e-5}))
  assert moved.fingerprint != model.fingerprint
  assert load_hand_model(side='left').fingerprint != load_hand_model().fingerprint


@pytest.mark.parametrize('make', [random_model, mano_like_model])
def test_left_shape_directions_with_the_wrong_sign(tmp_path, make):
  right, left = make(), make('left')
  assert not shapedirs_x_inverted(right) and not shapedirs_x_inverted(left)
  path = write_pickle(tmp_path / 'MANO_LEFT.pkl', _with_wrong_sign(left))
  but = ['keypoint_regressor']
  fixed = load_hand_model(path, side='left')
  _assert_same(fixed, left, but)
  assert 'issue 48' in fixed.description['shapedirs']
  _assert_same(load_hand_model(path, side='left', fix_left_shapedirs=True), left, but)
  kept = load_hand_model(path, side='left', fix_left_shapedirs=False)
  np.testing.assert_allclose(kept.shapedirs[:, 0], -left.shapedirs[:, 0])
  sound = load_hand_model(write_pickle(tmp_path / 'sound.pkl', left), side='left')
  _assert_same(sound, left, but)
  assert 'shapedirs' not in sound.description


def test_the_other_side_is_refused(tmp_path):
  path = write_pickle(tmp_path / 'MANO_LEFT.pkl', random_model('left'))
  with pytest.raises(UserError, match="MANO_LEFT.pkl holds a left hand, but side='right'"):
    load_hand_model(path)
  with pytest.raises(UserError, match='side must be'):
    load_hand_model(side='both')


BAD = {
    'wrong shape': ({'posedirs': np.zeros([778, 3, 207])}, r'field posedirs must have shape \[778, 3, 135\], found '),
    'body model': ({'weights': np.full([778, 24], 1 / 24)}, r'field weights must have shape \[778, 16\], found '),
    'few shapes': ({'shapedirs': np.zeros([778, 3, 6])}, r'\[778, 3, 10\], found \[778, 3, 6\]'),
    'missing': ({'hands_mean': None}, 'no field hands_mean; found J, J_regressor'),
    'no regressor': ({'J_regressor': np.ones([24, 778]) / 778}, r'J_regressor must have shape \[16, V\], found \[24'),
    'not numbers': ({'v_template': 'a hand'}, 'field v_template is not an array of numbers'),
    'flat template': ({'v_template': np.zeros(2334)}, r'field v_template must have shape \[V, 3\], found \[2334\]'),
    'nan': ({'hands_mean': np.full(45, np.nan)}, 'field hands_mean holds NaN'),
    'faces': ({'f': np.full([10, 3], 778)}, r'field faces names vertices 778\.\.778, expected 0\.\.777'),
    'sums': ({'weights': np.full([778, 16], 0.1)}, 'rows of field weights must sum to 1, found sums 1.6'),
    'negative': ({'weights': np.tile([1.5, -0.5] + [0] * 14, [778, 1])}, 'field weights has negative entries'),
    'tree': ({'kintree_table': np.stack([np.arange(16) - 1, np.arange(16)])}, 'kinematic tree has parents'),
    'tree size': ({'kintree_table': np.zeros([2, 24])}, r'kintree_table must have shape \[2, 16\], found \[2, 24\]'),
}


@pytest.mark.parametrize('case', BAD)
def test_what_is_wrong_is_named(tmp_path, case):
  changes, message = BAD[case]
  path = write_pickle(tmp_path / 'MANO_RIGHT.pkl', random_model(), changes)
  with pytest.raises(UserError, match=message) as caught:
    load_hand_model(path)
  assert str(path) in str(caught.value) and '\n' not in str(caught.value).split('\n  In call')[0]


def test_other_files_are_refused(tmp_path):
  (tmp_path / 'hand.npz').write_bytes(b'no archive')
  (tmp_path / 'hand.obj').write_text('v 0 0 0')
  (tmp_path / 'list.pkl').write_bytes(b'\x80\x02]q\x00.')
  np.savez(tmp_path / 'objects.npz', v_template=np.array([{}], object))
  for name, message in (('hand.npz', 'not a readable npz'), ('hand.obj', 'named .npz or .pkl'),
                        ('list.pkl', 'holds a list'), ('objects.npz', 'not a readable npz'),
                        ('none.pkl', 'does not exist')):
    with pytest.raises(UserError, match=message):
      load_hand_model(tmp_path / name)
