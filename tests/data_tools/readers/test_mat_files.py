import zlib

import numpy as np
import pytest
from scipy import io

from data_tools.readers import mat_files
from dhpe_tf.errors import UserError

_ARRAY = np.arange(24.).reshape(2, 3, 4) - 5


@pytest.mark.parametrize('compressed', [False, True])
@pytest.mark.parametrize('dtype', ['f8', 'f4', 'i2', 'i8', 'u1'])
def test_scipy_writes_what_is_read(tmp_path, compressed, dtype):
  path = tmp_path / 'a.mat'
  wanted = (_ARRAY + 5).astype(dtype)
  io.savemat(path, {'text': 'x', 'a': wanted, 'z': np.ones(2), 'cells': np.array([1, 'b'], object)},
             do_compression=compressed)
  np.testing.assert_array_equal(mat_files.read(str(path), 'a'), wanted)
  np.testing.assert_array_equal(mat_files.read(str(path), 'z'), np.ones([1, 2]))


@pytest.mark.parametrize('value', [np.ones(3) * 1j, 'text', np.array([1, 'b'], object), {'b': 1}])
def test_other_variables_are_refused(tmp_path, value):
  io.savemat(tmp_path / 'a.mat', {'a': value})
  with pytest.raises(UserError, match='a.mat: not a .mat file of level 5 with an array of numbers a'):
    mat_files.read(str(tmp_path / 'a.mat'), 'a')
  with pytest.raises(UserError, match='b'):
    mat_files.read(str(tmp_path / 'a.mat'), 'b')


def test_a_bomb_does_not_go_off(tmp_path, monkeypatch):
  monkeypatch.setattr(mat_files, 'MOST_BYTES', 1 << 16)
  io.savemat(tmp_path / 'a.mat', {'a': np.zeros([1000, 1000])}, do_compression=True)
  with pytest.raises(UserError, match='when unpacked'):
    mat_files.read(str(tmp_path / 'a.mat'), 'a')


def test_sizes_that_lie_are_refused(tmp_path):
  io.savemat(tmp_path / 'a.mat', {'a': _ARRAY})
  content = (tmp_path / 'a.mat').read_bytes()
  for place in range(128, len(content)):
    for byte in (0, 255, 127):
      (tmp_path / 'b.mat').write_bytes(content[:place] + bytes([byte]) + content[place + 1:])
      try:
        assert mat_files.read(str(tmp_path / 'b.mat'), 'a').nbytes <= len(content) * 8
      except UserError as error:
        assert 'b.mat: ' in str(error)


def test_cut_anywhere(tmp_path):
  io.savemat(tmp_path / 'a.mat', {'a': _ARRAY}, do_compression=True)
  content = (tmp_path / 'a.mat').read_bytes()
  for size in range(len(content)):
    (tmp_path / 'b.mat').write_bytes(content[:size])
    with pytest.raises(UserError, match='b.mat'):
      mat_files.read(str(tmp_path / 'b.mat'), 'a')
  (tmp_path / 'b.mat').write_bytes(content[:128] + b'\x0f\0\0\0\x20\0\0\0' + zlib.compress(bytes(64)) + bytes(20))
  with pytest.raises(UserError, match='b.mat'):
    mat_files.read(str(tmp_path / 'b.mat'), 'a')
