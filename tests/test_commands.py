"""The four commands one after another on the smallest model that has every part."""
import glob
import json
import os

import gin
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dhpe_tf import evaluate, export, predict, train
from tests.commands import call
from tests.data import records

CONFIG = """
include 'models/tiny.gin'
RECORDS = '{records}'
train/build_dataset.sources = [(%RECORDS, 'train', 1.0)]
eval/build_dataset.sources = [(%RECORDS, 'eval', 1.0)]
build_dataset.image_size = %IMAGE_SIZE
build_dataset.batch_size = 2
dhpe.build_model.rounds = 1
HandTask.finds_when_served = False
train.epochs = 1
train.steps_per_epoch = 2
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('commands')
  for split, count in (('train', 6), ('eval', 3)):
    records.write(str(folder / 'records'), count, split)
  (folder / 'tiny.gin').write_text(CONFIG.format(records=folder / 'records'))
  (folder / 'photo').mkdir()
  Image.fromarray(np.random.RandomState(0).randint(0, 256, (50, 70, 3), np.uint8)).save(folder / 'photo' / 'a.png')
  return folder


@pytest.fixture(scope='module')
def trained(folder):
  assert call(train, f'--gin_file={folder}/tiny.gin', f'--model_dir={folder}/model') == 0
  return f'{folder}/model'


@pytest.fixture(scope='module')
def exported(folder, trained):
  assert call(export, f'--model_dir={trained}', f'--export_dir={folder}/exported') == 0
  return f'{folder}/exported'


def test_training_shows_pictures(trained):
  events = [event for path in glob.glob(f'{trained}/logs/eval/*')
            for event in tf.compat.v1.train.summary_iterator(path)]
  tags = {value.tag for event in events for value in event.summary.value}
  assert {'results', 'mesh_VERTEX', 'mesh_FACE', 'curves', 'auc_full/root', 'epe_mean/procrustes'} <= tags
  assert {'loss', 'iou', 'gate_open', 'feature_spread'} <= tags


@pytest.mark.slow
def test_a_training_cut_off_ends_with_the_same_weights(folder, trained):
  class Cut(tf.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
      if batch == 2:
        raise ConnectionError('power cut')

  gin.external_configurable(lambda *_: Cut(), 'cut', module='test')
  arguments = [f'--gin_file={folder}/tiny.gin', f'--model_dir={folder}/cut', '--gin_param=train.checkpoint_steps = 1']
  with pytest.raises(ConnectionError):
    call(train, *arguments, '--gin_param=train.callbacks = [@test.cut]')
  assert tf.train.latest_checkpoint(f'{folder}/cut/checkpoints').endswith('-1')
  assert call(train, *arguments) == 0
  ends = [tf.train.load_checkpoint(tf.train.latest_checkpoint(f'{path}/checkpoints'))
          for path in (trained, f'{folder}/cut')]
  # A weight is saved once, under whichever of its owners comes first.
  names = [name for name in ends[0].get_variable_to_shape_map()
           if name.startswith(('model/', 'layers/')) and 'metric' not in name]
  assert len(names) > 50
  for name in names:
    if ends[0].get_tensor(name).dtype == np.float32 and '_means' not in name:
      np.testing.assert_allclose(*(end.get_tensor(name) for end in ends), rtol=1e-4, atol=1e-6, err_msg=name)


def results_of(path, protocol='own-size'):
  """The measures of a report by the name of what answered."""
  answers = json.loads(path.read_text())['protocols'][protocol]['results']
  return {name: {key: measure['value'] for key, measure in found.items()} for name, found in answers.items()}


def test_report(folder, trained):
  assert call(evaluate, f'--model_dir={trained}', f'--data={folder}/records', '--split=eval',
              f'--report={folder}/report.json', '--protocols=freihand', '--root_depth=fitted') == 0
  report = json.loads((folder / 'report.json').read_text())
  results = results_of(folder / 'report.json')
  assert set(results) == {'model', 'mean training hand'} and report['images'] == 3
  model = results['model']
  assert all(model[f'epe_mean/{alignment}'] > 0 for alignment in ('root', 'root_scale', 'procrustes'))
  assert model['epe_2d_median_px256'] > 0 and 0 <= model['hand_iou_mean'] <= 1
  assert list(report['protocols']) == ['own-size', 'freihand']
  definition = report['protocols']['freihand']['results']['model']['epe_mean/procrustes']['definition']
  assert 'root depth fitted' in definition
  assert (folder / 'report.md').exists() and (folder / 'report.png').exists()


@pytest.mark.slow
def test_report_of_refinement(folder, trained, exported, capsys):
  arguments = [f'--data={folder}/records', f'--report={folder}/refined.json', '--baseline_split=']
  assert call(evaluate, *arguments, f'--model_dir={trained}', '--refine_steps=1,4') == 0
  results = results_of(folder / 'refined.json')
  assert list(results) == ['model', '1 steps of refinement', '4 steps of refinement']
  assert call(evaluate, f'--model_dir={trained}', f'--data={folder}/records', f'--report={folder}/plain.json',
              '--baseline_split=') == 0
  plain = results_of(folder / 'plain.json')['model']
  assert results['model']['hand_iou_mean'] == pytest.approx(plain['hand_iou_mean'], abs=1e-3)
  errors = [result['epe_2d_mean_px256'] for result in results.values()]
  assert errors[0] == pytest.approx(plain['epe_2d_mean_px256'], rel=1e-3) and len(set(errors)) == 3
  # An export is measured and refined alike.
  assert call(evaluate, *arguments, f'--model={exported}', '--refine_steps=4') == 0
  again = results_of(folder / 'refined.json')
  for name in ('model', '4 steps of refinement'):
    assert again[name]['epe_2d_mean_px256'] == pytest.approx(results[name]['epe_2d_mean_px256'], rel=1e-2)
  assert call(evaluate, *arguments, f'--model_dir={trained}', '--refine_steps=0') == 1
  assert '--refine_steps=0: they must be whole numbers from 1 to 1000' in capsys.readouterr().err
  assert call(evaluate, *arguments) == 1
  assert 'give one of --model_dir, a training, --model, an export, and --gin_file' in capsys.readouterr().err


def test_prediction_from_export_and_training_agree(folder, trained, exported):
  found = []
  for model in (trained, exported):
    output = folder / f'out_{os.path.basename(model)}'
    assert call(predict, f'--model={model}', f'--input={folder}/photo', f'--output={output}', '--side=left',
                '--box=whole') == 0
    found.append(json.loads((output / 'a.json').read_text())['hands'][0])
  for name in ('joints_2d_px', 'vertices_m', 'pose', 'camera'):
    np.testing.assert_allclose(found[0][name], found[1][name], atol=1e-3, err_msg=name)
  assert np.shape(found[0]['vertices_m']) == (778, 3)
  card = json.loads(open(f'{exported}/1/assets.extra/model_card.json').read())
  assert 'build_model' in card['config'] and card['hand_model']['vertices'] == 778


def test_missing_records_are_named_with_the_remedy(folder, trained, capsys):
  assert call(evaluate, f'--model_dir={trained}', f'--data={folder}/none', f'--report={folder}/r.json') == 1
  error = capsys.readouterr().err.splitlines()[-1]
  assert f'{folder}/none' in error and 'make_synthetic' in error
  assert call(evaluate, f'--model_dir={trained}', f'--data={folder}/records', '--split=test',
              f'--report={folder}/r.json') == 1
  assert "no split 'test'" in capsys.readouterr().err
  assert not (folder / 'r.json').exists()


def test_a_truncated_record_file_is_one_line(folder, trained, tmp_path, capsys):
  for split in ('train', 'eval'):
    records.write(str(tmp_path), 3, split)
  shard = glob.glob(f'{tmp_path}/Split-eval/*.gz')[0]
  os.truncate(shard, os.path.getsize(shard) // 2)
  assert call(evaluate, f'--model_dir={trained}', f'--data={tmp_path}', f'--report={tmp_path}/r.json') == 1
  error = capsys.readouterr().err.splitlines()[-1]
  assert error.startswith('error: ') and 'again' in error and not (tmp_path / 'r.json').exists()


def test_unknown_protocol(folder, trained, capsys):
  assert call(evaluate, f'--model_dir={trained}', f'--data={folder}/records', f'--report={folder}/r.json',
              '--protocols=zb') == 1
  assert "unknown protocol 'zb'" in capsys.readouterr().err


@pytest.mark.slow
def test_an_export_is_exported_again(folder, exported, tmp_path, capsys):
  assert call(export, f'--from_export={exported}', f'--export_dir={tmp_path}/again') == 0
  images = np.random.default_rng(0).uniform(size=[2, 64, 64, 3]).astype(np.float32)
  first, again = (tf.saved_model.load(path).signatures['serving_default'](images=tf.constant(images))
                  for path in (f'{exported}/1', f'{tmp_path}/again/1'))
  for name, value in first.items():
    np.testing.assert_allclose(again[name], value, atol=1e-5, err_msg=name)
  capsys.readouterr()
  assert call(export, f'--from_export={tmp_path}', f'--export_dir={tmp_path}/x') == 1
  assert 'holds no export' in capsys.readouterr().err
  assert call(export, f'--from_export={exported}', f'--model_dir={folder}', f'--export_dir={tmp_path}/x') == 1
  # A hand of another configuration has other weights.
  assert call(export, f'--from_export={exported}', '--gin_param=feature_head.size = 64',
              f'--export_dir={tmp_path}/x') == 1
  assert not (tmp_path / 'x').exists()


def test_export_without_training(folder, capsys):
  assert call(export, f'--model_dir={folder}/none', f'--export_dir={folder}/x') == 1
  assert 'holds no config.gin' in capsys.readouterr().err


@pytest.mark.parametrize('name, message', [('x.md', 'must end in .json'), ('folder.json', 'it is a folder')])
def test_a_place_that_is_no_place_for_a_report_is_refused_before_anything_is_read(tmp_path, name, message, capsys):
  (tmp_path / 'folder.json' / 'kept').mkdir(parents=True)
  assert call(evaluate, f'--model_dir={tmp_path}/none', f'--data={tmp_path}/none', f'--report={tmp_path / name}') == 1
  error = capsys.readouterr().err
  assert message in error and error.count('\n') == 1
  assert (tmp_path / 'folder.json' / 'kept').is_dir() and len(list(tmp_path.iterdir())) == 1
