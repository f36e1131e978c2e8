"""The four commands, and the sheet of its hands, on a training of a few steps."""
import json

import gin
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_tools import view_codes
from dhpe_tf import evaluate, export, predict, train
from dhpe_tf.serving import exporter, model_card
from tests.commands import call
from tests.methods import few_hands
from tests.serving import toy
from tests.test_commands import results_of

TINY = ('cross_modal_vae.build_model.encoder_hidden = (16,)', 'cross_modal_vae.build_model.decoder_hidden = (16,)',
        'cross_modal_vae.build_model.latent = 5', 'train.epochs = 1', 'train.steps_per_epoch = 5',
        'build_dataset.batch_size = 2', 'train.callbacks = []')


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('vae')
  few_hands.write(folder)
  joints = np.random.RandomState(0).uniform(10, 50, [21, 2]).tolist()
  line = {'image': 'a.png', 'hand': 'right', 'joints_2d_px': joints, 'valid': [1] * 20 + [0]}
  (folder / 'labels.jsonl').write_text(json.dumps(line))
  return folder


def trained(folder, name, *params):
  assert call(train, f'--gin_file=methods/{name}.gin', f'--model_dir={folder}/{name}',
              *(f'--gin_param={param}' for param in (*TINY, *few_hands.sources(folder), *params))) == 0
  return folder / name


@pytest.fixture(scope='module')
def joints_dir(folder):
  return trained(folder, 'cross_modal_vae_joints')


@pytest.fixture(scope='module')
def picture_dir(folder):
  pairs = "[('image', 'joints_3d'), ('image', 'joints_2d'), ('image', 'image')]"
  return trained(folder, 'cross_modal_vae', f'cross_modal_vae.build_model.pairs = {pairs}')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['joints', 'picture'])
def test_an_export_is_measured_as_the_training_and_predicts(name, folder, request):
  model_dir = request.getfixturevalue(f'{name}_dir')
  data, exported = f'--data={folder}/records', f'{folder}/{name}_exported'
  assert call(evaluate, f'--model_dir={model_dir}', data, '--protocols=hands19', '--baseline_split=',
              f'--report={folder}/{name}.json') == 0
  assert call(export, f'--model_dir={model_dir}', f'--export_dir={exported}') == 0
  assert call(evaluate, f'--model={exported}', data, f'--report={folder}/{name}_again.json', '--baseline_split=') == 0
  first, second = (results_of(folder / f'{name}{end}.json')['model'] for end in ('', '_again'))
  assert first['epe_mean/root'] > 0
  assert first['epe_mean/root'] == pytest.approx(second['epe_mean/root'], rel=1e-4)
  given = [f'--joints={folder}/labels.jsonl'] if name == 'joints' else ['--box=whole', '--side=right']
  for number, model in enumerate((model_dir, exported)):
    assert call(predict, f'--model={model}', f'--input={folder}/photos', f'--output={folder}/{name}_{number}',
                *given) == 0
  found, again = (json.loads((folder / f'{name}_{number}' / 'a.json').read_text())['hands'][0] for number in (0, 1))
  assert np.shape(found['joints_3d_m']) == (21, 3)
  np.testing.assert_allclose(found['joints_3d_m'], again['joints_3d_m'], atol=1e-4)


@pytest.mark.slow
def test_joints_may_come_from_another_model(folder, joints_dir):
  exporter.export(toy.build_toy_model(), str(folder / 'eyes'), model_card.describe(toy.TASK, 'eyes'))
  assert call(predict, f'--model={joints_dir}', f'--input={folder}/photos', f'--output={folder}/seen', '--box=whole',
              f'--evidence={folder}/eyes') == 0
  found = json.loads((folder / 'seen' / 'a.json').read_text())['hands'][0]
  assert np.shape(found['joints_3d_m']) == (21, 3)


def view(**values):
  return call(view_codes, *(f'--{name}={value}' for name, value in values.items()))


def test_walks_go_from_hand_to_hand(folder, picture_dir, capsys):
  output = folder / 'walks.png'
  arguments = dict(model_dir=picture_dir, walks=2, steps=3, cell=32, output=output)
  assert view(**arguments, records=folder / 'records', split='eval', joints=folder / 'walks.npz') == 0
  assert 'walks.png: 6 hands' in capsys.readouterr().out
  assert np.asarray(Image.open(output)).shape == (2 * 3 * 32, 3 * 32, 3), 'two views and the picture of each hand'
  with np.load(folder / 'walks.npz') as file:
    walks = file['canonical_joints'].reshape(2, 3, 21, 3)
    assert file['joints_2d'].shape == (6, 21, 2) and set(file) == {'canonical_joints', 'joints_2d'}
  assert np.abs(walks[:, 0] - walks[:, 2]).max() > 1e-4
  assert view(**{**arguments, 'walks': 3}, records=folder / 'records', split='eval') == 1
  assert 'has 4 hands, 3 walks need 6; lower --walks' in capsys.readouterr().err
  assert view(**arguments) == 0, 'between random codes'


def test_hands_are_generated_by_their_seed(folder, joints_dir):
  made = {}
  for name, seed in (('a', 1), ('b', 1), ('c', 2)):
    assert view(model_dir=joints_dir, generate=4, seed=seed, cell=32, output=folder / 'hands.png',
                joints=folder / f'{name}.npz') == 0
    with np.load(folder / f'{name}.npz') as file:
      made[name] = file['canonical_joints']
  assert np.asarray(Image.open(folder / 'hands.png')).shape == (64, 4 * 32, 3)
  np.testing.assert_array_equal(made['a'], made['b'])
  assert np.abs(made['a'] - made['c']).max() > 1e-4 and np.abs(made['a'][0] - made['a'][1]).max() > 1e-4


def test_other_methods_have_no_codes(folder, tmp_path, capsys):
  tf.config.run_functions_eagerly(True)
  try:
    assert call(train, '--gin_file=methods/lifting.gin', f'--model_dir={tmp_path}',
                f'--gin_param=RECORDS = "{folder}/records"', '--gin_param=pose_prior.hand_dense = (16,)',
                *(f'--gin_param={param}' for param in TINY[3:])) == 0
  finally:
    tf.config.run_functions_eagerly(False)
  assert view(model_dir=tmp_path, output=tmp_path / 'x.png') == 1
  assert 'is no training of the cross-modal VAE but of PosePrior' in capsys.readouterr().err
