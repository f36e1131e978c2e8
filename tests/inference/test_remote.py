"""predict by a server: the same pictures and numbers as by the model itself."""
import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from dhpe_tf import predict
from dhpe_tf.serving import loopback_server
from tests.commands import call
from tests.serving import toy

pytest.importorskip('tensorflow_serving')


@pytest.fixture(scope='module')
def server(toy_export):
  started = loopback_server.serve(toy_export)
  yield f'127.0.0.1:{started.port}'
  started.stop()


def run(export, folder, output, *arguments):
  return call(predict, f'--model={export}', f'--input={folder}/hand.png', f'--output={folder}/{output}',
              '--box=10,5,30,30', '--side=left', *arguments)


@pytest.fixture
def folder(tmp_path):
  Image.fromarray(toy.bright_picture()).save(tmp_path / 'hand.png')
  return tmp_path


def test_a_server_draws_the_same_picture_as_the_model(toy_export, server, folder):
  assert run(toy_export, folder, 'local') == 0
  assert run(toy_export, folder, 'served', f'--server={server}') == 0
  assert run(toy_export, folder, 'named', f'--server={server}/toy') == 0
  local, served = (json.loads((folder / name / 'hand.json').read_text()) for name in ('local', 'served'))
  assert local['hands'][0].keys() == served['hands'][0].keys() and len(local['hands']) == len(served['hands']) == 1
  for name, value in local['hands'][0].items():
    if not isinstance(value, str):
      np.testing.assert_allclose(served['hands'][0][name], value, atol=1e-5, err_msg=name)
  pictures = [np.asarray(Image.open(folder / name / 'hand_overlay.jpg')) for name in ('local', 'served')]
  np.testing.assert_array_equal(*pictures)
  assert (folder / 'local' / 'hand.obj').read_text().count('v ') == 4


@pytest.mark.parametrize('given, message', [
    ('127.0.0.1:1', '127.0.0.1:1, model toy: .*UNAVAILABLE'), ('{server}/other', 'no model other; there is toy')])
def test_servers_without_the_model(toy_export, server, folder, capsys, given, message):
  assert run(toy_export, folder, 'out', f'--server={given.format(server=server)}',
             '--gin_param=serving.Client.tries = 1') == 1
  assert not (folder / 'out').exists()
  error = capsys.readouterr().err
  assert error.startswith('error: ') and error.count('\n') == 1
  assert re.search(message, error)


def test_a_card_of_another_model_is_told(toy_export, server, folder, capsys):
  other = folder / 'toy' / '1'
  shutil.copytree(toy_export, other)
  path = os.path.join(other, 'assets.extra', 'model_card.json')
  with open(path, encoding='utf-8') as file:
    card = json.load(file)
  card['signatures']['mesh']['inputs']['parameters']['shape'] = [None, 61]
  with open(path, 'w', encoding='utf-8') as file:
    json.dump(card, file)
  assert run(other, folder, 'out', f'--server={server}') == 1
  assert 'has another model than' in capsys.readouterr().err
