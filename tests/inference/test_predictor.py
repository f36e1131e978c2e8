import json
import os
import shutil

import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.inference import predictor
from dhpe_tf.serving import exporter, model_card
from tests.serving import toy


@pytest.mark.parametrize('name, message', [
    (['HandTask'], 'task_class in assets.extra/model_card.json must be a text; export the model again'),
    ('NoTask', 'the task NoTask is not known here'), ('no/task', 'the task no/task is not known here')])
def test_a_card_that_names_no_task_is_refused_with_its_folder(tmp_path, name, message):
  version = exporter.export(toy.build_toy_model(), str(tmp_path / 'toy'), model_card.describe(toy.TASK, 'toy'))
  path = f'{version}/{exporter.CARD}'
  with open(path, encoding='utf-8') as file:
    card = json.load(file)
  with open(path, 'w', encoding='utf-8') as file:
    json.dump({**card, 'task_class': name}, file)
  with pytest.raises(UserError, match=f'{version}: {message}'):
    predictor.from_export(version)


@pytest.mark.parametrize('name', ['saved_model.pb', 'fingerprint.pb', 'variables/variables.index',
                                  'variables/variables.data-00000-of-00001'])
@pytest.mark.parametrize('put', [os.mkfifo, lambda path: os.symlink('/dev/zero', path),
                                 lambda path: os.symlink(path, path), lambda path: open(path, 'wb').truncate(1 << 40)])
def test_pipes_devices_and_huge_files_are_not_read(toy_export, tmp_path, name, put):
  folder = str(tmp_path / 'toy')
  shutil.copytree(toy_export, folder)
  os.remove(f'{folder}/{name}')
  put(f'{folder}/{name}')
  with pytest.raises(UserError, match=f'{name}: cannot be read'):
    predictor.from_export(folder)
