"""The contract with TensorFlow Serving: its messages over gRPC, its loader, and a server that cannot import dhpe_tf."""
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.inference import predictor
from dhpe_tf.serving import client, native_session
from tests import foreign_process
from tests.serving import toy
from tests.serving.test_exporter import encode

SOURCES = pathlib.Path(native_session.__file__).parent


@pytest.fixture(scope='module')
def model():
  return toy.build_toy_model()


@pytest.fixture(scope='module')
def server(toy_export, tmp_path_factory):
  """Address of a server in a process that has two files of ours, under another name, and cannot import dhpe_tf."""
  pytest.importorskip('tensorflow_serving')
  folder = tmp_path_factory.mktemp('server')
  (folder / 'loopback').mkdir()
  for name in ('native_session.py', 'loopback_server.py'):
    shutil.copy(SOURCES / name, folder / 'loopback' / name)
  program = '''
    import runpy, sys
    sys.path.insert(0, '.')
    runpy.run_module('loopback.loopback_server', run_name='__main__', alter_sys=True)
    '''
  process = subprocess.Popen(foreign_process.command(program, toy_export), cwd=folder, stdout=subprocess.PIPE,
                             stderr=(folder / 'stderr').open('w'), text=True)
  line = process.stdout.readline()
  assert line.startswith('serving on '), (folder / 'stderr').read_text()[-2000:]
  yield line.split()[-1]
  process.kill()
  process.wait()


def test_served_results_are_those_of_the_model(model, server):
  pictures = [toy.bright_picture(), toy.bright_picture(50, 40, left=3)]
  boxes = np.array([[10., 5., 40., 30.], [0., 0., 0., 0.]], np.float32)
  found = client.predict_encoded(server, 'toy', [encode(pictures[0]), encode(pictures[1], 'BMP')],
                                 {'boxes': boxes, 'is_left': np.array([False, True])})
  ready = predictor.from_method(model)
  for row, (box, side) in enumerate([(boxes[0], 'right'), (None, 'left')]):
    for name, value in toy.predict(ready, pictures[row], box, side).values.items():
      np.testing.assert_allclose(found[name][row], value, atol=2e-3 if name.endswith('_px') else 1e-4, err_msg=name)


def test_what_is_not_given_is_not_known(model, server):
  picture = toy.bright_picture()
  found = client.predict_encoded(server, 'toy', [encode(picture)])
  whole = toy.predict(predictor.from_method(model), picture)
  np.testing.assert_allclose(found['joints_2d_px'][0], whole.values['joints_2d_px'], atol=2e-3)
  with pytest.raises(UserError, match='takes boxes, images, is_left; got boxes, height, images, is_left'):
    client.predict_encoded(server, 'toy', [encode(picture)], {'height': np.zeros(1)})


def test_outputs_can_be_chosen(model, server):
  images = np.random.RandomState(0).uniform(size=[2, 16, 16, 3]).astype(np.float32)
  found = client.predict(server, 'toy', 'serving_default', {'images': images}, outputs=['vertices'])
  np.testing.assert_allclose(found['vertices'], model(images)['vertices'], atol=1e-4)
  assert set(found) == {'vertices'}


def test_metadata_tell_the_signatures(server):
  import grpc
  from tensorflow_serving.apis import get_model_metadata_pb2, prediction_service_pb2_grpc
  request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=['signature_def'])
  request.model_spec.name = 'toy'
  with grpc.insecure_channel(server) as channel:
    response = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(request)
  signatures = get_model_metadata_pb2.SignatureDefMap()
  response.metadata['signature_def'].Unpack(signatures)
  assert response.model_spec.version.value == 3
  assert set(signatures.signature_def) == {'serving_default', 'predict_encoded', 'predict_encoded_status', 'mesh',
                                           'render'}


@pytest.mark.parametrize('arguments, message', [
    (('none', [b'']), 'no model none; there is toy version 3 .NOT_FOUND'),
    (('toy', [b'no picture']), 'INVALID_ARGUMENT'),
    (('toy', [b''], None, ['height']), 'no outputs? height|INVALID_ARGUMENT')])
def test_complaints_of_the_server_are_told(server, arguments, message):
  with pytest.raises(UserError, match=message):
    client.predict_encoded(server, *arguments)


def test_no_server():
  pytest.importorskip('tensorflow_serving')
  with pytest.raises(UserError, match='127.0.0.1:1, model toy: .*UNAVAILABLE'):
    client.predict_encoded('127.0.0.1:1', 'toy', [b''], timeout_s=5)


def test_native_session_names_what_is_wrong(toy_export, tmp_path):
  session = native_session.NativeSession(toy_export)
  with pytest.raises(ValueError, match="no signature 'x'; there are mesh, predict_encoded, .*, serving_default"):
    session.run('x', {})
  with pytest.raises(ValueError, match='serving_default takes images; got pictures'):
    session.run('serving_default', {'pictures': np.zeros([1, 16, 16, 3])})
  with pytest.raises(ValueError):
    session.run('serving_default', {'images': np.zeros([1, 8, 16, 3])})
  with pytest.raises(ValueError, match='Could not find SavedModel'):
    native_session.NativeSession(str(tmp_path))
