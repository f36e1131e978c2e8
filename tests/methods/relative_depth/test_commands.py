"""The four commands on a training of a few steps."""
import json

import gin
import numpy as np
import pytest

from dhpe_tf import evaluate, export, predict, train
from dhpe_tf.serving import exporter, model_card
from tests.commands import call
from tests.methods import few_hands
from tests.serving import toy
from tests.test_commands import results_of

TINY = ('relative_depth.build_lifter.hidden = (16,)', 'relative_depth.settings_of.biomechanics_weight = 1.0',
        'train.epochs = 1', 'train.steps_per_epoch = 5', 'build_dataset.batch_size = 2', 'train.callbacks = []')
CAMERA = '--intrinsics=80,80,30,30'


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('relative_depth')
  few_hands.write(folder)
  joints = np.random.RandomState(0).uniform(10, 50, [21, 2]).tolist()
  (folder / 'labels.jsonl').write_text(json.dumps({'image': 'a.png', 'hand': 'left', 'joints_2d_px': joints}))
  kept = f'with_partial_labels.partial = [("{folder}/records", "train", 1.0)]'
  partial = ('Experiment.dataset = @hand.with_partial_labels', "with_partial_labels.hidden = ['joints_3d']",
             kept, 'with_partial_labels.partial_per_batch = 2')
  assert call(train, '--gin_file=methods/relative_depth_joints.gin', f'--model_dir={folder}/trained',
              *(f'--gin_param={param}' for param in (*TINY, *few_hands.sources(folder), *partial))) == 0
  return folder


@pytest.mark.slow
def test_an_export_is_measured_as_the_training_and_predicts(folder):
  data, exported = f'--data={folder}/records', f'{folder}/exported'
  assert call(evaluate, f'--model_dir={folder}/trained', data, '--protocols=hands19', '--baseline_split=',
              f'--report={folder}/first.json') == 0
  assert call(export, f'--model_dir={folder}/trained', f'--export_dir={exported}') == 0
  assert call(evaluate, f'--model={exported}', data, f'--report={folder}/again.json', '--baseline_split=') == 0
  first, second = (results_of(folder / f'{name}.json')['model'] for name in ('first', 'again'))
  assert first['epe_mean/root'] > 0
  assert first['epe_mean/root'] == pytest.approx(second['epe_mean/root'], rel=1e-4)
  found = []
  for number, (model, camera) in enumerate((('trained', CAMERA), ('exported', CAMERA), ('trained', None))):
    assert call(predict, f'--model={folder}/{model}', f'--input={folder}/photos', f'--output={folder}/{number}',
                f'--joints={folder}/labels.jsonl', *filter(None, [camera])) == 0
    found.append(json.loads((folder / str(number) / 'a.json').read_text())['hands'][0])
  np.testing.assert_allclose(found[0]['joints_3d_m'], found[1]['joints_3d_m'], atol=1e-4)
  assert np.shape(found[2]['joints_3d_m']) == (21, 3), 'without a camera as well'


@pytest.mark.slow
def test_joints_may_come_from_another_model(folder):
  exporter.export(toy.build_toy_model(), str(folder / 'eyes'), model_card.describe(toy.TASK, 'eyes'))
  assert call(predict, f'--model={folder}/trained', f'--input={folder}/photos', f'--output={folder}/seen',
              '--box=whole', f'--evidence={folder}/eyes') == 0
  assert np.shape(json.loads((folder / 'seen' / 'a.json').read_text())['hands'][0]['joints_3d_m']) == (21, 3)
