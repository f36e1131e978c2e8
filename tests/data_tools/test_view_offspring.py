import gin
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_tools import view_offspring
from dhpe_tf import command_line, train
from tests.data import records

FEW = ('selfsup.Grounds.pool_size = 2', 'backgrounds.Backgrounds.pool_size = 2')


@pytest.fixture(scope='module')
def record_set(tmp_path_factory):
  return records.write(tmp_path_factory.mktemp('records'), 4)


@pytest.fixture(scope='module')
def model_dir(tmp_path_factory, record_set):
  """A training of one step."""
  folder = tmp_path_factory.mktemp('model')
  params = ('train.epochs = 1', 'train.steps_per_epoch = 1', 'train.eval_steps = 0', 'build_dataset.batch_size = 2',
            'build_dataset.image_size = %IMAGE_SIZE', f"train/build_dataset.sources = [({record_set!r}, 'train', 1.0)]")
  tf.config.run_functions_eagerly(True)
  try:
    assert command_line.call(train.main, ['train', '--gin_file=models/tiny.gin', f'--model_dir={folder}',
                                          *(f'--gin_param={param}' for param in params)], train._FLAGS) == 0
  finally:
    tf.config.run_functions_eagerly(False)
    gin.clear_config()
  return folder


def view(*params, **values):
  argv = ['view_offspring', *(f'--{name}={value}' for name, value in values.items()),
          *(f'--gin_param={param}' for param in (*FEW, *params))]
  try:
    return command_line.call(view_offspring.main, argv, view_offspring._FLAGS)
  finally:
    gin.clear_config()


@pytest.mark.slow
def test_sheet_shows_seeds_and_offspring(model_dir, record_set, tmp_path, capsys):
  output = tmp_path / 'sheet.png'
  # Nothing that a model of one step predicts agrees with a mask.
  # A training without offspring has a model to look at all the same.
  params = ('selfsup.plausible.least_iou = 1.0', 'selfsup.Offspring.instances_per_parent = 2',
            'selfsup.Offspring.parents_per_batch = 0')
  assert view(*params, model_dir=model_dir,
              records=record_set, split='train', output=output, count=2) == 0
  assert 'offspring of 2 predictions, 0 of which' in capsys.readouterr().out
  sheet = np.asarray(Image.open(output)).astype(int)
  assert sheet.shape == (2 * (64 + 14), 5 * 64, 3)
  row = sheet[14:78].reshape(64, 5, 64, 3)
  # The same pictures without and with labels, these where the joints and the outline are.
  for bare, labelled in ((row[:, 1], row[:, 3]), (row[:, 2], row[:, 4])):
    changed = np.any(np.abs(labelled - bare) > 60, axis=-1)
    assert 0.01 < changed.mean() < 0.5
  assert np.abs(row[:, 1] - row[:, 2]).mean() > 5


@pytest.mark.slow
def test_nothing_plausible_is_said(model_dir, record_set, tmp_path, capsys):
  assert view('selfsup.plausible.least_size = 50.0', model_dir=model_dir, records=record_set, split='train',
              output=tmp_path / 'sheet.png', plausible=True) == 1
  assert 'no prediction is plausible' in capsys.readouterr().err


def test_one_model_must_be_given(record_set, tmp_path, capsys):
  assert view(records=record_set, output=tmp_path / 'sheet.png') == 1
  assert 'give --model_dir' in capsys.readouterr().err
  assert view(model=tmp_path, records=record_set, output=tmp_path / 'sheet.png') == 1
  assert 'holds no exported model' in capsys.readouterr().err
