"""The warm-up requests of an export, read by TensorFlow Serving's own messages and replayed as it replays them."""
import os

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.serving import exporter, native_session, warm_up
from tests.serving import signature_checks, toy


def read(path):
  """The PredictRequests in a file of warm-up requests."""
  prediction_log_pb2 = pytest.importorskip('tensorflow_serving.apis.prediction_log_pb2')
  logs = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(path)]
  assert all(log.WhichOneof('log_type') == 'predict_log' for log in logs)
  return [log.predict_log.request for log in logs]


def test_every_signature_is_warmed_up_by_a_request_that_it_answers(toy_export):
  requests = read(os.path.join(toy_export, warm_up.FILE))
  assert {request.model_spec.signature_name for request in requests} == signature_checks.names(toy_export)
  session = native_session.NativeSession(toy_export)
  for request in requests:
    assert request.model_spec.name == 'toy'
    given = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
    assert len(session.run(request.model_spec.signature_name, given)) >= 2


def test_long_texts_and_many_numbers_survive(tmp_path):
  given = {'images': np.array([b'x' * 70_000], object), 'steps': np.int32(3), 'none': np.zeros([0, 4], np.float32)}
  warm_up.write(str(tmp_path / 'requests'), 'm' * 300, [('a', given), ('b', {})])
  first, second = read(str(tmp_path / 'requests'))
  assert first.model_spec.name == 'm' * 300 and second.model_spec.signature_name == 'b' and not second.inputs
  for name, value in given.items():
    np.testing.assert_array_equal(tf.make_ndarray(first.inputs[name]), value)


def test_a_picture_of_zeros_takes_no_space(tmp_path):
  given = {'images': np.full([1, 500, 500, 3], 0.5, np.float32)}
  warm_up.write(str(tmp_path / 'requests'), 'm', [('a', given)])
  np.testing.assert_array_equal(tf.make_ndarray(read(str(tmp_path / 'requests'))[0].inputs['images']), given['images'])
  assert os.path.getsize(tmp_path / 'requests') < 200


def test_a_model_that_refuses_its_warm_up_is_not_written(tmp_path, monkeypatch):
  monkeypatch.setattr(toy.TASK, 'signatures', lambda specs: {})
  model = toy.build_toy_model()
  refused = exporter.Signature(lambda x: {'y': tf.debugging.check_numerics(1. / x, 'no')}, {'x': tf.TensorSpec([None])},
                               ('x',))
  monkeypatch.setattr(type(model), 'signatures', lambda self: {'divide': refused})
  with pytest.raises(tf.errors.InvalidArgumentError):
    exporter.export(model, str(tmp_path / 'toy'), {})
  assert not list((tmp_path / 'toy').iterdir())
