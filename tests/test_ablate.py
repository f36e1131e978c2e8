import json

import pytest

from dhpe_tf import ablate, command_line
from dhpe_tf.experiments import jobs
from tests.data import records


@pytest.fixture
def started(monkeypatch):
  """The jobs that are run; they do nothing, and those named 'broken, seed 0' fail."""
  seen = []

  def run(todo, at_once, on_done=None):
    seen.extend(todo)
    return {job.name: 'out of luck' for job in todo if 'broken, seed 0' in job.name}
  monkeypatch.setattr(jobs, 'run', run)
  return seen


def write_variants(folder, **texts):
  """Files of variants and of the stage they start from; returns the arguments that name them."""
  for name, text in {'full': '', 'start': 'train.epochs = 7', **texts}.items():
    (folder / f'{name}.gin').write_text(f"include 'rendered.gin'\n{text}\n" if name != 'start' else text)
  return [*(f'--gin_file={folder}/{name}.gin' for name in ('full', *texts)), f'--start_file={folder}/start.gin',
          f'--output={folder}/out', '--records=RECORDS']


def call(*arguments):
  return command_line.call(ablate.main, ['ablate', *arguments], ablate._FLAGS)


def test_variants_alike_in_their_start_share_it(started, tmp_path):
  # The start has its own number of epochs, so what a variant says of them makes no other start; its networks do.
  arguments = write_variants(tmp_path, short='train.epochs = 2', blind='dhpe.build_model.use_refiner = False')
  assert call(*arguments, '--seeds=2', '--gin_param=train.log_steps = 3') == 0
  names = [job.name for job in started]
  assert names == ['start of full, seed 0', 'start of blind, seed 0', 'start of full, seed 1', 'start of blind, seed 1',
                   *(f'{name}, seed {seed}' for seed in (0, 1) for name in ('full', 'short', 'blind'))]
  jobs_by_name = {job.name: job for job in started}
  for name, start in (('full', 'full'), ('short', 'full'), ('blind', 'blind')):
    train, evaluate = jobs_by_name[f'{name}, seed 1'].commands
    weights = f"--gin_param=train.initial_weights = '{tmp_path}/out/seed_1/start_of_{start}/start'"
    assert {weights, '--gin_param=train.seed = 1', '--gin_param=train.log_steps = 3',
            f'--gin_file={tmp_path}/{name}.gin'} < set(train)
    assert '--refine_steps=5,10,20,50' in evaluate and '--data=RECORDS' in evaluate
  first = jobs_by_name['start of blind, seed 0'].commands[0]
  assert [f'{tmp_path}/blind.gin', f'{tmp_path}/start.gin'] == [
      argument.partition('=')[2] for argument in first if argument.startswith('--gin_file')]
  assert not any('initial_weights' in argument for argument in first)


def test_without_a_start_there_is_none(started, tmp_path):
  arguments = [each for each in write_variants(tmp_path) if 'start_file' not in each]
  assert call(*arguments, '--seeds=1') == 0
  assert [job.name for job in started] == ['full, seed 0']
  assert not any('initial_weights' in argument for argument in started[0].commands[0])


def test_what_starts_from_a_failure_is_left_out(started, tmp_path, capsys):
  arguments = write_variants(tmp_path, broken='dhpe.build_model.use_refiner = False')
  assert call(*arguments, '--seeds=2') == 1
  assert 'broken, seed 0' not in [job.name for job in started if not job.name.startswith('start')]
  assert 'broken, seed 1' in [job.name for job in started]
  assert 'start of broken, seed 0: out of luck' in capsys.readouterr().err


def test_a_misspelt_setting_is_found_before_anything_runs(started, tmp_path, capsys):
  assert call(*write_variants(tmp_path, wrong='train.epoch = 2')) == 1
  assert 'epoch' in capsys.readouterr().err and not started


@pytest.mark.slow
def test_two_variants_from_start_to_table(tmp_path, capfd):
  for split, count in (('train', 6), ('eval', 3)):
    records.write(str(tmp_path / 'records'), count, split)
  text = '''
include 'models/tiny.gin'
RECORDS = ''
train/build_dataset.sources = [(%RECORDS, 'train', 1.0)]
eval/build_dataset.sources = [(%RECORDS, 'eval', 1.0)]
build_dataset.image_size = %IMAGE_SIZE
build_dataset.batch_size = 2
dhpe.build_model.rounds = 1
train.epochs = 2
train.steps_per_epoch = 2
'''
  (tmp_path / 'full.gin').write_text(text)
  (tmp_path / 'constant.gin').write_text("include 'full.gin'\ndhpe.Objective.gated = False\n")
  (tmp_path / 'broken.gin').write_text("include 'full.gin'\nbuild_optimizer.name = 'newton'\n")
  (tmp_path / 'start.gin').write_text("dhpe.Objective.gated = True\nbuild_optimizer.name = 'adam'\n")
  output = tmp_path / 'out'
  arguments = [f'--gin_file={tmp_path}/{name}.gin' for name in ('full', 'constant', 'broken')]
  arguments += [f'--start_file={tmp_path}/start.gin', f'--records={tmp_path}/records', f'--output={output}',
                '--seeds=1', '--refine_steps=2', '--jobs=2']
  assert call(*arguments) == 1
  error = capfd.readouterr().err
  assert 'broken, seed 0' in error and "build_optimizer.name is 'newton'" in error
  table = (output / 'table.md').read_text()
  firsts = [line.split('|')[1].strip() for line in table.splitlines() if line.startswith('|')]
  assert firsts == ['variant', '---', 'full', 'full', 'constant', 'constant',
                    'variant less full', '---', 'constant', 'constant']
  kept = json.loads((output / 'results.json').read_text())
  assert set(kept[0]['results']) == {'0', '2'}
  assert {'curves.png', 'history.png', 'refinement.png'} <= {path.name for path in output.iterdir()}
  # Again, without the broken one: nothing is left to do.
  before = {path: path.stat().st_mtime_ns for path in output.rglob('log.txt')}
  assert call(*(each for each in arguments if 'broken' not in each)) == 0
  assert before == {path: path.stat().st_mtime_ns for path in output.rglob('log.txt')}
