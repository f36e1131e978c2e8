"""What one lane trains and exports, the other loads, answers alike, and trains on.

The lanes are two TensorFlows with their Pythons (README.md, Install). Each trains and exports a small model of every
part, and each answers with all of it, here by the commands that users run. Skipped unless `lanes` knows another lane.
"""
import json
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dhpe_tf.finding import finder
from tests.compatibility import lanes
from tests.data import records
from tests.finding.hands import rendered
from tests.test_commands import CONFIG

pytestmark = pytest.mark.slow

LANES = ('ours', 'theirs')
# Metres, pixels and radians of answers up to about 1, 100 and 3; two TensorFlows differ in the order of float32 sums.
CLOSE = dict(rtol=1e-4, atol=1e-5)


@pytest.fixture(scope='module')
def pythons():
  other, reason = lanes.other_python()
  if not other:
    pytest.skip(reason)
  return dict(zip(LANES, (sys.executable, other)))


@pytest.fixture(scope='module')
def folder(pythons, tmp_path_factory):
  """Holds a picture, and for each lane its training and export."""
  folder = tmp_path_factory.mktemp('lanes')
  for split, count in (('train', 6), ('eval', 3)):
    records.write(str(folder / 'records'), count, split)
  (folder / 'tiny.gin').write_text(CONFIG.format(records=folder / 'records'))
  Image.fromarray(np.random.RandomState(0).randint(0, 256, (50, 70, 3), np.uint8)).save(folder / 'a.png')
  for lane, python in pythons.items():
    lanes.run(python, 'dhpe_tf.train', f'--gin_file={folder}/tiny.gin', f'--model_dir={folder}/{lane}')
    lanes.run(python, 'dhpe_tf.export', f'--model_dir={folder}/{lane}', f'--export_dir={folder}/{lane}_export')
  return folder


def answer(python, output, *arguments):
  """The hand that a lane's `predict` finds in a.png, after two steps of refinement."""
  lanes.run(python, 'dhpe_tf.predict', f'--output={output}', '--refine_steps=2', *arguments)
  hand, = json.loads((output / 'a.json').read_text())['hands']
  return {name: np.array(value) for name, value in hand.items() if isinstance(value, list)}


def assert_alike(ours, theirs, **bounds):
  assert {'joints_3d_m', 'joints_2d_px', 'vertices_m', 'pose', 'shape'} <= set(ours) == set(theirs)
  for name, value in ours.items():
    np.testing.assert_allclose(theirs[name], value, err_msg=name, **bounds)


@pytest.mark.parametrize('kind', ['', '_export'], ids=['training', 'export'])
@pytest.mark.parametrize('maker', LANES)
def test_both_answer_alike(pythons, folder, maker, kind):
  assert_alike(*(answer(python, folder / f'{maker}{kind}_by_{reader}', f'--model={folder}/{maker}{kind}',
                        f'--input={folder}/a.png', '--box=whole', '--side=right')
                 for reader, python in pythons.items()), **CLOSE)


@pytest.mark.parametrize('networks', ['lite', 'nolite'])
def test_the_shipped_model_answers_alike(pythons, tmp_path, networks):
  search = finder.HandFinder()
  clearest = max(rendered()[0], key=lambda picture: max(search.find(picture)[0].presence.numpy(), default=0.))
  Image.fromarray(clearest).save(tmp_path / 'a.png')
  assert_alike(*(answer(python, tmp_path / reader, f'--input={tmp_path}/a.png', f'--{networks}')
                 for reader, python in pythons.items()), **CLOSE)


def weights(model_dir):
  """The float32 tensors of a training's latest checkpoint, the optimizer's among them."""
  reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(f'{model_dir}/checkpoints'))
  values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
            if name.startswith(('model/', 'layers/', 'optimizer/'))}
  return {name: value for name, value in values.items() if getattr(value, 'dtype', None) == np.float32}


@pytest.mark.parametrize('maker', LANES)
def test_either_trains_on(pythons, folder, tmp_path, maker):
  for lane, python in pythons.items():
    shutil.copytree(folder / maker, tmp_path / lane)
    lanes.run(python, 'dhpe_tf.train', f'--model_dir={tmp_path}/{lane}', '--gin_param=train.epochs = 2')
    assert json.loads((tmp_path / lane / 'final').read_text())['step'] == 4
  start, *ends = (weights(path) for path in (folder / maker, *(tmp_path / lane for lane in LANES)))
  assert start.keys() == ends[0].keys() == ends[1].keys() and len(start) > 50
  for name in start:
    np.testing.assert_allclose(ends[0][name], ends[1][name], err_msg=name, rtol=1e-3, atol=1e-5)
  assert any(np.abs(ends[0][name] - value).max() > 1e-4 for name, value in start.items())
