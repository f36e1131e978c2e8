import io
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dhpe_tf.errors import UserError
from dhpe_tf.inference import predictor
from dhpe_tf.serving import exporter, versions
from dhpe_tf.tasks.hand.outputs import SERVED
from tests import foreign_process
from tests.serving import signature_checks, toy


def encode(picture, kind='PNG'):
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, kind)
  return buffer.getvalue()


@pytest.fixture(scope='module')
def model():
  return toy.build_toy_model()


@pytest.fixture(scope='module')
def exported(toy_export):
  return toy_export


def test_layout_and_card(exported):
  assert os.path.basename(exported) == '3' and os.path.exists(f'{exported}/saved_model.pb')
  with open(f'{exported}/assets.extra/model_card.json') as file:
    card = json.load(file)
  assert card['joint_order'][0] == 'wrist' and len(card['joint_order']) == 21 and len(card['pose_joint_order']) == 15
  assert card['hand_model']['licence'] == 'CC0-1.0' and card['config'] == 'a.b = 1' and card['version'] == 3
  assert card['parity']['max_abs_difference'] < 1e-5
  signatures = card['signatures']
  assert signatures['serving_default']['inputs'] == {
      'images': {'dtype': 'float32', 'shape': [None, 16, 16, 3], 'about': 'the crop, RGB in 0..1'}}
  vertices = signatures['serving_default']['outputs']['vertices']
  assert vertices == {'dtype': 'float32', 'shape': [None, 4, 3], 'about': 'mesh in crop space'}
  assert set(signatures['predict_encoded']['inputs']) == {'images', 'boxes', 'is_left'}
  # The card explains what some models tell and the toy does not.
  told = set(card['outputs']['predict_encoded']) - {'joint_confidence', 'misfit'}
  assert set(signatures['predict_encoded']['outputs']) == told | {'boxes'}
  assert signatures['predict_encoded_status']['inputs'] == signatures['predict_encoded']['inputs']
  assert set(signatures['predict_encoded_status']['outputs']) == told | {'boxes', 'status'}
  assert card['conventions']['status'].count(';') == 7


def test_the_card_tells_the_graph(exported):
  assert signature_checks.names(exported) == {'serving_default', 'predict_encoded', 'predict_encoded_status', 'mesh',
                                              'render'}
  signature_checks.compare(exported)


def test_the_file_serves_a_process_without_this_package(model, exported, tmp_path):
  images = np.random.RandomState(1).uniform(size=[3, 16, 16, 3]).astype(np.float32)
  picture = toy.bright_picture()
  np.savez(tmp_path / 'in.npz', images=images, encoded=np.frombuffer(encode(picture), np.uint8))
  program = '''
    import sys
    import numpy as np, tensorflow as tf
    signatures = tf.saved_model.load(sys.argv[1]).signatures
    given = np.load('in.npz')
    out = signatures['serving_default'](images=tf.constant(given['images']))
    np.savez('default.npz', **{k: v.numpy() for k, v in out.items()})
    data = given['encoded'].tobytes()
    out = signatures['predict_encoded'](images=tf.constant([data, data]), is_left=tf.constant([False, True]),
                                        boxes=tf.constant([[10., 5., 40., 30.], [0., 0., 0., 0.]]))
    np.savez('encoded.npz', **{k: v.numpy() for k, v in out.items()})
    try:
      import dhpe_tf
    except ImportError:
      sys.exit(0)
    sys.exit('dhpe_tf could be imported')
    '''
  done = subprocess.run(foreign_process.command(program, exported), cwd=tmp_path, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-2000:]
  expected = model(images)
  with np.load(tmp_path / 'default.npz') as found:
    assert set(found) == set(expected) & set(SERVED) | {'score'}
    for name in set(found) - {'score'}:
      np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
  ready = predictor.from_method(model)
  with np.load(tmp_path / 'encoded.npz') as found:
    np.testing.assert_allclose(found['boxes'], [[10, 5, 40, 30], [0, 0, 90, 60]])
    for row, (box, side) in enumerate([((10, 5, 40, 30), 'right'), (None, 'left')]):
      hand = toy.predict(ready, picture, box, side)
      for name, value in hand.values.items():
        np.testing.assert_allclose(found[name][row], value, atol=2e-3 if name.endswith('_px') else 1e-4, err_msg=name)


def test_only_stock_operations_and_no_training_graph(exported):
  graph = tf.compat.v1.saved_model.load(tf.compat.v1.Session(graph=tf.Graph()), ['serve'], exported).graph_def
  operations = {node.op for node in graph.node} | {
      node.op for function in graph.library.function for node in function.node_def}
  assert not [op for op in operations if op.startswith(('Py', 'EagerPy', 'Apply', 'ResourceApply'))]


def test_versions_count_up_and_none_is_replaced(model, tmp_path):
  (tmp_path / '7').mkdir()
  assert versions.next_version(str(tmp_path)) == 8
  with pytest.raises(UserError, match='7 is there already'):
    exporter.export(model, str(tmp_path), {}, version=7)


def test_a_version_appears_only_when_it_is_whole(model, tmp_path, monkeypatch):
  monkeypatch.setattr(exporter, 'measure_parity', lambda *_: float('nan'))
  with pytest.raises(UserError, match='its results differ'):
    exporter.export(model, str(tmp_path), {})
  assert not list(tmp_path.iterdir())


_CARD = '{"signatures": {"serving_default": {"inputs": {}}}, %s}'


def test_damaged_exports_are_named(model, exported, tmp_path):
  assert predictor.find_export(os.path.dirname(exported)) == exported == predictor.find_export(exported)
  assert predictor.find_export(str(tmp_path)) == ''
  (tmp_path / 'saved_model.pb').write_bytes(b'no')
  with pytest.raises(UserError, match='model_card.json: cannot be read .* export the model again'):
    predictor.from_export(str(tmp_path))
  (tmp_path / 'assets.extra').mkdir()
  for card in ('{}', '[]', 'no', '{"signatures": 3}', '{"signatures": {"serving_default": {"inputs": [1]}}}',
               '[' * 9999, _CARD % '"usage": null', _CARD % '"hand_model": [1]'):
    (tmp_path / 'assets.extra' / 'model_card.json').write_text(card)
    with pytest.raises(UserError, match='model_card.json.*; export the model again'):
      predictor.from_export(str(tmp_path))
  shutil.copy(os.path.join(exported, 'assets.extra', 'model_card.json'), tmp_path / 'assets.extra')
  with pytest.raises(UserError, match='not a complete export') as caught:
    predictor.from_export(str(tmp_path))
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['saved_model.pb', 'variables/variables.index',
                                  'variables/variables.data-00000-of-00001'])
def test_cut_off_exports_are_named(exported, tmp_path, name):
  folder = tmp_path / 'export'
  shutil.copytree(exported, folder)
  size = (folder / name).stat().st_size
  for left in (0, size // 3, size - 1):
    os.truncate(folder / name, 0)
    with open(os.path.join(exported, name), 'rb') as file:
      (folder / name).write_bytes(file.read()[:left])
    with pytest.raises(UserError, match='export: not a complete export.*; export the model again') as caught:
      predictor.from_export(str(folder))
    assert '\n' not in str(caught.value)
