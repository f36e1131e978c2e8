"""What a pickle may not do to the process that reads it: reach memory, change anything, or take much."""
import os
import tracemalloc

import numpy as np
import pytest

from data_tools import convert_mano
from data_tools.readers import ho3d
from dhpe_tf import command_line
from dhpe_tf.errors import UserError
from dhpe_tf.hand import hand_model, restricted_pickle
from dhpe_tf.pickles import machine, plain_pickle
from tests.data_tools.readers import ho3d_files
from tests.hand import hostile_pickles as hostile
from tests.hand import mano_files

_MOST_BYTES = 300_000_000


def _load(tmp_path, code):
  path = tmp_path / 'hostile.pkl'
  path.write_bytes(code + b'.')
  return restricted_pickle.load(path)


@pytest.fixture
def _little_memory():
  """Fails a test that allocates much, even if it is freed again."""
  tracemalloc.start()
  yield
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < _MOST_BYTES, peak


@pytest.mark.parametrize('name', hostile.FORGED)
@pytest.mark.usefixtures('_little_memory')
def test_becomes_no_array(tmp_path, name):
  with pytest.raises((UserError, ValueError)) as caught:
    restricted_pickle.to_floats(_load(tmp_path, hostile.FORGED[name]))
  assert len(str(caught.value)) < 500 and '\n' not in str(caught.value)


@pytest.mark.parametrize('name', hostile.FORGED)
def test_the_commands_that_read_such_files_end_with_one_line(tmp_path, name, capsys):
  path = tmp_path / 'MANO_RIGHT.pkl'
  field = b'}(' + hostile.value('v_template') + hostile.FORGED[name] + b'u.'
  for content in (hostile.FORGED[name] + b'.', field):
    path.write_bytes(content)
    status = command_line.call(convert_mano.main, ['convert_mano', f'--input={path}', f'--output={tmp_path}/out.npz'],
                               convert_mano._FLAGS)
    error = capsys.readouterr().err
    assert status == 1 and error.startswith('error: ') and 'MANO_RIGHT.pkl' in error and error.count('\n') == 1
  assert os.listdir(tmp_path) == ['MANO_RIGHT.pkl']


def test_the_reader_of_a_dataset_names_the_file(tmp_path):
  ho3d_files.write(tmp_path)
  path = tmp_path / 'HO3D_v3' / 'train' / 'ABF10' / 'meta' / '0000.pkl'
  camera = hostile.value('camMat') + hostile.numbers('f8', bytes(72)).code
  reader = ho3d.Ho3dReader(tmp_path / 'HO3D_v3')
  for code in hostile.FORGED.values():
    path.write_bytes(b'}(' + camera + hostile.value('handJoints3D') + code + b'u.')
    with pytest.raises(UserError, match='0000.pkl'):
      reader.read('train', ho3d.Key('ABF10', '0000', 0))


@pytest.mark.usefixtures('_little_memory')
def test_a_far_place_in_the_memo_takes_no_room(tmp_path):
  assert _load(tmp_path, b'I5\nr\xff\xff\xff\xffj\xff\xff\xff\xff') == 5


@pytest.mark.parametrize('module, limit, value, code', [
    (plain_pickle, 'MOST_OPCODES', 1000, b'N' * 2000), (machine, 'MOST_BYTES', 10_000, b']' * 1000),
    (machine, 'MOST_BYTES', 10_000, b'\x8f' * 1000),
    (machine, 'MOST_BYTES', 10_000, b'U\xff' + b'x' * 255 + b'q\x00' + hostile.call(
        b'c_codecs\nencode\n', hostile.Code(b'h\x00'), 'latin1') * 60)])
def test_content_is_limited(tmp_path, monkeypatch, module, limit, value, code):
  monkeypatch.setattr(module, limit, value)
  with pytest.raises(UserError, match='hostile.pkl: .*more than'):
    _load(tmp_path, code)


def test_files_that_never_end_or_are_too_large_are_not_read(tmp_path, monkeypatch):
  os.mkfifo(tmp_path / 'pipe.pkl')
  for path in (tmp_path / 'pipe.pkl', '/dev/zero', tmp_path):
    with pytest.raises(UserError, match='it is no plain file'):
      restricted_pickle.load(path)
  monkeypatch.setattr(restricted_pickle, 'MOST_BYTES', 100)
  with pytest.raises(UserError, match='hostile.pkl: cannot be read .201 bytes, more than the 100'):
    _load(tmp_path, b'N' * 200)


def test_types_that_are_no_numbers_do_not_hinder_the_rest(tmp_path):
  """HO-3D and MANO hold texts and objects beside what we read."""
  code = (b'}(' + hostile.value('names') + hostile.array((1,), hostile.dtype('O8', 8, 63, '|'), ['x']).code
          + hostile.value('numbers') + hostile.numbers('i2', b'\x01\x00\x02\x00').code + b'u')
  loaded = _load(tmp_path, code)
  np.testing.assert_array_equal(loaded['numbers'], [1, 2])
  with pytest.raises(ValueError, match='where numbers were expected'):
    restricted_pickle.to_array(loaded['names'])


def test_every_type_of_number_in_both_orders(tmp_path):
  for code in ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8'):
    for order in '<>':
      wanted = np.arange(6).reshape(2, 3).astype(order + code)
      for turned in (wanted, np.asfortranarray(wanted)):
        path = tmp_path / 'a.pkl'
        for protocol in (2, 5):
          path.write_bytes(hostile.pickle.dumps(turned, protocol))
          found = restricted_pickle.load(path)
          np.testing.assert_array_equal(found, wanted)
          assert found.dtype == wanted.dtype and found.flags.writeable


def test_repeated_entries_of_a_sparse_matrix_add_up(tmp_path):
  code = hostile.sparse((3, 2), hostile.numbers('f8', np.array([1., 2., 4.]).tobytes()),
                        hostile.numbers('i4', np.array([2, 2, 0], 'i4').tobytes()),
                        hostile.numbers('i4', np.array([0, 2, 3], 'i4').tobytes()))
  np.testing.assert_array_equal(restricted_pickle.to_array(_load(tmp_path, code)), [[0, 4], [0, 0], [3, 0]])


@pytest.mark.parametrize('field', ['hands_mean', 'kintree_table', 'shapedirs', 'J_regressor', 'f', 'posedirs'])
@pytest.mark.parametrize('value', [np.float64(1), np.full([2, 16], np.nan), np.zeros([0, 0, 0, 0]), [[1], [2, 3]],
                                   10 ** 400, {'a': 1}], ids=['0-d', 'nan', 'empty', 'ragged', 'large', 'dictionary'])
def test_odd_fields_are_named(tmp_path, field, value):
  path = mano_files.write_pickle(tmp_path / 'MANO_RIGHT.pkl', hand_model.load_hand_model(), {field: value})
  with pytest.raises(UserError, match=f'MANO_RIGHT.pkl: .*{"faces|field f" if field == "f" else field}'):
    hand_model.load_hand_model(path)
