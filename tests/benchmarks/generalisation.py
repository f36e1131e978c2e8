"""Trains arms on the generalisation bench with several seeds, measures them by `hands19`, and prints the table.

  python -m data_tools.make_generalisation --output=records/bench --train=2000 --test=300 --image_size=128
  python -m tests.benchmarks.generalisation --records=records/bench --output=runs/bench

An arm is a gin file with the macro RECORDS; its seeds are measured singly and as an ensemble. The table gives the mean
joint error in millimetres after moving the wrist, mean and standard deviation over the seeds. `lines.png` shows the
error against the distance to the nearest training hand, averaged over the seeds, with the 95 % bootstrap intervals of
the bins. Finished commands are not repeated.
"""
import os

import numpy as np
from absl import app, flags

_RECORDS = flags.DEFINE_string('records', 'records/bench', 'Folder of the bench.')
_OUTPUT = flags.DEFINE_string('output', 'runs/bench', 'Folder for trainings, reports and plot.')
_ARMS = flags.DEFINE_list('arms', ['bench/direct.gin', 'bench/direct_recombined.gin', 'bench/direct_all_regions.gin'],
                          'Configurations of the arms; the first is in the plot of the axes alone.')
_SEEDS = flags.DEFINE_integer('seeds', 3, 'Trainings of each arm.', lower_bound=1)
_GIN_PARAM = flags.DEFINE_multi_string('gin_param', [], 'Setting of all trainings.')
_ALIGNMENT = flags.DEFINE_string('alignment', 'root', 'Alignment of the errors in table and plot: root or none.')
_MODEL = 'model'


def main(argv: list[str]) -> None:
  """Runs what is missing, then prints the table and draws the plot of the arms that are finished."""
  del argv
  from dhpe_tf.evaluation import reports
  from dhpe_tf.experiments import jobs
  from dhpe_tf.tasks.hand.bench import splits

  trainings = [_training(arm, seed) for arm in _ARMS.value for seed in range(_SEEDS.value)]
  failed = jobs.run(trainings)
  done = [arm for arm in _ARMS.value if not {_training(arm, seed).name for seed in range(_SEEDS.value)} & set(failed)]
  failed.update(jobs.run([_measuring(arm, splits.TESTS) for arm in done]))
  found = {_name(arm): reports.read(_report(arm)) for arm in done if _measuring(arm, ()).name not in failed}
  print(table({name: entry['protocols']['hands19']['results'] for name, entry in found.items()}, _ALIGNMENT.value))
  draw(os.path.join(_OUTPUT.value, 'lines.png'),
       {name: entry['protocols']['hands19']['lines'] for name, entry in found.items()})
  for name, fault in failed.items():
    print(f'{name}: {fault}')


def table(results: dict, alignment: str) -> str:
  """Formats the errors by arm and split, and what extrapolation adds to them.

  Args:
    results: arm -> answer -> measures by name, as in a report; the seeds' answers begin with 'model'.
    alignment: end of the measures' names.
  """
  from dhpe_tf.experiments.ablations import spread
  from dhpe_tf.tasks.hand.bench import splits

  lines = [_row('arm', 'answers', *splits.TESTS), _row(*['---'] * (2 + len(splits.TESTS)))]
  for kind, form in (('mje', '.1f'), ('gap', '+.1f')):
    for arm, answers in results.items():
      members = [answer for answer in answers if answer.startswith(_MODEL)]
      for title, group in ((f'{len(members)} seeds', members),
                           *((answer, [answer]) for answer in answers if answer.startswith('ensemble'))):
        cells = []
        for split in splits.TESTS:
          name = f'{kind}_{split}/{alignment}'
          cells.append(spread([answers[answer][name]['value'] for answer in group], form)
                       if all(name in answers[answer] for answer in group) else '')
        lines.append(_row(arm if kind == 'mje' else f'{arm}, less interp', title, *cells))
  return '\n'.join(lines)


def draw(path: str, lines: dict) -> None:
  """Plots the error against the distance, the mean over an arm's seeds; none of arms without lines.

  Args:
    path: PNG file.
    lines: arm -> answer -> title of the panel -> 'x', 'y', 'spread', as in a report.
  """
  from dhpe_tf.visualization import curves
  panels: dict[str, dict] = {}
  for arm, answers in lines.items():
    members = [found for answer, found in answers.items() if answer.startswith(_MODEL)]
    for title in members[0]:
      parts = (np.mean([found[title][part] for found in members], axis=0) for part in ('x', 'y', 'spread'))
      panels.setdefault(title, {})[arm] = curves.Line(*parts)
  if panels:
    curves.plot_lines(path, panels, 'distance to the nearest training hand; y: mean joint error, mm')


def _training(arm: str, seed: int):
  """The job that trains an arm with a seed."""
  from dhpe_tf.experiments import jobs
  folder = f'{_OUTPUT.value}/{_name(arm)}/seed_{seed}'
  params = [f'RECORDS = {_RECORDS.value!r}', f'train.seed = {seed}', *_GIN_PARAM.value]
  command = ('dhpe_tf.train', f'--gin_file={arm}', *(f'--gin_param={param}' for param in params),
             f'--model_dir={folder}/model')
  return jobs.Job(f'{_name(arm)}, seed {seed}', folder, (command,))


def _measuring(arm: str, tests):
  """The job that measures all seeds of an arm on the `tests`, singly and together."""
  from dhpe_tf.experiments import jobs
  first, *others = (f'{_OUTPUT.value}/{_name(arm)}/seed_{seed}/model' for seed in range(_SEEDS.value))
  command = ('dhpe_tf.evaluate', f'--model_dir={first}', f'--ensemble={",".join(others)}', f'--data={_RECORDS.value}',
             f'--split={",".join(tests)}', '--protocols=hands19', '--baseline_split=', f'--report={_report(arm)}')
  return jobs.Job(f'measure {_name(arm)}', f'{_OUTPUT.value}/{_name(arm)}/measured', (command,))


def _report(arm: str) -> str:
  """The report of an arm."""
  return f'{_OUTPUT.value}/{_name(arm)}/report.json'


def _name(arm: str) -> str:
  """Name of an arm: its gin file's without folder and ending."""
  return os.path.splitext(os.path.basename(arm))[0]


def _row(*cells: str) -> str:
  """A row of a Markdown table."""
  return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
  app.run(main)
