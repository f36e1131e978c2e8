import json

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
