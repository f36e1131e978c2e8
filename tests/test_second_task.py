"""A task from outside the package (tests/bar_task.py) goes through every command, and no file of dhpe_tf knows it."""
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_tools import validate, view_records
from dhpe_tf import evaluate, export, predict, train
from dhpe_tf.data import video_files
from dhpe_tf.inference import predictor
from tests import bar_task
from tests.commands import call

CONFIG = '''
import tests.bar_task
Experiment.task = @BarTask
Experiment.method = @bar_net
train/build_dataset.sources = [('{folder}/records', 'train', 1.0)]
eval/build_dataset.sources = [('{folder}/records', 'eval', 1.0)]
build_dataset.image_size = 32
build_dataset.batch_size = 16
train.epochs = 2
train.steps_per_epoch = 40
cosine.learning_rate = 3e-3
'''
IMPORT = '--import=tests.bar_task'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('bars')
  for split, count, seed in (('train', 128, 0), ('eval', 24, 1)):
    bar_task.make_records(folder / 'records', split, count, seed)
  (folder / 'bar.gin').write_text(CONFIG.format(folder=folder))
  return folder


@pytest.fixture(scope='module')
def trained(folder):
  assert call(train, IMPORT, f'--gin_file={folder}/bar.gin', f'--model_dir={folder}/model') == 0
  return folder / 'model'


@pytest.fixture(scope='module')
def exported(folder, trained):
  assert call(export, IMPORT, f'--model_dir={trained}', f'--export_dir={folder}/exported') == 0
  return folder / 'exported'


def test_it_is_short_and_unknown_to_the_package():
  assert len(pathlib.Path(bar_task.__file__).read_text().splitlines()) <= 80
  package = pathlib.Path(train.__file__).parent
  assert not [path for path in package.rglob('*.py') if 'bar_task' in path.read_text() or 'BarTask' in path.read_text()]


def test_records_are_drawn_and_checked(folder, capsys):
  task = [f'--gin_file={folder}/bar.gin', f'--records={folder}/records']
  assert call(view_records, IMPORT, *task, f'--output={folder}/sheet.png', '--count=6', '--cell=40', '--columns=3') == 0
  with Image.open(folder / 'sheet.png') as sheet:
    assert sheet.size == (3 * 40, 2 * (80 + 14))
    cell = np.asarray(sheet)[14:94, :40].astype(float)
  # The picture above, the label drawn as a bar below: they look alike.
  assert np.corrcoef(cell[:40].ravel(), cell[40:].ravel())[0, 1] > 0.9
  assert call(validate, IMPORT, *task) == 1  # made without a dataset.json
  assert 'there is no dataset.json' in capsys.readouterr().out


def test_training_shows_its_pictures_and_measures(trained):
  found = {value.tag for path in (trained / 'logs' / 'eval').iterdir()
           for event in tf.compat.v1.train.summary_iterator(str(path)) for value in event.summary.value}
  assert {'loss', 'results', 'tilt_error'} <= found


def test_evaluation_of_training_and_export(folder, trained, exported):
  errors = []
  for model in (f'--model_dir={trained}', f'--model={exported}'):
    report = folder / 'report.json'
    assert call(evaluate, IMPORT, model, f'--gin_file={folder}/bar.gin', f'--data={folder}/records',
                f'--report={report}') == 0
    results = json.loads(report.read_text())['protocols']['default']['results']
    errors.append(results['model']['tilt_error']['value'])
    assert errors[-1] < 0.5 * results['mean tilt']['tilt_error']['value']
  assert errors[0] == pytest.approx(errors[1], rel=1e-4)
  assert '| model | ' in (folder / 'report.md').read_text()


@pytest.mark.parametrize('kind', ['model', 'exported'])
def test_prediction(folder, trained, exported, kind):
  Image.fromarray(bar_task.draw_bar(0.4, 48)).save(folder / 'bar.png')
  output = folder / f'out_{kind}'
  assert call(predict, IMPORT, f'--model={folder}/{kind}', f'--input={folder}/bar.png', f'--output={output}') == 0
  assert json.loads((output / 'bar.json').read_text())['tilt'][0] == pytest.approx(0.4, abs=0.25)
  with Image.open(output / 'bar_overlay.png') as picture:
    assert picture.size == (32, 32)


def test_prediction_for_a_video(folder, exported):
  tilts = (-0.4, 0., 0.4)
  with video_files.write_video(folder / 'bars.mp4', (48, 48), 10.) as writer:
    for tilt in tilts:
      writer.write(bar_task.draw_bar(tilt, 48))
  output = folder / 'out_video'
  assert call(predict, IMPORT, f'--model={exported}', f'--input={folder}/bars.mp4', f'--output={output}') == 0
  lines = [json.loads(line) for line in (output / 'bars.jsonl').read_text().splitlines()]
  assert [line['frame'] for line in lines] == [0, 1, 2]
  np.testing.assert_allclose([line['tilt'][0] for line in lines], tilts, atol=0.25)
  assert video_files.read_frames(output / 'bars_overlay.mp4').size == (32, 32)


def test_the_savedmodel_needs_nothing_of_ours(trained, exported):
  signature = tf.saved_model.load(str(exported / '1')).signatures['serving_default']
  images = tf.constant(np.stack([bar_task.draw_bar(tilt) for tilt in (-0.5, 0.1)]) / 255., tf.float32)
  expected = predictor.load(str(trained)).answer({'image': images})
  np.testing.assert_allclose(signature(images=images)['tilt'], expected['tilt'], atol=1e-5)
  card = json.loads((exported / '1' / 'assets.extra' / 'model_card.json').read_text())
  assert card['task'] == 'bar' and card['task_class'] == 'BarTask'


def test_unknown_flags_of_a_task_are_refused(folder, trained, capsys):
  assert call(predict, IMPORT, f'--model={trained}', f'--input={folder}/bar.png', '--output=x', '--box=1,2,3,4') == 1
  assert "Unknown command line flag 'box'" in capsys.readouterr().err
