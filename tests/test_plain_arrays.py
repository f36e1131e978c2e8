"""Reading npz files as plain data: no pickles, no bombs, no array that its bytes do not hold."""
import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from dhpe_tf import files, plain_arrays
from dhpe_tf.errors import UserError
from dhpe_tf.hand import hand_model


def _npy(header, content=b''):
  """A file of NumPy's format with a header of our own."""
  text = header.encode() + b'\n'
  return b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little') + text + content


def _npz(path, **members):
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name, content in members.items():
      archive.writestr(f'{name}.npy', content)
  return str(path)


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_reads_what_numpy_writes(tmp_path, save):
  wanted = {'a': np.arange(6.).reshape(2, 3), 'b': np.asfortranarray(np.arange(6, dtype='>i2').reshape(2, 3)),
            'c': np.array(True), 'd': np.zeros([0, 3], np.uint8), 'e': np.float16([1, 2])}
  save(tmp_path / 'a.npz', **wanted, text=np.array('words'))
  found = plain_arrays.read_npz(str(tmp_path / 'a.npz'))
  assert found.pop('text') == 'words' and set(found) == set(wanted)
  for name, array in wanted.items():
    np.testing.assert_array_equal(found[name], array)
    assert found[name].dtype == array.dtype and found[name].shape == array.shape


def _saved(array, **options):
  stream = io.BytesIO()
  np.save(stream, array, **options)
  return stream.getvalue()


@pytest.mark.parametrize('content', [
    b'', b'text', _saved(np.array([None])), _saved(np.zeros(2, [('a', 'f8')])), _saved(np.array(['a', 'b'])),
    _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"),
    _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", bytes(8)),
    _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 99999999999999999999), }"),
    _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", bytes(8)),
    _npy("{'descr': '<U99999', 'fortran_order': False, 'shape': (), }"),
    _npy("{'descr': '<U1', 'fortran_order': False, 'shape': (), }", b'\xff\xff\xff\xff'),
    _npy("{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': (), }"),
    _npy('(' * 5000), _npy('-' * 9000 + '1'), b'\x93NUMPY\x02\x00\xff\xff\xff\xff' + bytes(20)])
def test_what_is_no_plain_array_is_one_line(tmp_path, content):
  path = _npz(tmp_path / 'hand.npz', v_template=content)
  with pytest.raises(UserError, match='hand.npz: not a readable npz file of plain arrays') as caught:
    hand_model.load_hand_model(path)
  assert len(str(caught.value)) < 600 and 'v_template' in str(caught.value) or 'utf' in str(caught.value)


def test_bombs_do_not_go_off(tmp_path):
  """Members are counted by the archive's directory, and by what comes out of them."""
  zeros = _npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({plain_arrays.MOST_NPZ_BYTES},), }}")
  with zipfile.ZipFile(tmp_path / 'bomb.npz', 'w', zipfile.ZIP_DEFLATED) as archive:
    with archive.open('v_template.npy', 'w') as member:
      member.write(zeros)
      for _ in range(plain_arrays.MOST_NPZ_BYTES >> 20):
        member.write(bytes(1 << 20))
  many = _npz(tmp_path / 'many.npz', **{f'a{i}': _saved(np.zeros(1)) for i in range(1001)})
  tracemalloc.start()
  for path in (str(tmp_path / 'bomb.npz'), many):
    with pytest.raises(UserError, match='more than 1000 arrays or 256 MiB when unpacked'):
      hand_model.load_hand_model(path)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 20_000_000


def test_a_directory_that_lies_about_sizes(tmp_path):
  path = tmp_path / 'lies.npz'
  _npz(path, v_template=_saved(np.zeros(100_000)))
  data, size = path.read_bytes(), (800_128).to_bytes(4, 'little')
  assert data.count(size) == 2
  path.write_bytes(data.replace(size, (100).to_bytes(4, 'little')))
  with pytest.raises(UserError, match='lies.npz: not a readable npz'):
    hand_model.load_hand_model(str(path))


def test_reading_stops_at_the_limit_whatever_the_directory_says():
  assert files.read_member(io.BytesIO(bytes(3 << 20)), 3 << 20) == bytes(3 << 20)
  with pytest.raises(ValueError, match='when unpacked'):
    files.read_member(io.BytesIO(bytes((3 << 20) + 1)), 3 << 20)


@pytest.mark.parametrize('compression', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, compression):
  with zipfile.ZipFile(tmp_path / 'a.npz', 'w', compression) as archive:
    archive.writestr('a.npy', _saved(np.zeros(1)))
  with pytest.raises(UserError, match='another compression than deflate'):
    plain_arrays.read_npz(str(tmp_path / 'a.npz'))


def test_a_member_named_twice_is_refused(tmp_path):
  with zipfile.ZipFile(tmp_path / 'a.npz', 'w') as archive, pytest.warns(UserWarning, match='Duplicate'):
    archive.writestr('a.npy', _saved(np.zeros(1)))
    archive.writestr('a.npy', _saved(np.ones(1)))
  with pytest.raises(UserError, match='a is there twice'):
    plain_arrays.read_npz(str(tmp_path / 'a.npz'))
