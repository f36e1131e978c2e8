"""MANO files in the forms in which they are found, made from a HandModel."""
import contextlib
import io
import pickle
import struct
import sys
import types
from typing import Any, Optional

import numpy as np
import scipy.sparse

from dhpe_tf.hand.hand_model import HandModel


def mano_arrays(model: HandModel) -> dict:
  """The arrays of a model by MANO's names and types."""
  parents = np.array(model.parents, np.int64)
  return {
      'v_template': model.v_template, 'f': model.faces.astype(np.uint32), 'shapedirs': model.shapedirs,
      'posedirs': model.posedirs, 'J_regressor': scipy.sparse.csc_matrix(model.joint_regressor),
      'weights': model.weights, 'kintree_table': np.stack([parents, np.arange(16)]).astype(np.uint32),
      'hands_mean': model.hands_mean, 'hands_components': model.hands_components,
      'hands_coeffs': np.zeros([4, 45]), 'J': model.rest_joints, 'bs_style': 'lbs', 'bs_type': 'lrotmin',
  }


def write_pickle(path: str, model: HandModel, changes: Optional[dict] = None) -> str:
  """A plain NumPy and SciPy pickle with MANO's names; `changes` replaces fields, None removes one."""
  arrays = {key: value for key, value in {**mano_arrays(model), **(changes or {})}.items() if value is not None}
  with open(path, 'wb') as file:
    pickle.dump(arrays, file, protocol=2)
  return path


class _Python2Pickler(pickle._Pickler):
  """Writes byte strings and text as Python 2 did: opcodes BINSTRING and SHORT_BINSTRING, no _codecs.encode."""

  dispatch = dict(pickle._Pickler.dispatch)

  def save_bytes(self, value):
    self.write(b'T' + struct.pack('<i', len(value)) + value)
    self.memoize(value)

  def save_text(self, value):
    self.write(b'U' + bytes([len(value)]) + value.encode('ascii'))
    self.memoize(value)

  dispatch[bytes] = save_bytes
  dispatch[str] = save_text


@contextlib.contextmanager
def stub_chumpy():
  """Modules named chumpy.ch and chumpy.reordering, with classes that pickle as chumpy's do; removed afterwards."""
  modules = {name: types.ModuleType(name) for name in ('chumpy', 'chumpy.ch', 'chumpy.reordering')}

  def new_class(module, name):
    made = type(name, (object,), {'__module__': module})
    setattr(modules[module], name, made)
    return made

  classes = types.SimpleNamespace(Ch=new_class('chumpy.ch', 'Ch'), Select=new_class('chumpy.reordering', 'Select'),
                                  Reshape=new_class('chumpy.reordering', 'Reshape'))
  sys.modules.update(modules)
  try:
    yield classes
  finally:
    for name in modules:
      del sys.modules[name]


def _with_state(kind: type, **state: Any) -> Any:
  """A chumpy object with the bookkeeping that chumpy leaves in its state."""
  made = kind()
  made.__dict__.update(state, _dirty_vars={'x'}, _itr=None, _depends_on_deps={}, _make_dense=False, _make_sparse=False)
  return made


def write_distributed_pickle(path: str, model: HandModel) -> str:
  """A file as MANO's authors distribute it: Python 2, protocol 2, chumpy arrays, a sparse regressor of an old SciPy."""
  arrays = mano_arrays(model)
  with stub_chumpy() as chumpy:
    arrays['v_template'] = _with_state(chumpy.Ch, x=arrays['v_template'])
    wide = np.concatenate([arrays['shapedirs'], np.full_like(arrays['shapedirs'], 9)], axis=2)
    chosen = np.arange(wide.size).reshape(wide.shape)[..., :10]
    arrays['shapedirs'] = _with_state(chumpy.Select, a=_with_state(chumpy.Ch, x=wide), idxs=chosen.ravel(),
                                      preferred_shape=chosen.shape)
    arrays['weights'] = _with_state(chumpy.Reshape, a=_with_state(chumpy.Ch, x=arrays['weights'].ravel()),
                                    newshape=arrays['weights'].shape)
    stream = io.BytesIO()
    _Python2Pickler(stream, protocol=2).dump(arrays)
  data = stream.getvalue()
  for new, old in ((b'scipy.sparse._csc', b'scipy.sparse.csc'), (b'numpy._core', b'numpy.core')):
    data = data.replace(b'c' + new, b'c' + old)
  with open(path, 'wb') as file:
    file.write(data)
  return path
