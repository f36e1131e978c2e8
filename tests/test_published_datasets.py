"""From the folders of public datasets to a report, by the commands that gin/<dataset>.gin names, on small networks."""
import json
import re

import gin
import pytest
import tensorflow as tf

from data_tools import convert_dexter_object, convert_freihand, convert_rhd, convert_stb
from dhpe_tf import configuration, evaluate, train
from dhpe_tf.methods.dhpe import model as dhpe_model
from dhpe_tf.tasks.hand.task import HandTask
from tests.commands import call
from tests.data_tools.readers import dexter_object_files, freihand_files, rhd_files, stb_files

# The paper's networks take a GPU; these have the same parts.
SMALL = ('IMAGE_SIZE = 64', "backbone.architecture = 'resnet_tiny'", 'pose_machine.width = 0.05',
         'dhpe.build_model.mask_size = 32', 'build_dataset.batch_size = 4', 'train.epochs = 1',
         'train.steps_per_epoch = 2')
# From the first epoch on, of whatever a model without training predicts.
OFFSPRING = ('selfsup.Offspring.start_epoch = 0', 'selfsup.plausible.least_iou = 0.0', 'selfsup.Grounds.pool_size = 2',
             'backgrounds.Backgrounds.pool_size = 2')
# Configuration -> (its record sets by macro, the one to measure on, protocol, what it measures).
RUNS = {
    'rhd': ({'RECORDS': 'rhd'}, 'rhd', 'zb-rhd', ('hand_iou_mean', 'epe_mean/root_bone')),
    'stb': ({'RECORDS': 'stb'}, 'stb', 'zb-stb', ('epe_mean/root_bone',)),
    'rhd_stb': ({'RHD': 'rhd', 'STB': 'stb'}, 'stb', 'zb-stb', ('epe_mean/root_bone',)),
    'dexter_object': ({'RHD': 'rhd', 'STB': 'stb', 'DEXTER_OBJECT': 'dexter_object'}, 'dexter_object', 'paper-do',
                      ('epe_mean/centroid', 'epe_mean/centroid_scale')),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Records of small datasets in the exact formats."""
  folder = tmp_path_factory.mktemp('datasets')
  rhd_files.write(folder, splits=(('training', 4), ('evaluation', 3)))
  stb_files.write(folder / 'STB', frames=1)
  dexter_object_files.write(folder, frames=1)
  for module, source, name in ((convert_rhd, 'RHD_published_v2', 'rhd'), (convert_stb, 'STB', 'stb'),
                               (convert_dexter_object, 'dexter+object', 'dexter_object')):
    assert call(module, f'--input={folder}/{source}', f'--output={folder}/records/{name}', '--shards=1') == 0
  return folder


@pytest.mark.slow
def test_a_step_of_peclr_at_its_size(tmp_path, capsys):
  freihand_files.write(tmp_path, samples=4, evaluation=2)
  assert call(convert_freihand, f'--input={tmp_path}/FreiHAND_pub_v2', f'--output={tmp_path}/records',
              '--shards=1') == 0, capsys.readouterr().err[-2000:]
  params = (f"RECORDS = '{tmp_path}/records'", 'contrastive.pairs.batch_size = 4', 'train.epochs = 1',
            'train.steps_per_epoch = 1', 'train.eval_steps = 1', 'train.callbacks = []')
  assert call(train, '--gin_file=gin/peclr_freihand.gin', f'--model_dir={tmp_path}/peclr',
              *(f'--gin_param={param}' for param in params)) == 0, capsys.readouterr().err[-2000:]
  with open(f'{tmp_path}/peclr/final', encoding='utf-8') as file:
    assert json.load(file)['contrastive_loss'] > 0


@pytest.mark.slow
@pytest.mark.parametrize('name', ['rhd', 'stb'])
def test_a_step_of_the_cross_modal_vae_at_its_size(name, folder, capsys):
  params = (f"RECORDS = '{folder}/records/{name}'", 'build_dataset.batch_size = 2', 'train.epochs = 1',
            'train.steps_per_epoch = 1', 'train.eval_steps = 1', 'train.callbacks = []')
  model = f'{folder}/runs/vae_{name}'
  assert call(train, f'--gin_file=gin/cross_modal_vae_{name}.gin', f'--model_dir={model}',
              *(f'--gin_param={param}' for param in params)) == 0, capsys.readouterr().err[-2000:]
  assert call(evaluate, f'--model_dir={model}', f'--data={folder}/records/{name}', '--baseline_split=',
              f'--protocols=zb-{name}', f'--report={model}/report.json') == 0, capsys.readouterr().err[-2000:]
  with open(f'{model}/report.json', encoding='utf-8') as file:
    found = json.load(file)['protocols'][f'zb-{name}']['results']['model']
  assert found['epe_mean/root_bone']['value'] > 0
  with open(f'{model}/final', encoding='utf-8') as file:
    assert {f'val_kl_{number:02d}_loss' for number in range(30)} <= set(json.load(file))


@pytest.mark.slow
@pytest.mark.parametrize('name', RUNS)
def test_an_epoch_and_a_report_by_the_protocol(name, folder, capsys):
  macros, measured_on, protocol, expected = RUNS[name]
  params = [*SMALL, *OFFSPRING, *(f"{macro} = '{folder}/records/{records}'" for macro, records in macros.items())]
  model = f'{folder}/runs/{name}'
  assert call(train, f'--gin_file=gin/{name}.gin', f'--model_dir={model}',
              *(f'--gin_param={param}' for param in params)) == 0, capsys.readouterr().err[-2000:]
  assert call(evaluate, f'--model_dir={model}', f'--data={folder}/records/{measured_on}', '--baseline_split=',
              f'--protocols={protocol}', '--refine_steps=2',
              f'--report={model}/report.json') == 0, capsys.readouterr().err[-2000:]
  with open(f'{model}/final', encoding='utf-8') as file:
    assert json.load(file)['offspring_used'] > 0
  with open(f'{model}/report.json', encoding='utf-8') as file:
    found = json.load(file)['protocols'][protocol]
  assert set(expected) <= set(found['results']['model'])
  for measure in found['results']['model'].values():
    assert measure['definition'] and measure['value'] >= 0
  with open(f'{model}/report.md', encoding='utf-8') as file:
    assert f'Protocol {protocol}' in file.read()


def epochs_of(printed: str) -> list[dict[str, float]]:
  """The scalars of each epoch as the training's log shows them."""
  lines = re.findall(r'^epoch \d+/\d+: (.*)$', printed, re.MULTILINE)
  return [{name: float(value) for name, value in (part.rsplit(' ', 1) for part in line.split(', '))} for line in lines]


@pytest.mark.slow
def test_every_stage_of_the_paper_acts_and_the_log_shows_it(folder, capsys):
  """Heat maps, joint training from them, gate, new instances, and refinement with the feature term, by gin/rhd.gin."""
  params = [f'--gin_param={param}' for param in (
      *SMALL[:4], f"RECORDS = '{folder}/records/rhd'", 'build_dataset.batch_size = 4', 'train.callbacks = []')]
  first, joint = f'{folder}/runs/keypoints', f'{folder}/runs/joint'
  status = call(train, '--gin_file=gin/rhd.gin', '--gin_file=methods/dhpe_keypoints.gin', f'--model_dir={first}',
                *params, '--gin_param=train.epochs = 3', '--gin_param=train.steps_per_epoch = 4',
                '--gin_param=constant_rate.learning_rate = 2e-3', '--gin_param=train.allow_dead_bindings = True')
  printed = capsys.readouterr()
  assert status == 0, printed.err[-2000:]
  epochs = epochs_of(printed.out)
  assert epochs[-1]['loss'] < epochs[0]['loss'], 'heat maps are learnt'

  # Hardly trained, half of the hands are not within 15 px, nor plausible.
  status = call(train, '--gin_file=gin/rhd.gin', f'--model_dir={joint}', *params,
                f"--gin_param=train.initial_weights = '{first}'", '--gin_param=losses.shape_gate.threshold_px = 70.0',
                *(f'--gin_param={param}' for param in OFFSPRING[1:]), '--gin_param=selfsup.Offspring.start_epoch = 1',
                '--gin_param=train.epochs = 2', '--gin_param=train.steps_per_epoch = 2',
                # What the new instances take is not yet used in the first step.
                '--gin_param=train.allow_dead_bindings = True')
  printed = capsys.readouterr()
  assert status == 0, printed.err[-2000:]
  assert re.search('starting from .*pose_machine', printed.out)
  before, after = epochs_of(printed.out)
  assert before['gate_open'] > 0 and after['gate_open'] > 0
  assert before['offspring_used'] == 0 < after['offspring_used'], 'from their epoch on'
  with open(f'{joint}/final', encoding='utf-8') as file:
    scalars = json.load(file)
  for term in ('heatmap', 'refiner', 'feature', 'articulation', 'shape', 'laplacian'):
    assert scalars[f'{term}_loss'] > 0, term

  reports = {}
  for feature in (0.0, 50.0):
    assert call(evaluate, f'--model_dir={joint}', f'--data={folder}/records/rhd', '--baseline_split=',
                '--protocols=zb-rhd', '--refine_steps=3', f'--report={joint}/{feature}.json',
                f'--gin_param=refinement.Consistency.feature = {feature}') == 0, capsys.readouterr().err[-2000:]
    with open(f'{joint}/{feature}.json', encoding='utf-8') as file:
      results = json.load(file)['protocols']['zb-rhd']['results']
    reports[feature] = {name: found['epe_mean/root_bone']['value'] for name, found in results.items()}
  refined = next(name for name in reports[0.0] if name != 'model')
  assert reports[0.0][refined] != reports[0.0]['model'], 'refinement moves the hand'
  assert reports[50.0][refined] != reports[0.0][refined], 'so does the feature term'


@pytest.mark.parametrize('name', RUNS)
def test_has_what_the_paper_has(name):
  configuration.load([f'gin/{name}.gin'], SMALL)
  model = dhpe_model.build_model(HandTask())
  weights = model.objective.weights
  assert {'heatmap', 'refiner', 'feature', 'articulation', 'shape', 'laplacian'} == set(weights)
  model.begin_epoch(20)
  assert model.offspring.active
  seeds = {'image': tf.zeros([3, 64, 64, 3]), 'mask': tf.zeros([3, 64, 64]), 'mask_weight': tf.zeros([3])}
  new = model.offspring.breed(seeds, model(seeds['image']), tf.constant([1, 2], tf.int64))
  assert len(new['image']) == 9, 'three new instances of each prediction'
  assert gin.query_parameter('refinement.Consistency.feature') > 0
  assert gin.query_parameter('selfsup.Offspring.parents_per_batch') is None
  gin.clear_config()


def test_missing_records_tell_how_to_make_them(tmp_path, capsys):
  assert call(train, '--gin_file=gin/rhd_stb.gin', f'--model_dir={tmp_path}', f"--gin_param=RHD = '{tmp_path}/none'",
              *(f'--gin_param={param}' for param in SMALL)) == 1
  assert 'python -m data_tools.convert_rhd' in capsys.readouterr().err
