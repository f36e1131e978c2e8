import os
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from data_tools import convert_landmarker, landmarker
from dhpe_tf import command_line
from dhpe_tf.errors import UserError
from dhpe_tf.networks import landmark_net, palm_net, stored_weights

WHEEL = os.environ.get('MEDIAPIPE_WHEEL', '')
PATH = landmarker.SOURCES[0].path


def _convert(wheel, output):
  argv = ['convert_landmarker', f'--wheel={wheel}', f'--output={output}']
  return command_line.call(convert_landmarker.main, argv, convert_landmarker._FLAGS)


def _model():
  """A small network with every kind of layer with weights."""
  image = tf.keras.Input((8, 6, 3))
  x = tf.keras.layers.Conv2D(40, 3, 2, padding='same', activation=tf.nn.relu6, bias_initializer='ones',
                             name='conv')(image)
  x = tf.keras.layers.DepthwiseConv2D(5, padding='same', bias_initializer='ones', name='deep')(x)
  x = tf.keras.layers.PReLU(shared_axes=[1, 2], alpha_initializer='random_uniform', name='slope')(x)
  x = tf.keras.layers.DepthwiseConv2D(3, padding='same', use_bias=False, name='bare')(x)
  x = tf.keras.layers.GlobalAveragePooling2D()(x)
  return tf.keras.Model(image, tf.keras.layers.Dense(21, bias_initializer='ones', name='dense')(x))


def _tflite(model):
  converter = tf.lite.TFLiteConverter.from_keras_model(model)
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  converter.target_spec.supported_types = [tf.float16]
  return converter.convert()


def _source(names):
  return landmarker.Source('small.tflite', None, lambda weights: _model(), lambda: names, lambda answers: [answers])


@pytest.fixture(scope='module')
def small():
  tf.keras.utils.set_random_seed(3)
  model = _model()
  return model, _tflite(model)


def test_weights_come_back_in_the_layout_of_keras(small):
  original, content = small
  source = _source(['conv', 'deep', 'slope', 'bare', 'dense'])
  model, arrays = landmarker.convert(content, source, 'a.whl')
  assert {array.dtype for array in arrays.values()} == {np.dtype('float16')} and 'bare/bias' not in arrays
  for layer in original.layers:
    for variable in layer.weights:
      np.testing.assert_allclose(arrays[stored_weights.key(layer, variable)], variable, atol=1e-3)
  assert landmarker.difference(model, content, source, 'a.whl') < 1e-5


def test_the_difference_is_seen(small):
  _, content = small
  source = _source(['conv', 'deep', 'slope', 'bare', 'dense'])
  model, _ = landmarker.convert(content, source, 'a.whl')
  model.get_layer('deep').bias.assign_add(tf.ones(40))
  assert landmarker.difference(model, content, source, 'a.whl') > 1e-2


def test_a_network_that_cannot_be_run_is_named(small, monkeypatch):
  model, content = small

  def refuse(*arguments):  # as TensorFlow Lite does where an index of a tensor is damaged
    del arguments
    raise RuntimeError('Invalid tensor index 4259863 in outputs.')
  monkeypatch.setattr(landmarker, 'interpret', refuse)
  with pytest.raises(UserError, match='^a.whl: small.tflite cannot be run by TensorFlow Lite.*Invalid tensor index'):
    landmarker.difference(model, content, _source(['conv', 'deep', 'slope', 'bare', 'dense']), 'a.whl')


def test_half_a_network_does_not_end_this_process(small):
  model, content = small
  with pytest.raises(UserError, match='^a.whl: small.tflite cannot be run by TensorFlow Lite'):
    landmarker.difference(model, content[:len(content) // 2], _source([]), 'a.whl')


def test_no_number_is_a_difference(small):
  _, content = small
  source = _source(['conv', 'deep', 'slope', 'bare', 'dense'])
  model, _ = landmarker.convert(content, source, 'a.whl')
  # The second output is not a number, the first one agrees.
  twice = source._replace(outputs=lambda answers: [answers, answers * np.nan])
  wanted = landmarker.interpret
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(landmarker, 'interpret', lambda *arguments: wanted(*arguments) * 2)
    assert not landmarker.difference(model, content, twice, 'a.whl') <= 1


def test_other_networks_are_refused(small):
  for content, fault in ((small[1], '5 layers, not 2'), (b'something else', 'no TensorFlow Lite file'),
                         (small[1][:200], '.*'), (small[1].replace(b'\x04\0\0\0', b'\xff\xff\xff\xff'), '.*')):
    message = f'a.whl: small.tflite is not that of mediapipe 0.10.21: {fault}; down'
    with pytest.raises(landmarker.UserError, match=message):
      landmarker.convert(content, _source(['conv', 'deep']), 'a.whl')
  with pytest.raises(ValueError, match='SOFTMAX'):
    landmarker.keras_arrays(landmarker.Layer('SOFTMAX', [np.zeros(1)]), 'a')


def test_names_are_those_of_the_networks():
  for build, names in ((landmark_net.landmark_net, landmarker.landmark_names()),
                       (palm_net.palm_net, landmarker.palm_names())):
    assert sorted(names) == sorted(layer.name for layer in build(weights=None).layers if layer.weights)


def test_a_wrong_wheel_is_one_line_and_leaves_no_file(small, tmp_path, capsys):
  for name, content in (('empty', {}), ('other', {PATH: small[1]}), ('text', {PATH: b'text'})):
    with zipfile.ZipFile(tmp_path / f'{name}.whl', 'w') as wheel:
      for path, data in content.items():
        wheel.writestr(path, data)
  (tmp_path / 'broken.whl').write_text('no zip')
  content = bytearray((tmp_path / 'other.whl').read_bytes())
  content[len(content) // 2] ^= 1
  (tmp_path / 'flipped.whl').write_bytes(content)
  for name, message in (('empty', 'holds no mediapipe'), ('other', 'layers'), ('text', 'no TensorFlow Lite'),
                        ('broken', 'not a zip'), ('flipped', 'Bad CRC'), ('missing', 'pip download')):
    assert _convert(tmp_path / f'{name}.whl', tmp_path / 'out') == 1
    error = capsys.readouterr().err
    assert error.startswith('error: ') and message in error and error.count('\n') == 1, error
  assert not (tmp_path / 'out').exists()


def test_a_network_that_unpacks_to_more_than_the_limit(tmp_path, monkeypatch):
  monkeypatch.setattr(landmarker, '_MOST_BYTES', 1 << 20)
  with zipfile.ZipFile(tmp_path / 'bomb.whl', 'w', zipfile.ZIP_DEFLATED) as wheel:
    wheel.writestr(PATH, bytes(2 << 20))
  # What the header says about the size does not count.
  content = (tmp_path / 'bomb.whl').read_bytes().replace((2 << 20).to_bytes(4, 'little'), (9).to_bytes(4, 'little'))
  (tmp_path / 'liar.whl').write_bytes(content)
  with pytest.raises(landmarker.UserError, match='bomb.whl: more than 1 MiB when unpacked; get the wheel'):
    landmarker.read_file(str(tmp_path / 'bomb.whl'), PATH)
  with pytest.raises(landmarker.UserError, match='liar.whl: .*; get the wheel'):
    landmarker.read_file(str(tmp_path / 'liar.whl'), PATH)


@pytest.mark.skipif(not os.path.isfile(WHEEL), reason='MEDIAPIPE_WHEEL names no wheel of mediapipe 0.10.21')
def test_the_wheel_gives_the_shipped_files(tmp_path):
  assert _convert(WHEEL, tmp_path) == 0
  for weights in (landmark_net.WEIGHTS, palm_net.WEIGHTS):
    with np.load(weights) as shipped, np.load(tmp_path / weights.name) as made:
      assert sorted(shipped) == sorted(made)
      for name in shipped:
        np.testing.assert_array_equal(made[name], shipped[name], err_msg=name)
