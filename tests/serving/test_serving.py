"""The contract with TensorFlow Serving: its messages over gRPC and REST, its loader, a server without dhpe_tf."""
import json
import urllib.error
import urllib.request

import numpy as np
import pytest

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError
from dhpe_tf.inference import predictor
from dhpe_tf.serving import batching, loopback_server, native_session
from dhpe_tf.serving import client as client_module
from dhpe_tf.serving.client import Client
from tests.serving import servers, toy
from tests.serving.test_exporter import encode


@pytest.fixture(scope='module')
def model():
  return toy.build_toy_model()


@pytest.fixture(scope='module')
def server(toy_export):
  with servers.running(toy_export) as started:
    yield started


@pytest.fixture(scope='module', params=['grpc', 'rest'])
def client(request, server):
  with Client(getattr(server, request.param), 'toy', request.param) as opened:
    yield opened


def test_served_results_are_those_of_the_model(model, client):
  pictures = [toy.bright_picture(), toy.bright_picture(50, 40, left=3)]
  boxes = np.array([[10., 5., 40., 30.], [0., 0., 0., 0.]], np.float32)
  found = client.predict_encoded([encode(pictures[0]), encode(pictures[1], 'BMP')],
                                 {'boxes': boxes, 'is_left': np.array([False, True])})
  ready = predictor.from_method(model)
  for row, (box, side) in enumerate([(boxes[0], 'right'), (None, 'left')]):
    for name, value in toy.predict(ready, pictures[row], box, side).values.items():
      np.testing.assert_allclose(found[name][row], value, atol=2e-3 if name.endswith('_px') else 1e-4, err_msg=name)


def test_what_is_not_given_is_not_known(model, client):
  picture = toy.bright_picture()
  found = client.predict_encoded([encode(picture)])
  whole = toy.predict(predictor.from_method(model), picture)
  np.testing.assert_allclose(found['joints_2d_px'][0], whole.values['joints_2d_px'], atol=2e-3)
  with pytest.raises(UserError, match='takes boxes, images, is_left; got boxes, height, images, is_left'):
    client.predict_encoded([encode(picture)], {'height': np.zeros(1)})


def test_outputs_can_be_chosen(model, client):
  images = np.random.RandomState(0).uniform(size=[2, 16, 16, 3]).astype(np.float32)
  found = client.predict('serving_default', {'images': images}, outputs=['vertices'])
  np.testing.assert_allclose(found['vertices'], model(images)['vertices'], atol=1e-4)
  assert set(found) == {'vertices'}


def test_a_server_that_is_not_warm_answers_the_same(model, toy_export):
  images = np.random.RandomState(0).uniform(size=[2, 16, 16, 3]).astype(np.float32)
  cold = loopback_server.serve(toy_export, warm=False)
  with Client(f'127.0.0.1:{cold.port}', 'toy') as opened:
    found = opened.predict('serving_default', {'images': images})
  cold.stop()
  np.testing.assert_allclose(found['vertices'], model(images)['vertices'], atol=1e-4)


def test_metadata_tell_the_signatures(server):
  import grpc
  from tensorflow_serving.apis import get_model_metadata_pb2, prediction_service_pb2_grpc
  request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=['signature_def'])
  request.model_spec.name = 'toy'
  with grpc.insecure_channel(server.grpc) as channel:
    response = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(request)
  signatures = get_model_metadata_pb2.SignatureDefMap()
  response.metadata['signature_def'].Unpack(signatures)
  assert response.model_spec.version.value == 3
  assert set(signatures.signature_def) == {'serving_default', 'predict_encoded', 'predict_encoded_status', 'mesh',
                                           'render'}


def test_bytes_arrive_as_they_are(client):
  picture = toy.bright_picture(61, 43, left=3)
  data = encode(picture, 'BMP')  # its last row is filled up with zeros
  assert data.endswith(b'\0')
  np.testing.assert_array_equal(client.predict_encoded([data, encode(picture)], with_status=True)['status'], [0, 0])


def test_webp_is_sent_as_png(client):
  picture = toy.bright_picture(61, 43, left=3)
  webp = image_files.encode(picture, 'WEBP', lossless=True)
  found = client.predict_encoded([webp, encode(picture)], with_status=True)
  np.testing.assert_array_equal(found['status'], [0, 0])
  np.testing.assert_allclose(found['joints_2d_px'][0], found['joints_2d_px'][1], atol=1e-3)
  with pytest.raises(UserError, match='picture 2: .*damaged'):
    client.predict_encoded([encode(picture), webp[:60]])


def test_parts_with_different_numbers_of_hands_are_joined():
  one, three = np.ones([2, 1, 4]), np.full([1, 3, 4], 3.)
  joined = np.concatenate(client_module._padded([one, three]))
  assert joined.shape == (3, 3, 4)
  np.testing.assert_array_equal(joined[:, :, 0], [[1, 0, 0], [1, 0, 0], [3, 3, 3]])
  np.testing.assert_array_equal(np.concatenate(client_module._padded([np.array([1, 2]), np.array([3])])), [1, 2, 3])


def test_rest_tells_state_and_signatures(server):
  def ask(path, body=None):
    with urllib.request.urlopen(f'http://{server.rest}/v1/models/{path}', body and json.dumps(body).encode()) as answer:
      return json.load(answer)
  status, = ask('toy')['model_version_status']
  assert status['state'] == 'AVAILABLE' and status['version'] == '3'
  told = ask('toy/versions/3/metadata')['metadata']['signature_def']['signature_def']['mesh']['inputs']['parameters']
  assert told['dtype'] == 'DT_FLOAT' and [dim['size'] for dim in told['tensor_shape']['dim']] == ['-1', '63']
  for path, body, code in [('none', None, 404), ('toy/versions/9', None, 404), ('toy', {'inputs': {}}, 404),
                           ('toy:predict', [3], 400), ('toy:predict', {'inputs': {'images': [[1], [1, 2]]}}, 400)]:
    with pytest.raises(urllib.error.HTTPError) as caught:
      ask(path, body)
    assert caught.value.code == code and json.load(caught.value)['error'], path


def test_a_client_tells_the_signatures_as_the_card_does(client, toy_export):
  card = predictor.read_card(toy_export)['signatures']
  told = client.signatures()
  assert set(told) == set(card)
  for name, spec in told.items():
    for kind in ('inputs', 'outputs'):
      assert {key: {'dtype': value.dtype.name, 'shape': value.shape.as_list()} for key, value in
              getattr(spec, kind).items()} == {key: {part: value[part] for part in ('dtype', 'shape')} for key, value in
                                               card[name][kind].items()}


def test_many_rows_are_sent_in_batches(model, server):
  images = np.random.RandomState(0).uniform(size=[7, 16, 16, 3]).astype(np.float32)
  with Client(server.grpc, 'toy', batch_size=3) as small:
    found = small.predict('serving_default', {'images': images}, rows=['images'])
    np.testing.assert_allclose(found['vertices'], model(images)['vertices'], atol=1e-5)
    status = small.predict_encoded([encode(toy.bright_picture()), b'none'] * 4, with_status=True)['status']
  np.testing.assert_array_equal(status, [0, 1] * 4)


@pytest.mark.parametrize('interface', ['grpc', 'rest'])
@pytest.mark.parametrize('name, arguments, message', [
    ('none', ([b''],), 'no model none; there is toy version 3 .NOT_FOUND'),
    ('toy', ([b'no picture'],), 'images: not a picture.* .INVALID_ARGUMENT'),
    ('toy', ([b'', b''], {'boxes': [[1, 2], [3]]}), 'predict_encoded, inputs: .*; give arrays of the shapes')])
def test_complaints_of_the_server_are_told(server, interface, name, arguments, message):
  with Client(getattr(server, interface), name, interface) as opened, pytest.raises(UserError, match=message):
    opened.predict_encoded(*arguments)


def test_what_is_asked_for_wrongly_is_told(client):
  with pytest.raises(UserError, match='model toy: no signature refine; it has mesh, '):
    client.predict('refine', {})
  with pytest.raises(UserError, match='serving_default: give images, float32'):
    client.predict('serving_default', {})
  with pytest.raises(UserError, match="interface 'soap': there are grpc, rest"):
    Client('127.0.0.1:1', 'toy', 'soap')


@pytest.mark.parametrize('interface', ['grpc', 'rest'])
def test_no_server(interface):
  with Client('127.0.0.1:1', 'toy', interface, tries=2) as opened:
    with pytest.raises(UserError, match='127.0.0.1:1, model toy: .*UNAVAILABLE'):
      opened.predict_encoded([b''])


@pytest.mark.parametrize('interface', ['grpc', 'rest'])
def test_a_server_that_is_silent_is_left_at_the_deadline(interface):
  with servers.silent() as address, Client(address, 'toy', interface, timeout_s=0.5) as opened:
    with pytest.raises(UserError, match='DEADLINE_EXCEEDED|UNAVAILABLE'):
      opened.signatures()


@pytest.mark.parametrize('interface', ['grpc', 'rest'])
def test_a_server_that_comes_late_is_waited_for(toy_export, interface):
  with servers.late(toy_export, delay_s=0.5) as late:
    with Client(getattr(late, interface), 'toy', interface, tries=90) as opened:
      assert 'mesh' in opened.signatures()


def test_requests_are_batched_and_answered_each_with_its_rows():
  sizes = []

  def double(signature, inputs):
    sizes.append(len(inputs['x']))
    return {'y': 2 * inputs['x']}
  batcher = batching.Batcher(double, batching.Batching(max_batch_size=4, batch_timeout_s=0.5, num_batch_threads=1))
  given = [np.full([rows, 2], number, np.float32) for number, rows in enumerate([1, 2, 1, 1])]
  for found, value in zip(servers.at_once(lambda x: batcher.run('a', {'x': x})['y'], given), given):
    np.testing.assert_array_equal(found, 2 * value)
  assert sum(sizes) == 5 and max(sizes) > 2 and max(sizes) <= 4
  for inputs, message in [({'x': np.float32(1)}, 'no scalar'), ({'x': np.zeros([5, 2])}, 'more than a batch of 4'),
                          ({'x': np.zeros([2, 2]), 'z': np.zeros([1])}, 'equally many rows')]:
    with pytest.raises(batching.ServingError, match=message):
      batcher.run('a', inputs)
  batcher.close()


def test_a_full_queue_asks_to_come_back():
  batcher = batching.Batcher(lambda *_: {}, batching.Batching(max_batch_size=1, max_enqueued_batches=0))
  with pytest.raises(batching.ServingError, match='come back later') as caught:
    batcher.run('a', {'x': np.zeros([1])})
  assert caught.value.code == 14


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
