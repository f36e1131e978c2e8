"""Reading PyTorch's weights without PyTorch."""
import collections
import io
import os
import pickle
import struct

import numpy as np
import pytest

from dhpe_tf import errors
from dhpe_tf.networks import torch_weights


class _Global:
  """Pickles as a reference to a name, as `torch.FloatStorage` does."""

  def __init__(self, module, name):
    self.module, self.name = module, name


class _Pickler(pickle._Pickler):
  """Writes references to modules that are not installed."""

  dispatch = dict(pickle._Pickler.dispatch)

  def save_global_reference(self, obj):
    self.write(pickle.GLOBAL + f'{obj.module}\n{obj.name}\n'.encode())

  dispatch[_Global] = save_global_reference

  def persistent_id(self, obj):
    return obj[1] if isinstance(obj, tuple) and len(obj) == 2 and obj[0] == 'persistent' else None


class _Rebuild:
  """A tensor: pickles as a call of a function of torch."""

  def __init__(self, function, *arguments):
    self.function, self.arguments = function, arguments


def _save_rebuild(pickler, obj):
  pickler.save(obj.function)
  pickler.save(obj.arguments)
  pickler.write(pickle.REDUCE)


_Pickler.dispatch[_Rebuild] = _save_rebuild


def _dump(value):
  buffer = io.BytesIO()
  _Pickler(buffer, 2).dump(value)
  return buffer.getvalue()


def _write(path, rebuild='_rebuild_tensor_v2', magic=0x1950a86a20f9469cfc6c, values=6, shape=(2, 3), strides=(1, 2),
           offset=0, said=None, count=1):
  storage = ('persistent', ('storage', _Global('torch', 'FloatStorage'), 'key', 'cpu', said or values, None))
  tensors = [_Rebuild(_Global('torch._utils', rebuild), storage, offset, shape, strides, False, None)
             for _ in range(count)]
  state = collections.OrderedDict([('layer.weight' if not i else f'other{i}', tensor)
                                   for i, tensor in enumerate(tensors)])
  data = b''.join(_dump(part) for part in (magic, 1001, {}, state, ['key']))
  path.write_bytes(data + struct.pack('<q', values) + np.arange(values, dtype='<f4').tobytes())
  return str(path)


def test_strided_tensor(tmp_path):
  state = torch_weights.read_state(_write(tmp_path / 'a.pth'))
  np.testing.assert_array_equal(state['layer.weight'], [[0, 2, 4], [1, 3, 5]])


@pytest.mark.parametrize('change', [
    {'rebuild': 'system'}, {'magic': 7}, {'shape': (3, 3)}, {'shape': (1 << 30,), 'strides': (0,)},
    {'shape': (1 << 30, 0, 1 << 30), 'strides': (0, 0)}, {'shape': (2, 3), 'strides': (-1, 2)},
    {'shape': (2,), 'strides': (1 << 62,)}, {'shape': (2,), 'strides': (5,), 'offset': 1}, {'offset': -1},
    {'shape': (6,), 'strides': (0,), 'values': 5}, {'said': 1 << 40}, {'said': 5}, {'values': 1000, 'shape': (1000,),
                                                                                    'strides': (1,), 'count': 200},
    {'shape': 6}, {'strides': ('a', 'b')}, {'offset': None}])
def test_refuses_other_files(tmp_path, change):
  with pytest.raises(errors.UserError, match='a.pth'):
    torch_weights.read_state(_write(tmp_path / 'a.pth', **change))


def test_refuses_truncated_missing_and_foreign_files(tmp_path):
  whole = tmp_path / 'a.pth'
  _write(whole)
  for size in (0, 10, 60, whole.stat().st_size - 4):
    (tmp_path / 'cut.pth').write_bytes(whole.read_bytes()[:size])
    with pytest.raises(errors.UserError, match='cut.pth'):
      torch_weights.read_state(str(tmp_path / 'cut.pth'))
  (tmp_path / 'text.pth').write_text('hello\n')
  for name in ('text.pth', 'missing.pth'):
    with pytest.raises(errors.UserError, match=name):
      torch_weights.read_state(str(tmp_path / name))


def test_tied_weights(tmp_path):
  state = torch_weights.read_state(_write(tmp_path / 'a.pth', count=2))
  np.testing.assert_array_equal(state['layer.weight'], state['other1'])


def test_tensors_that_repeat_one_value_take_no_more_than_their_storage(tmp_path):
  state = torch_weights.read_state(_write(tmp_path / 'a.pth', shape=(2, 3), strides=(0, 1)))
  np.testing.assert_array_equal(state['layer.weight'], [[0, 1, 2], [0, 1, 2]])


def test_pipes_are_not_read(tmp_path):
  os.mkfifo(tmp_path / 'a.pth')
  with pytest.raises(errors.UserError, match='a.pth: cannot be read .it is no plain file'):
    torch_weights.read_state(str(tmp_path / 'a.pth'))
