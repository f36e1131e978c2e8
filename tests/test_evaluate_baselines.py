import json

import pytest

from dhpe_tf import evaluate_baselines, train
from tests.commands import call
from tests.data import records


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('baselines')
  for split, count in (('train', 6), ('eval', 3)):
    records.write(str(folder / 'records'), count, split)
  assert call(train, '--gin_file=baselines/pose_prior.gin', f'--model_dir={folder}/pose_prior',
              '--gin_param=train.epochs = 1', '--gin_param=lifting.hand_dense = (16,)',
              f'--gin_param=RECORDS = "{folder}/records"', '--gin_param=train.steps_per_epoch = 2',
              '--gin_param=build_dataset.batch_size = 2') == 0
  return folder


@pytest.mark.slow
def test_report(folder, capsys):
  assert call(evaluate_baselines, f'--data={folder}/records', f'--report={folder}/fits.json', '--image_size=32',
              '--methods=particle_swarm,levenberg_marquardt,pose_prior', f'--pose_prior={folder}/pose_prior',
              '--batch_size=3', '--gin_param=swarm.generations = 2', '--gin_param=least_squares.iterations = 3',
              '--gin_param=levenberg_marquardt.scouting = 1', '--gin_param=particle_swarm.particles = 8') == 0
  report = json.loads((folder / 'fits.json').read_text())
  methods = ['particle_swarm', 'levenberg_marquardt', 'pose_prior']
  assert list(report['results']) == methods and report['images'] == 3 and report['joints_from'] == 'truth'
  assert list(report['processor_ms_per_image']) == methods and min(report['processor_ms_per_image'].values()) > 0
  for name in methods:
    assert report['results'][name]['joints_3d']['PA']['epe_mean_mm'] > 0
  # Lifting answers no mask, and its 2D joints are those it was given.
  assert report['results']['pose_prior']['mask'] is None and report['results']['pose_prior']['joints_2d'] is None
  assert report['results']['levenberg_marquardt']['joints_2d']['mean_px_of_256_crop'] > 0
  assert 'pose_prior | root+scale' in (folder / 'fits.md').read_text()
  assert call(evaluate_baselines, f'--data={folder}/records', f'--report={folder}/none.json',
              '--methods=levenberg_marquardt', f'--joints_from={folder}/pose_prior') == 1
  assert 'gives no 2D joints and mask' in capsys.readouterr().err and not (folder / 'none.json').exists()


@pytest.mark.parametrize('methods, message', [
    ('genetic', "there is no 'genetic'"), ('pose_prior', 'give --pose_prior'),
])
def test_errors(tmp_path, capsys, methods, message):
  assert call(evaluate_baselines, f'--data={tmp_path}', f'--report={tmp_path}/none.json', f'--methods={methods}') == 1
  assert message in capsys.readouterr().err
