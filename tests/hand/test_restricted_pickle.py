import os
import pickle
import subprocess

import numpy as np
import pytest
import scipy.sparse

from dhpe_tf.errors import UserError
from dhpe_tf.hand import restricted_pickle


class _Runs:
  """Pickles as a call."""

  def __init__(self, function, *arguments):
    self.call = function, arguments

  def __reduce__(self):
    return self.call


def _save(path, value, protocol=2):
  with open(path, 'wb') as file:
    pickle.dump(value, file, protocol=protocol)
  return path


@pytest.mark.parametrize('protocol', [0, 1, 2, 3, 4, 5])
def test_plain_data_of_any_protocol(tmp_path, protocol):
  value = {'a': np.arange(6.0).reshape(2, 3), 'b': [1, (2.5, 'x')], 'c': {'d': np.float64(3), 'e': b'bytes'},
           'f': np.asfortranarray(np.arange(4).reshape(2, 2)), 'g': {1, 2}}
  loaded = restricted_pickle.load(_save(tmp_path / 'x.pkl', value, protocol))
  np.testing.assert_array_equal(loaded['a'], value['a'])
  np.testing.assert_array_equal(loaded['f'], value['f'])
  assert loaded['b'] == value['b'] and loaded['c'] == value['c'] and loaded['g'] == value['g']


def test_sparse_matrices_come_out_dense(tmp_path):
  matrix = scipy.sparse.random(16, 40, 0.1, format='csc', random_state=0)
  loaded = restricted_pickle.load(_save(tmp_path / 'x.pkl', {'m': matrix}))
  np.testing.assert_array_equal(restricted_pickle.to_array(loaded['m']), matrix.toarray())


@pytest.mark.parametrize('value, name', [
    (_Runs(os.system, 'touch {}'), r'posix\.system'), (_Runs(eval, 'open("{}", "w")'), r'\.eval'),
    (_Runs(exec, 'open("{}", "w")'), r'\.exec'), (_Runs(subprocess.call, ['touch', '{}']), r'\.call'),
    (_Runs(getattr, 'x', 'upper'), r'\.getattr'), (_Runs(np.fromfile, '{}'), 'numpy'),
    (_Runs(open, '{}', 'w'), 'open'),
])
@pytest.mark.parametrize('protocol', [0, 2, 4])
def test_calls_are_refused_by_name_and_never_made(tmp_path, value, name, protocol):
  trace = str(tmp_path / 'trace')
  function, arguments = value.call
  arguments = [x.replace('{}', trace) if isinstance(x, str) else x for x in arguments]
  arguments = [[y.replace('{}', trace) for y in x] if isinstance(x, list) else x for x in arguments]
  path = _save(tmp_path / 'bad.pkl', {'v_template': _Runs(function, *arguments)}, protocol)
  with pytest.raises(UserError, match=name) as caught:
    restricted_pickle.load(path)
  assert str(path) in str(caught.value) and 'refused' in str(caught.value)
  assert not os.path.exists(trace)


def test_calls_hidden_in_allowed_names_are_refused(tmp_path):
  for stream in (b'cnumpy.core.multiarray\n_reconstruct\n(cbuiltins\nobject\n(I0\ntS"b"\ntR.',
                 b'ccopyreg\n_reconstructor\n(cbuiltins\nset\ncbuiltins\nobject\nNtR.',
                 b'c_codecs\nencode\n(S"x"\nS"zip"\ntR.',
                 b'cchumpy.ch\n__builtins__\n.', b'cnumpy\nload\n.', b'cos\nsystem\n(S"true"\ntR.'):
    path = tmp_path / 'bad.pkl'
    path.write_bytes(stream)
    with pytest.raises(UserError):
      restricted_pickle.load(path)


def test_dotted_names_do_not_reach_further(tmp_path):
  path = tmp_path / 'bad.pkl'
  path.write_bytes(b'\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.')
  with pytest.raises(UserError, match='ndarray.tofile'):
    restricted_pickle.load(path)


def test_damaged_and_missing_files(tmp_path):
  whole = _save(tmp_path / 'x.pkl', {'a': np.arange(1000.0)}).read_bytes()
  for content in (b'', b'not a pickle', whole[:200], whole[:-1]):
    path = tmp_path / 'broken.pkl'
    path.write_bytes(content)
    with pytest.raises(UserError, match='broken.pkl'):
      restricted_pickle.load(path)
  with pytest.raises(UserError, match='nothing.pkl'):
    restricted_pickle.load(tmp_path / 'nothing.pkl')
