"""Pre-training, the network that starts from it, and the four commands, on a training of a few steps."""
import json

import gin
import numpy as np
import pytest

from dhpe_tf import evaluate, export, predict, train
from tests.commands import call
from tests.methods import few_hands
from tests.test_commands import results_of

TINY = ('train.epochs = 1', 'train.steps_per_epoch = 2', 'train.callbacks = []')


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('contrastive')
  few_hands.write(folder)
  return folder


def train_by(folder, name, dataset, *params):
  params = (*TINY, *few_hands.sources(folder, dataset), f'{dataset}.batch_size = 4', *params)
  assert call(train, f'--gin_file=methods/{name}.gin', f'--model_dir={folder}/{name}',
              *(f'--gin_param={param}' for param in params)) == 0
  return folder / name


@pytest.fixture(scope='module')
def model_dir(folder):
  return train_by(folder, 'peclr', 'contrastive.pairs')


@pytest.mark.slow
def test_direct_regression_begins_with_its_trunk(folder, model_dir, capsys):
  train_by(folder, 'direct', 'build_dataset', f"train.initial_weights = '{model_dir}'")
  text = capsys.readouterr()
  assert 'backbone, feature_head; new: numbers' in text.out + text.err


@pytest.mark.slow
def test_the_probe_is_measured_exported_and_predicts(folder, model_dir):
  data, exported = f'--data={folder}/records', f'{folder}/exported'
  assert call(evaluate, f'--model_dir={model_dir}', data, '--baseline_split=', f'--report={folder}/first.json') == 0
  assert call(export, f'--model_dir={model_dir}', f'--export_dir={exported}') == 0
  assert call(evaluate, f'--model={exported}', data, '--baseline_split=', f'--report={folder}/second.json') == 0
  first, second = (results_of(folder / f'{name}.json')['model'] for name in ('first', 'second'))
  assert first['epe_mean/root'] == pytest.approx(second['epe_mean/root'], rel=1e-4) and first['epe_mean/root'] > 0
  assert call(predict, f'--model={exported}', f'--input={folder}/photos', f'--output={folder}/out', '--box=whole',
              '--side=right') == 0
  found = json.loads((folder / 'out' / 'a.json').read_text())['hands'][0]
  assert np.shape(found['joints_3d_m']) == (21, 3)
