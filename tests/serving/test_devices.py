"""Files for devices answer as the model that they were made of, and say what they leave out."""
import os

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import export
from dhpe_tf.errors import UserError
from dhpe_tf.inference import predictor
from dhpe_tf.serving import devices, exporter, lite, model_card
from tests.commands import call
from tests.serving import toy


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  folder = tmp_path_factory.mktemp('exported') / 'toy'
  formats = ['saved_model', 'tflite'] + (['onnx'] if _has_onnx() else [])
  return exporter.export(toy.build_toy_model(), str(folder), model_card.describe(toy.TASK, 'toy'), formats=formats)


def _has_onnx():
  try:
    import onnxruntime  # noqa: F401
    import tf2onnx  # noqa: F401
  except ImportError:
    return False
  return True


def content_of(exported, name):
  with open(os.path.join(exported, 'assets.extra', name), 'rb') as file:
    return file.read()


def pictures(size, count=2):
  return np.random.RandomState(5).uniform(size=[count, size, size, 3]).astype(np.float32)


@pytest.mark.parametrize('weights', lite.WEIGHTS)
def test_tensorflow_lite_answers_as_the_export(exported, weights):
  expected = tf.saved_model.load(exported).signatures['serving_default'](images=tf.constant(pictures(toy.SIZE)))
  found = lite.LiteNetwork(content_of(exported, f'feed_forward_{weights}.tflite'), 'a')(pictures(toy.SIZE))
  assert set(found) == set(expected) - {'mask'}
  for name in found:
    np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-3, err_msg=name)


@pytest.mark.skipif(not _has_onnx(), reason='no tf2onnx or onnxruntime here: pip install "dhpe_tf[devices]"')
@pytest.mark.parametrize('count', [1, 3])
def test_onnx_answers_as_the_export(exported, count):
  given = pictures(toy.SIZE, count)
  expected = tf.saved_model.load(exported).signatures['serving_default'](images=tf.constant(given))
  found = devices.onnx_session(content_of(exported, 'feed_forward.onnx'), threads=1)(given)
  assert set(found) == set(expected) - {'mask'}
  for name in found:
    np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_card_tells_files_and_what_is_left_out(exported):
  told = predictor.read_card(exported)['devices']
  assert {f'feed_forward_{weights}.tflite' for weights in lite.WEIGHTS} <= set(told['files'])
  for name, entry in told['files'].items():
    assert entry['bytes'] == len(content_of(exported, name)) and entry['max_relative_difference'] < 1e-3
  assert set(told['left_out']) == {'predict_encoded', 'render', 'mask'}
  assert predictor.load(exported).answer({'image': tf.constant(pictures(toy.SIZE))})['joints_2d'].shape == [2, 21, 2]


def test_other_formats_are_refused(capsys, tmp_path):
  for formats, message in [('saved_model,coreml', 'coreml'), ('tflite', 'saved_model is missing')]:
    assert call(export, f'--model_dir={tmp_path}', f'--export_dir={tmp_path}/out', f'--formats={formats}') == 1
    assert message in capsys.readouterr().err


def test_methods_that_take_no_picture_are_refused(tmp_path):
  model = toy.build_toy_model()
  joints = {'joints_2d': tf.TensorSpec([None, 21, 2])}

  class OfJoints:
    input_specs, task = joints, model.task

  with pytest.raises(UserError, match='OfJoints takes joints_2d and not one picture'):
    devices.write(OfJoints(), str(tmp_path), ['tflite'], [])
  assert devices.write(OfJoints(), str(tmp_path), ['saved_model'], []) == {}


def test_a_file_that_differs_is_not_written(tmp_path):
  with pytest.raises(UserError, match='a.tflite differs from the model by 1, of which 0.001 are allowed'):
    devices._written(str(tmp_path), 'a.tflite', b'', {'x': np.zeros([2])}, {'x': np.ones([2])}, 1e-3)
  with pytest.raises(UserError, match='differs from the model by nan'):
    devices._written(str(tmp_path), 'a.tflite', b'', {'x': np.zeros([2])}, {'x': np.full([2], np.nan)}, None)
  assert not os.listdir(tmp_path)


def test_what_tensorflow_lite_lacks_is_named():
  @tf.function(input_signature=[tf.TensorSpec([1, 3, 3], name='images')])
  def function(images):
    return {'values': tf.linalg.svd(images)[0]}
  with pytest.raises(UserError, match='TensorFlow Lite cannot take this model .*Svd.*leave out tflite'):
    lite.convert_function(function.get_concrete_function(), 'float32')


@pytest.mark.slow
def test_the_shipped_model_converts(tmp_path):
  from dhpe_tf.inference import earlier_export
  _, method = earlier_export.load(predictor.shipped_model())
  told = devices.write(method, str(tmp_path), ['saved_model', 'tflite'], ['refine', 'find_hands'])
  files = told['files']
  assert set(files) == {f'feed_forward_{weights}.tflite' for weights in lite.WEIGHTS}
  assert files['feed_forward_float32.tflite']['max_relative_difference'] < 1e-3
  assert files['feed_forward_int8.tflite']['bytes'] < 0.5 * files['feed_forward_float32.tflite']['bytes']
