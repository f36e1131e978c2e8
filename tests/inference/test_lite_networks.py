"""The networks of TensorFlow Lite of an export are found by its model card, and only as they were written."""
import hashlib

import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.inference import lite_networks
from dhpe_tf.networks import lite


@pytest.fixture(scope='module')
def content():
  image = tf.keras.Input((8, 8, 3))
  return lite.convert(tf.keras.Model(image, {'mean': tf.keras.layers.GlobalAveragePooling2D()(image)}))


def card(content, file_name='toy.tflite'):
  entry = {'file': file_name, 'sha256': hashlib.sha256(content).hexdigest()}
  return {'lite': {'networks': {'toy': entry}, 'settings': {'threshold': .5}}}


def test_reads_what_the_card_names(tmp_path, content):
  (tmp_path / 'toy.tflite').write_bytes(content)
  found = lite_networks.read(str(tmp_path), card(content))
  assert found.settings == {'threshold': .5}
  assert found.networks['toy'](tf.ones([2, 8, 8, 3]))['mean'].numpy().tolist() == [[1., 1., 1.]] * 2


def test_exports_without_them_have_none(tmp_path):
  assert lite_networks.read(str(tmp_path), {}) is None


def test_other_files_and_damaged_cards_are_one_line(tmp_path, content):
  with pytest.raises(UserError, match='toy.tflite'):
    lite_networks.read(str(tmp_path), card(content))
  (tmp_path / 'toy.tflite').write_bytes(content[:-1] + b'x')
  with pytest.raises(UserError, match='toy.tflite: not the file of the model card; export the model again.'):
    lite_networks.read(str(tmp_path), card(content))
  for damaged in ({'lite': []}, {'lite': {'networks': {'toy': {}}, 'settings': {}}},
                  {'lite': {'networks': {'toy': {'file': 3, 'sha256': ''}}, 'settings': {}}}):
    with pytest.raises(UserError, match='the entry lite of its model card is damaged'):
      lite_networks.read(str(tmp_path), damaged)
