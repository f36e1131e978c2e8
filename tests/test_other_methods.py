"""The commands on methods that see 2D joints: lifting, which is trained, and fits, which are not."""
import json

import numpy as np
import pytest
from PIL import Image

from dhpe_tf import evaluate, export, predict, train
from dhpe_tf.inference import predictor
from dhpe_tf.serving import exporter, model_card
from tests.commands import call
from tests.data import records
from tests.serving import toy
from tests.test_commands import results_of

QUICK = {'particle_swarm': ['minimise_by_swarm.generations = 2', 'particle_swarm.particles = 8'],
         'levenberg_marquardt': ['minimise_squares.iterations = 3', 'levenberg_marquardt.scouting = 1']}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('methods')
  for split, count in (('train', 6), ('eval', 3)):
    records.write(str(folder / 'records'), count, split)
  (folder / 'photos').mkdir()
  Image.fromarray(toy.bright_picture()).save(folder / 'photos' / 'a.png')
  joints = np.random.RandomState(0).uniform(10, 50, [21, 2]).tolist()
  line = {'image': 'a.png', 'hand': 'left', 'joints_2d_px': joints, 'valid': [1] * 20 + [0]}
  (folder / 'labels.jsonl').write_text(json.dumps(line))
  return folder


@pytest.fixture(scope='module')
def lifting(folder):
  assert call(train, '--gin_file=methods/lifting.gin', f'--model_dir={folder}/lifting',
              '--gin_param=train.epochs = 1', '--gin_param=pose_prior.hand_dense = (16,)',
              f'--gin_param=RECORDS = "{folder}/records"', '--gin_param=train.steps_per_epoch = 2',
              '--gin_param=build_dataset.batch_size = 2') == 0
  return folder / 'lifting'


@pytest.fixture(scope='module')
def eyes(folder):
  """An export that finds joints and masks in pictures."""
  exporter.export(toy.build_toy_model(), str(folder / 'eyes'), model_card.describe(toy.TASK, 'eyes'))
  return folder / 'eyes'


def params(name):
  return [f'--gin_param={param}' for param in QUICK[name]]


def test_lifting_is_measured_by_what_it_answers(folder, lifting):
  assert call(evaluate, f'--model_dir={lifting}', f'--data={folder}/records', f'--report={folder}/lifting.json') == 0
  model = results_of(folder / 'lifting.json')['model']
  # It answers no mask, and its 2D joints are those it was given.
  assert model['epe_mean/procrustes'] > 0 and not any('2d' in name or 'iou' in name for name in model)
  assert '| model | ' in (folder / 'lifting.md').read_text()


def test_several_splits_and_an_ensemble_are_measured_in_one_report(folder, lifting):
  assert call(evaluate, f'--model_dir={lifting}', f'--ensemble={lifting},{lifting}', f'--data={folder}/records',
              '--split=eval,train', f'--report={folder}/three.json') == 0
  one, three = results_of(folder / 'lifting.json'), results_of(folder / 'three.json')
  assert {'model', 'model 2', 'model 3', 'ensemble of 3'} <= set(three)
  assert three['ensemble of 3']['epe_mean/root'] == pytest.approx(three['model']['epe_mean/root'], rel=1e-4)
  assert three['model']['images/root'] > one['model']['images/root']


def test_an_ensemble_needs_its_first_training(folder, lifting, capsys):
  assert call(evaluate, '--gin_file=methods/levenberg_marquardt.gin', f'--ensemble={lifting}',
              f'--data={folder}/records', f'--report={folder}/none.json') == 1
  assert 'give its first training as --model_dir' in capsys.readouterr().err


def test_lifting_is_exported_and_the_export_is_measured_alike(folder, lifting):
  assert call(export, f'--model_dir={lifting}', f'--export_dir={folder}/exported') == 0
  assert set(predictor.load(str(folder / 'exported')).input_specs) == {'joints_2d', 'joints_2d_weight'}
  assert call(evaluate, f'--model={folder}/exported', f'--data={folder}/records', f'--report={folder}/again.json') == 0
  first, second = (results_of(folder / f'{name}.json')['model'] for name in ('lifting', 'again'))
  assert first['epe_mean/root'] == pytest.approx(second['epe_mean/root'], rel=1e-4)


def test_lifting_predicts_from_given_joints_and_from_those_of_another_model(folder, lifting, eyes, capsys):
  given = [f'--model={lifting}', f'--input={folder}/photos']
  seen = [f'--evidence={eyes}', '--box=whole']
  for name, source in (('joints', [f'--joints={folder}/labels.jsonl']), ('evidence', seen)):
    assert call(predict, *given, f'--output={folder}/{name}', *source) == 0
    found = json.loads((folder / name / 'a.json').read_text())['hands'][0]
    assert np.shape(found['joints_3d_m']) == (21, 3) and 'vertices_m' not in found
    assert {path.name for path in (folder / name).iterdir()} == {'a.json', 'a_overlay.jpg'}
  assert json.loads((folder / 'joints' / 'a.json').read_text())['hands'][0]['side'] == 'left'
  capsys.readouterr()
  assert call(predict, *given, f'--output={folder}/none', '--box=whole') == 1
  assert 'takes 2D joints; give them by --joints=labels.jsonl' in capsys.readouterr().err
  assert call(predict, *given, f'--output={folder}/none', '--refine_steps=3', f'--evidence={eyes}') == 1
  assert 'has no refinement' in capsys.readouterr().err and not (folder / 'none').exists()


@pytest.mark.slow
@pytest.mark.parametrize('name', QUICK)
def test_fits_are_measured_and_predict(folder, eyes, name):
  method = [f'--gin_file=methods/{name}.gin', *params(name)]
  assert call(evaluate, *method, f'--data={folder}/records', f'--report={folder}/{name}.json', '--batch_size=2') == 0
  model = results_of(folder / f'{name}.json')['model']
  assert model['epe_mean/procrustes'] > 0 and model['epe_2d_mean_px256'] > 0 and 'hand_iou_mean' in model
  assert json.loads((folder / f'{name}.json').read_text())['processor_ms_per_image'] > 0
  assert call(evaluate, *method, f'--data={folder}/records', f'--report={folder}/seen.json', f'--evidence={eyes}',
              '--baseline_split=') == 0
  assert list(results_of(folder / 'seen.json')) == ['model', 'evidence']
  assert call(predict, *method, f'--input={folder}/photos', f'--output={folder}/fit', f'--evidence={eyes}',
              '--box=whole') == 0
  assert (folder / 'fit' / 'a.obj').exists()


def test_a_fit_is_neither_trained_nor_taken_for_trained(folder, capsys):
  method = ['--gin_file=methods/particle_swarm.gin']
  assert call(train, *method, f'--model_dir={folder}/trained_fit') == 1
  assert 'Fit has nothing to train; evaluate it by' in capsys.readouterr().err
  assert call(export, f'--model_dir={folder}/trained_fit', f'--export_dir={folder}/x') == 1
  assert 'holds no config.gin' in capsys.readouterr().err
  assert call(evaluate, '--gin_file=methods/lifting.gin', f'--data={folder}/records',
              f'--report={folder}/none.json') == 1
  assert 'PosePrior must be trained first by python -m dhpe_tf.train' in capsys.readouterr().err


def test_evidence_that_does_not_suffice_is_named(folder, lifting, capsys):
  assert call(evaluate, f'--model_dir={lifting}', f'--evidence={lifting}', f'--data={folder}/records',
              f'--report={folder}/none.json') == 1
  assert 'has no output joints_2d' in capsys.readouterr().err and not (folder / 'none.json').exists()
