import numpy as np
import pytest

from data_tools import write_submission
from dhpe_tf import configuration
from dhpe_tf.data import tfrecords
from dhpe_tf.serving import exporter, model_card
from dhpe_tf.tasks.hand.bench import submission
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.commands import call
from tests.data import records
from tests.serving import toy


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('submission')
  records.write(str(folder / 'records'), 5, 'interp')
  configuration.load([])
  exporter.export(toy.build_toy_model(), str(folder / 'model'), model_card.describe(toy.TASK, 'toy'))
  return folder


def write(folder, **values):
  arguments = {'model': folder / 'model', 'data': folder / 'records', 'output': folder / 'found.txt', **values}
  return call(write_submission, *(f'--{name}={value}' for name, value in arguments.items()))


def test_every_picture_has_its_line_and_labels_are_those_of_the_records(folder, capsys):
  assert write(folder, labels=folder / 'true.txt', root_depth='truth', batch_size=2) == 0, capsys.readouterr().err
  names, found = submission.read(folder / 'found.txt')
  true_names, true = submission.read(folder / 'true.txt')
  kept = list(tfrecords.read(str(folder / 'records'), 'interp', SCHEMA).as_numpy_iterator())
  assert names == true_names == [record['image/id'].decode() for record in kept]
  np.testing.assert_allclose(true, [record['hand/joints_3d_m'] for record in kept], atol=1e-5)
  # Its middle MCP is a little behind where the toy puts its hand, whose depth is given.
  np.testing.assert_allclose(found[:, 9, 2], true[:, 9, 2], atol=0.01)
  assert write(folder) == 0
  _, fitted = submission.read(folder / 'found.txt')
  assert np.abs(fitted[:, 9, 2] - true[:, 9, 2]).max() > 0.02


def test_records_without_cameras_are_refused(folder, tmp_path, capsys):
  records.write(str(tmp_path / 'records'), 2, 'interp', camera=False)
  assert write(folder, data=tmp_path / 'records') == 1
  assert '0000.png has no camera' in capsys.readouterr().err
