"""The application behind the page: photographs to hands, limits, and headers that keep everything on this machine."""
import base64
import io
import json
import pathlib
import re
import struct
from concurrent import futures

import numpy as np
import pytest
from PIL import Image

from dhpe_tf.data import image_files
from dhpe_tf.demo import web
from dhpe_tf.demo.answers import check
from dhpe_tf.errors import UserError
from tests.data.test_image_files import png_header


@pytest.fixture(scope='module')
def app(answers):
  return web.create_app(answers)


def ask(app, data, steps=0):
  response = app.test_client().post(f'/hands?steps={steps}', data=data)
  return response.status_code, response.get_json()


def joints(content, number=0):
  return np.array(content['result']['hands'][number]['joints_2d_px'])


def test_a_photograph_is_answered_with_all_that_the_page_shows(app, hand, encoded):
  status, content = ask(app, encoded, steps=2)
  assert status == 200
  found, = content['result']['hands']
  assert found['side'] == 'right' and content['result']['size'] == list(hand[0].shape[:2])
  assert content['result']['refine_steps'] == 2 and content['result']['joint_order'][0] == 'wrist'
  assert np.abs(joints(content) - hand[1]).mean() < 16
  shape = [np.shape(found[name]) for name in ('vertices_m', 'joints_3d_m', 'joint_confidence')]
  assert shape == [(778, 3), (21, 3), (21,)] and 0 < found['score'] <= 1
  overlay = np.asarray(Image.open(io.BytesIO(base64.b64decode(content['overlay']))))
  assert overlay.shape == hand[0].shape and np.abs(overlay.astype(int) - hand[0]).max() > 50


def test_files_hold_the_mesh(app, encoded):
  trimesh = pytest.importorskip('trimesh')
  _, content = ask(app, encoded)
  files, found = content['files'][0], content['result']['hands'][0]
  mesh = trimesh.load(io.BytesIO(base64.b64decode(files['obj'])), file_type='obj', process=False)
  np.testing.assert_allclose(mesh.vertices * [1, -1, -1], found['vertices_m'], atol=1e-5)
  np.testing.assert_array_equal(mesh.faces, files['faces'])
  binary = base64.b64decode(files['glb'])
  assert struct.unpack('<4sII', binary[:12]) == (b'glTF', 2, len(binary))
  assert json.loads(binary[20:20 + struct.unpack('<I', binary[12:16])[0]])['skins']


def test_numbers_are_those_of_the_picture_in_its_own_size(app, hand, encoded):
  large = np.asarray(Image.fromarray(hand[0]).resize((1536, 1536), Image.Resampling.BICUBIC))
  status, content = ask(app, image_files.encode(large, 'JPEG', quality=90))
  assert status == 200 and content['result']['size'] == [1536, 1536]
  small = joints(ask(app, encoded)[1])
  np.testing.assert_allclose(joints(content) / 6, small, atol=4)
  shown = Image.open(io.BytesIO(base64.b64decode(content['overlay'])))
  assert shown.size == (1280, 1280)


@pytest.mark.parametrize('data, status, message', [
    (b'x' * (2**20 + 1), 413, 'longer than the limit, 1 MiB'),
    (b'x' * (2**20 + 9), 413, 'longer than the limit, 1 MiB'),
    (png_header(20_000, 20_000), 413, 'too many pixels; the limit is 50 million'),
    (png_header(8_000, 8_000), 413, 'too many pixels'), (b'no picture', 400, 'not a picture in a format'),
    (b'', 400, 'not a picture'),
    (png_header(80, 80), 400, 'damaged or cut off')])
def test_limits_hold_and_are_told(app, data, status, message):
  found, content = ask(app, data)
  assert found == status and set(content) == {'error'}
  assert re.search(message, content['error']), content


def test_a_picture_without_a_hand_says_what_to_show(app):
  status, content = ask(app, image_files.encode(np.full([90, 120, 3], 128, np.uint8), 'PNG'))
  assert status == 400 and content['error'].startswith('No hand was found') and '--' not in content['error']


@pytest.mark.parametrize('steps', [-1, 21, 10**9])
def test_steps_have_a_bound(app, encoded, steps):
  status, content = ask(app, encoded, steps)
  assert status == 400 and 'choose 0 to 20' in content['error']


def test_requests_at_once_get_each_their_own(app, hand, encoded):
  mirrored = image_files.encode(hand[0][:, ::-1], 'PNG')
  with futures.ThreadPoolExecutor(6) as threads:
    found = list(threads.map(lambda data: ask(app, data)[1], [encoded, mirrored] * 3))
  assert [content['result']['hands'][0]['side'] for content in found] == ['right', 'left'] * 3
  np.testing.assert_array_equal(joints(found[0]), joints(found[2]))


def test_nothing_may_be_asked_of_other_machines(app):
  client = app.test_client()
  for path in ('/', '/settings', '/page/page.js', '/none'):
    policy = client.get(path).headers['Content-Security-Policy']
    assert "default-src 'none'" in policy and 'http' not in policy and '*' not in policy and 'unsafe' not in policy
  for name in ('index.html', 'page.js', 'viewer.js', 'style.css'):
    text = client.get(f'/page/{name}').get_data(as_text=True)
    assert '//' not in text.replace('// ', '') and 'http' not in text, name
  assert client.get('/settings', headers={'Host': 'stranger.example'}).status_code == 400
  assert client.get('/page/../web.py').status_code == 404


def test_a_taken_port_is_told(answers):
  with web.running(answers) as address:
    port = int(address.rstrip('/').rsplit(':', 1)[1])
    with pytest.raises(UserError, match=f'--port={port}: cannot listen there'), web.running(answers, port):
      pass


def test_models_without_hands_or_meshes_are_refused():
  with pytest.raises(UserError, match='runs/x: has no hand finder or no mesh'):
    check({'hand_model': {'faces': []}}, {'serving_default': {}}, 'runs/x')


def test_three_is_the_pinned_version():
  room = pathlib.Path(web.__file__).parent
  pinned = json.loads((room / 'vendor' / 'package.json').read_text())['devDependencies']['three']
  text = (room / 'page' / 'three.js').read_text()
  assert f'"{pinned.split(".")[1]}"' in text and 'SPDX-License-Identifier: MIT' in text
  assert f'three {pinned}' in (room / 'README.md').read_text().replace('[three](https://threejs.org)', 'three')
