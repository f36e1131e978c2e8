"""Results of variants trained with several seeds: tables of mean and standard deviation, and plots."""
import glob
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf import json_files
from dhpe_tf.evaluation import reports
from dhpe_tf.files import atomic_path
from dhpe_tf.tasks.measured import Column
from dhpe_tf.tasks.task import Task
from dhpe_tf.visualization import curves

PLAIN = 'model'  # name of the unrefined answer in a report
_REFINED = re.compile(r'(\d+) steps of refinement')


class Run(NamedTuple):
  """The results of one training.

  Attributes:
    name: of the variant.
    seed: of the training.
    results: number of refinement steps (0 for none) -> measures of the task's default protocol by name, each with
      'value'.
    curves: number of refinement steps -> curves [T] by name.
    history: scalars of the evaluations during the training by name, each `[E]`, and 'epoch' `[E]`; empty if there are
      none.
  """

  name: str
  seed: int
  results: dict[int, dict[str, Any]]
  curves: dict[int, dict[str, np.ndarray]]
  history: dict[str, np.ndarray]


def read(task: Task, name: str, seed: int, report: str, model_dir: str) -> Run:
  """Reads a report of `evaluate --refine_steps=...` and the logs of its training.

  Args:
    task: its default protocol is read.
    name: of the variant.
    seed: of the training.
    report: path of the report's JSON file.
    model_dir: folder of the training.

  Returns:
    The results.
  """
  entry = reports.read(report)['protocols'][task.protocols[0]]
  steps = {PLAIN: 0}
  for answer in entry['results']:
    match = _REFINED.fullmatch(answer)
    if match:
      steps[answer] = int(match[1])
  return Run(name, seed, {number: entry['results'][answer] for answer, number in steps.items()},
             {number: entry['curves'][answer] for answer, number in steps.items()}, _history(model_dir))


def _history(model_dir: str) -> dict[str, np.ndarray]:
  """Reads the scalars that the evaluations of a training wrote for TensorBoard; see `Run.history`."""
  final = json_files.read_object(os.path.join(model_dir, 'final'), 'remove it to train again')
  steps_per_epoch = max(final['step'] / max(final['epochs'], 1), 1)
  by_step: dict[int, dict[str, float]] = {}
  for path in sorted(glob.glob(os.path.join(model_dir, 'logs', 'eval', '*'))):
    for serialized in tf.data.TFRecordDataset(path):
      event = tf.compat.v1.Event.FromString(serialized.numpy())
      for value in event.summary.value:
        tensor = value.tensor
        if value.metadata.plugin_data.plugin_name == 'scalars':
          by_step.setdefault(event.step, {})[value.tag] = float(tf.make_ndarray(tensor))
  steps = sorted(by_step)
  names = set.intersection(*(set(by_step[step]) for step in steps)) if steps else set()
  history = {name: np.array([by_step[step][name] for step in steps]) for name in names}
  return {**history, 'epoch': np.array(steps) / steps_per_epoch} if steps else {}


def write(folder: str, task: Task, runs: Sequence[Run], header: str, scalars: Sequence[str] = ()) -> str:
  """Writes `table.md`, `results.json` and the plots into `folder`.

  Args:
    folder: of the files.
    task: its columns make the tables.
    runs: at least one.
    header: Markdown text above the table.
    scalars: scalars of the evaluations during training to plot against the epoch; empty for all but the loss's terms.

  Returns:
    The text of table.md.

  Raises:
    UserError: a file cannot be written.
  """
  columns = task.columns
  text = '\n'.join(part for part in (f'{header}\n', table(columns, runs), differences(columns, runs)) if part)
  contents = {'table.md': text, 'results.json': json.dumps(
      [{'name': run.name, 'seed': run.seed, 'results': run.results} for run in runs], indent=1)}
  for name, content in contents.items():
    with atomic_path(os.path.join(folder, name)) as path, open(path, 'w', encoding='utf-8') as file:
      file.write(content)
  _plot_curves(os.path.join(folder, 'curves.png'), task, runs)
  _plot_refinement(os.path.join(folder, 'refinement.png'), columns, runs)
  _plot_history(os.path.join(folder, 'history.png'), runs, scalars)
  return text


def table(columns: Sequence[Column], runs: Sequence[Run]) -> str:
  """Table with rows for each variant without refinement and with the most steps: mean over seeds and deviation."""
  titles = [column.title for column in columns]
  lines = [_row('variant', 'refinement', 'seeds', *titles), _row(*['---'] * (3 + len(titles)))]
  for name, group in _by_name(runs).items():
    for steps in sorted({0, max(group[0].results)}):
      results = [run.results[steps] for run in group if steps in run.results]
      cells = [spread([_value(column, result) for result in results], column.form) for column in columns]
      lines.append(_row(name, f'{steps} steps' if steps else 'none', str(len(results)), *cells))
  return '\n'.join(lines) + '\n'


def differences(columns: Sequence[Column], runs: Sequence[Run]) -> str:
  """Table like `table`, of the differences to the first variant with the same seed and refinement.

  Differences vary less, because effects of the seed or of a shared start on all variants cancel.
  """
  groups = _by_name(runs)
  first, *others = groups
  titles = [column.title for column in columns]
  lines = [_row(f'variant less {first}', 'refinement', 'seeds', *titles), _row(*['---'] * (3 + len(titles)))]
  base = {(run.seed, steps): result for run in groups[first] for steps, result in run.results.items()}
  for name in others:
    for steps in sorted({0, max(groups[name][0].results)}):
      pairs = [(run.results[steps], base[run.seed, steps]) for run in groups[name]
               if steps in run.results and (run.seed, steps) in base]
      if pairs:
        cells = [spread([_value(column, one) - _value(column, other) for one, other in pairs], f'+{column.form}')
                 for column in columns]
        lines.append(_row(name, f'{steps} steps' if steps else 'none', str(len(pairs)), *cells))
  return '\n'.join(lines) + '\n' if len(lines) > 2 else ''


def spread(values: Sequence[float], form: str) -> str:
  """Formats values as 'mean ± sample standard deviation'; one value alone; '-' if a value is not finite."""
  if not np.isfinite(values).all():
    return '-'
  if len(values) == 1:
    return f'{values[0]:{form}}'
  deviation = np.std(values, ddof=1)
  return f'{np.mean(values):{form}} ± {deviation:{form.lstrip("+")}}'


def _by_name(runs: Sequence[Run]) -> dict[str, list[Run]]:
  """Groups runs by variant, in the order in which variants first appear."""
  groups: dict[str, list[Run]] = {}
  for run in runs:
    groups.setdefault(run.name, []).append(run)
  return groups


def _value(column: Column, measures: Mapping[str, dict]) -> float:
  """Value of a column in the measures of a report; NaN if it is missing."""
  return measures[column.measure]['value'] if column.measure in measures else float('nan')


def _plot_curves(path: str, task: Task, runs: Sequence[Run]) -> None:
  """Plots the mean over seeds of the first curve: all variants with most refinement, the first also without."""
  name_of_curve = next(iter(runs[0].curves[0]), None)
  if name_of_curve is None or task.curve_axes is None:
    return
  axes, lines = task.curve_axes, {}
  for name, group in _by_name(runs).items():
    steps = sorted({0, max(group[0].results)} if not lines else {max(group[0].results)})
    for number in reversed(steps):
      rows = [run.curves[number][name_of_curve] for run in group if number in run.curves]
      label = f'{name}, without refinement' if not number and len(steps) > 1 else name
      lines[label] = _line(np.asarray(axes.x), rows)
  curves.plot_lines(path, {f'{axes.y_label}, {name_of_curve}': lines}, axes.x_label, columns=2)


def _plot_refinement(path: str, columns: Sequence[Column], runs: Sequence[Run]) -> None:
  """Plots each column against the number of refinement steps."""
  panels: dict[str, dict[str, curves.Line]] = {}
  for column in columns:
    for name, group in _by_name(runs).items():
      steps = sorted(set.intersection(*(set(run.results) for run in group)))
      if len(steps) > 1:
        rows = [[_value(column, run.results[number]) for number in steps] for run in group]
        panels.setdefault(column.title, {})[name] = _line(np.array(steps), rows)
  if panels:
    curves.plot_lines(path, panels, 'steps of refinement')


def _plot_history(path: str, runs: Sequence[Run], scalars: Sequence[str]) -> None:
  """Plots held-out scalars against the epoch."""
  logged = {name for run in runs for name in run.history if name != 'epoch' and not name.endswith('_loss')}
  panels: dict[str, dict[str, curves.Line]] = {}
  for scalar in scalars or sorted(logged):
    for name, group in _by_name(runs).items():
      line = _common_line([run.history for run in group], scalar)
      if line is not None:
        panels.setdefault(scalar, {})[name] = line
  if panels:
    curves.plot_lines(path, panels, 'epoch')


def _common_line(histories: Sequence[Mapping[str, np.ndarray]], scalar: str) -> Optional[curves.Line]:
  """Line of a scalar over the epochs that all seeds reached; None if a run did not log it."""
  if not all(scalar in history for history in histories):
    return None
  length = min(len(history['epoch']) for history in histories)
  return _line(histories[0]['epoch'][:length], [history[scalar][:length] for history in histories])


def _line(x: np.ndarray, rows: Sequence[Sequence[float]]) -> curves.Line:
  """Line of the mean over rows, with a band of one sample standard deviation if there are several rows."""
  return curves.Line(x, np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) if len(rows) > 1 else None)


def _row(*cells: str) -> str:
  """A row of a Markdown table."""
  return f'| {" | ".join(cells)} |'
