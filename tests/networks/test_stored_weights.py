"""Weights by layer name, and what is said of files that do not fit."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.networks import stored_weights


def _model():
  image = tf.keras.Input((4, 4, 3))
  x = tf.keras.layers.Conv2D(2, 1, name='first')(image)
  return tf.keras.Model(image, tf.keras.layers.PReLU(shared_axes=[1, 2], name='slope')(x), name='small')


ARRAYS = {'first/kernel': np.arange(6, dtype=np.float16).reshape(1, 1, 3, 2), 'first/bias': np.array([1, -9], '<f2'),
          'slope/alpha': np.full((1, 1, 2), 0.5, np.float16)}


def test_load_sets_every_variable(tmp_path):
  np.savez(tmp_path / 'a.npz', **ARRAYS)
  model = _model()
  stored_weights.load(model, tmp_path / 'a.npz')
  # (1, 1, 1) K + b = (0 + 2 + 4 + 1, 1 + 3 + 5 - 9); of the second a larger input makes 2.
  np.testing.assert_allclose(model(tf.ones([1, 4, 4, 3]))[0, 0, 0], [7, 0])
  np.testing.assert_allclose(model(tf.zeros([1, 4, 4, 3]))[0, 3, 3], [1, -4.5])


@pytest.mark.parametrize('change, message', [
    ({'first/bias': None}, 'holds no first/bias'), ({'first/bias': np.zeros(3)}, r'first/bias is \(3,\)'),
    ({'other/bias': np.zeros(3)}, 'other/bias')])
def test_arrays_of_another_model_change_nothing(change, message):
  model = _model()
  before = [variable.numpy() for variable in model.weights]
  arrays = {name: array for name, array in {**ARRAYS, **change}.items() if array is not None}
  with pytest.raises(errors.UserError, match=message):
    stored_weights.assign(model, arrays, 'a.npz')
  for variable, value in zip(model.weights, before):
    np.testing.assert_array_equal(variable, value)


def test_files_that_are_none(tmp_path):
  (tmp_path / 'text.npz').write_text('hello')
  np.savez(tmp_path / 'whole.npz', **ARRAYS)
  (tmp_path / 'cut.npz').write_bytes((tmp_path / 'whole.npz').read_bytes()[:-30])
  np.savez(tmp_path / 'objects.npz', **{**ARRAYS, 'first/bias': np.array([{}])})
  for name in ('missing', 'text', 'cut', 'objects'):
    with pytest.raises(errors.UserError, match=f'{name}.npz'):
      stored_weights.load(_model(), tmp_path / f'{name}.npz')
