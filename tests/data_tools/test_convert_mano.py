import pickle

import numpy as np
import pytest
import scipy.sparse

from data_tools import convert_mano
from dhpe_tf import command_line
from dhpe_tf.hand.hand_model import FIELDS, load_hand_model


@pytest.fixture
def mano_file(tmp_path):
  """Our own hand in the form of MANO's pickle: sparse regressor, unsigned faces, the root's parent as 2^32 - 1."""
  model = load_hand_model()
  parents = np.array(model.parents, np.int64)
  parents[0] = 2 ** 32 - 1
  content = {
      'v_template': model.v_template, 'f': model.faces.astype(np.uint32), 'shapedirs': model.shapedirs,
      'posedirs': model.posedirs, 'J_regressor': scipy.sparse.csc_matrix(model.joint_regressor),
      'weights': model.weights, 'kintree_table': np.stack([parents, np.arange(16)]).astype(np.uint32),
      'hands_mean': model.hands_mean, 'hands_components': model.hands_components, 'bs_type': 'lrotmin'}
  path = tmp_path / 'MANO_RIGHT.pkl'
  path.write_bytes(pickle.dumps(content, protocol=2))
  return path


def _convert(**flags):
  argv = ['convert_mano'] + [f'--{name}={value}' for name, value in flags.items()]
  return command_line.call(convert_mano.main, argv, convert_mano._FLAGS)


def test_the_npz_loads_as_the_same_hand(mano_file, tmp_path):
  output = tmp_path / 'mano.npz'
  assert _convert(input=mano_file, output=output, tip_vertices='manopth') == 0
  wanted, found = load_hand_model(str(mano_file), tip_vertices='manopth'), load_hand_model(str(output))
  for name in FIELDS:
    np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=1e-12, err_msg=name)
  assert found.parents == wanted.parents and found.side == 'right'
  with np.load(output, allow_pickle=False) as stored:
    assert 'no redistribution' in str(stored['licence'])


@pytest.mark.parametrize('flags, message', [
    ({'output': 'mano.npy'}, 'must end in .npz'), ({'input': 'missing.pkl'}, 'missing.pkl'),
    ({'side': 'left'}, 'right hand'), ({'tip_vertices': 'mine'}, 'tip_vertices')])
def test_wrong_flags_are_one_line_and_leave_no_file(mano_file, tmp_path, capsys, flags, message):
  assert _convert(**{'input': mano_file, 'output': tmp_path / 'mano.npz', **flags}) == 1
  error = capsys.readouterr().err
  assert error.startswith('error: ') and message in error and error.count('\n') == 1
  assert not (tmp_path / 'mano.npz').exists()


def test_neither_a_folder_nor_the_input_is_replaced(mano_file, tmp_path, capsys):
  (tmp_path / 'folder.npz' / 'kept').mkdir(parents=True)
  assert _convert(input=mano_file, output=tmp_path / 'folder.npz') == 1
  assert 'folder.npz: it is a folder' in capsys.readouterr().err and (tmp_path / 'folder.npz' / 'kept').is_dir()
  assert _convert(input=mano_file, output=tmp_path / 'mano.npz') == 0
  before = (tmp_path / 'mano.npz').read_bytes()
  assert _convert(input=tmp_path / 'mano.npz', output=tmp_path / 'mano.npz') == 1
  assert 'would replace the file that it is made from' in capsys.readouterr().err
  assert (tmp_path / 'mano.npz').read_bytes() == before
