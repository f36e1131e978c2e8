import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dhpe_tf.experiments import ablations
from tests.tasks.hand.hands import TASK


def result(error_mm, iou):
  values = {f'epe_mean/{name}': error_mm for name in ('root', 'root_scale', 'procrustes')}
  values.update({'auc_full/root': 1 - error_mm / 50, 'epe_2d_mean_px256': error_mm / 2, 'hand_iou_mean': iou})
  return {name: {'value': value, 'unit': '', 'definition': ''} for name, value in values.items()}


def curve():
  return {'root': np.linspace(0, 1, len(TASK.curve_axes.x)).tolist()}


def write_training(folder, errors, near):
  """The folder of a training whose evaluations gave these figures."""
  folder.mkdir(parents=True)
  with tf.summary.create_file_writer(str(folder / 'logs' / 'eval')).as_default():
    for number, (error, share) in enumerate(zip(errors, near), 1):
      tf.summary.scalar('error_3d_mm', error, 10 * number)
      tf.summary.scalar('joints_near', share, 10 * number)
    tf.summary.image('results', np.zeros([1, 4, 4, 3]), 20)
  (folder / 'final').write_text(json.dumps({'step': 20, 'epochs': 4}))
  return str(folder)


@pytest.fixture
def runs(tmp_path):
  found = []
  for name, base in (('full', 20.0), ('other', 30.0)):
    for seed in (0, 1):
      report = tmp_path / f'{name}{seed}.json'
      answers = {'model': result(base + 2 * seed, 0.5), '10 steps of refinement': result(base - 1, 0.6),
                 '50 steps of refinement': result(base - 2 + 4 * seed, 0.7), 'mean training hand': result(99, 0.1)}
      report.write_text(json.dumps({'protocols': {'own-size': {
          'results': answers, 'curves': {name: curve() for name in answers}}}}))
      model_dir = write_training(tmp_path / f'model_{name}{seed}', [50.0, 40.0], [0.1, 0.2 + 0.1 * seed])
      found.append(ablations.read(TASK, name, seed, str(report), model_dir))
  return found


def test_a_training_is_taken_up_with_its_history(runs):
  assert sorted(runs[0].results) == [0, 10, 50]
  np.testing.assert_allclose(runs[0].history['epoch'], [2, 4])
  np.testing.assert_allclose(runs[1].history['error_3d_mm'], [50, 40])
  np.testing.assert_allclose(runs[1].history['joints_near'], [0.1, 0.3], rtol=1e-6)


def test_table_shows_mean_and_spread_with_and_without_refinement(runs):
  rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in ablations.table(TASK.columns, runs).splitlines()]
  assert rows[0][:4] == ['variant', 'refinement', 'seeds', '3D root, mm'] and rows[0][-1] == 'mask IoU'
  # Of 20 and 22 the mean is 21 and the sample's deviation the root of 2.
  assert rows[2][:4] == ['full', 'none', '2', '21.0 ± 1.4'] and rows[2][-1] == '0.500 ± 0.000'
  assert rows[3][:4] == ['full', '50 steps', '2', '20.0 ± 2.8'] and rows[3][-1] == '0.700 ± 0.000'
  assert [row[0] for row in rows[4:]] == ['other', 'other']
  assert '±' not in ablations.table(TASK.columns, runs[:1])


def test_differences_are_taken_seed_by_seed(runs):
  text = ablations.differences(TASK.columns, runs)
  rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in text.splitlines()]
  # Each seed of the other variant is 10 mm worse, so nothing varies.
  assert rows[2][:4] == ['other', 'none', '2', '+10.0 ± 0.0'] and rows[2][-1] == '+0.000 ± 0.000'
  assert rows[3][:4] == ['other', '50 steps', '2', '+10.0 ± 0.0'] and len(rows) == 4
  assert ablations.differences(TASK.columns, runs[:2]) == ''


def test_files(runs, tmp_path):
  text = ablations.write(str(tmp_path / 'out'), TASK, runs, 'How it was made.')
  assert (tmp_path / 'out' / 'table.md').read_text() == text and text.startswith('How it was made.\n\n| variant |')
  kept = json.loads((tmp_path / 'out' / 'results.json').read_text())
  assert kept[1]['seed'] == 1 and kept[1]['results']['50']['hand_iou_mean']['value'] == 0.7
  for name in ('curves', 'refinement', 'history'):
    picture = np.asarray(Image.open(tmp_path / 'out' / f'{name}.png'))
    assert picture.shape[0] > 300 and len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 20


def test_trainings_without_refinement_or_evaluations_are_drawn_too(tmp_path):
  run = ablations.Run('full', 0, {0: result(20, 0.5)}, {0: curve()}, {})
  assert ablations.write(str(tmp_path), TASK, [run], '').count('\n') == 5
  assert not (tmp_path / 'history.png').exists() and not (tmp_path / 'refinement.png').exists()
