"""Variants trained with several seeds side by side: means, how far seeds lie apart, and plots."""
import glob
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.evaluation.measurements import CROP_PX, THRESHOLDS_M
from dhpe_tf.files import atomic_path
from dhpe_tf.visualization import curves

PLAIN = 'model'  # the name of the unrefined answer in a report
_REFINED = re.compile(r'(\d+) steps of refinement')

# Columns of the table: how to take them from a result of `measurements.measure`, and the format.
COLUMNS: dict[str, tuple[Callable[[dict], float], str]] = {
    '3D root, mm': (lambda result: result['joints_3d']['root']['epe_mean_mm'], '.1f'),
    '3D root+scale, mm': (lambda result: result['joints_3d']['root+scale']['epe_mean_mm'], '.1f'),
    '3D Procrustes, mm': (lambda result: result['joints_3d']['PA']['epe_mean_mm'], '.1f'),
    'AUC 0-50 mm, root': (lambda result: result['joints_3d']['root']['auc_0_50mm'], '.3f'),
    f'2D, px of {CROP_PX}': (lambda result: result['joints_2d'][f'mean_px_of_{CROP_PX}_crop'], '.1f'),
    'mask IoU': (lambda result: result['mask']['iou_mean'], '.3f'),
}


class Run(NamedTuple):
  """One training that has been measured.

  Attributes:
    name: of the variant; seed: of the training.
    results: results of `measurements.measure` by number of refinement steps, 0 for none.
    history: scalars of the evaluations while it trained, by name `[E]`, with 'epoch'; empty if there are none.
  """

  name: str
  seed: int
  results: dict[int, dict[str, Any]]
  history: dict[str, np.ndarray]


def read(name: str, seed: int, report: str, model_dir: str) -> Run:
  """Takes up a report of `evaluate --refine_steps=...` and the logs of its training."""
  with open(report, encoding='utf-8') as file:
    answers = json.load(file)['results']
  results = {0: answers[PLAIN]}
  for key, result in answers.items():
    match = _REFINED.fullmatch(key)
    if match:
      results[int(match[1])] = result
  return Run(name, seed, results, _history(model_dir))


def _history(model_dir: str) -> dict[str, np.ndarray]:
  """The scalars that the evaluations of a training wrote for TensorBoard."""
  with open(os.path.join(model_dir, 'final'), encoding='utf-8') as file:
    final = json.load(file)
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


def write(folder: str, runs: Sequence[Run], header: str) -> str:
  """Writes `table.md`, `results.json` and the plots into `folder`.

  Args:
    folder: where to write.
    runs: at least one.
    header: Markdown that stands above the table.

  Returns:
    The text of the table.

  Raises:
    UserError: a file cannot be written.
  """
  text = '\n'.join(part for part in (f'{header}\n', table(runs), differences(runs)) if part)
  contents = {'table.md': text, 'results.json': json.dumps(
      [{'name': run.name, 'seed': run.seed, 'results': run.results} for run in runs], indent=1)}
  for name, content in contents.items():
    with atomic_path(os.path.join(folder, name)) as path, open(path, 'w', encoding='utf-8') as file:
      file.write(content)
  _plot_pck(os.path.join(folder, 'pck.png'), runs)
  _plot_refinement(os.path.join(folder, 'refinement.png'), runs)
  _plot_history(os.path.join(folder, 'gate.png'), runs)
  return text


def table(runs: Sequence[Run]) -> str:
  """A row for each variant without and with the most steps of refinement: mean over seeds and standard deviation."""
  lines = [_row('variant', 'refinement', 'seeds', *COLUMNS), _row(*['---'] * (3 + len(COLUMNS)))]
  for name, group in _by_name(runs).items():
    for steps in sorted({0, max(group[0].results)}):
      results = [run.results[steps] for run in group if steps in run.results]
      cells = [spread([take(result) for result in results], form) for take, form in COLUMNS.values()]
      lines.append(_row(name, f'{steps} steps' if steps else 'none', str(len(results)), *cells))
  return '\n'.join(lines) + '\n'


def differences(runs: Sequence[Run]) -> str:
  """As `table`, each figure less that of the first variant with the same seed and refinement.

  What seeds, and starts that variants share, do to all variants alike is gone from these, so they vary less.
  """
  groups = _by_name(runs)
  first, *others = groups
  lines = [_row(f'variant less {first}', 'refinement', 'seeds', *COLUMNS), _row(*['---'] * (3 + len(COLUMNS)))]
  base = {(run.seed, steps): result for run in groups[first] for steps, result in run.results.items()}
  for name in others:
    for steps in sorted({0, max(groups[name][0].results)}):
      pairs = [(run.results[steps], base[run.seed, steps]) for run in groups[name]
               if steps in run.results and (run.seed, steps) in base]
      if pairs:
        cells = [spread([take(one) - take(other) for one, other in pairs], f'+{form}')
                 for take, form in COLUMNS.values()]
        lines.append(_row(name, f'{steps} steps' if steps else 'none', str(len(pairs)), *cells))
  return '\n'.join(lines) + '\n' if len(lines) > 2 else ''


def spread(values: Sequence[float], form: str) -> str:
  """'mean ± standard deviation', the latter of a sample (n - 1); the value alone where there is only one."""
  if len(values) == 1:
    return f'{values[0]:{form}}'
  deviation = np.std(values, ddof=1)
  return f'{np.mean(values):{form}} ± {deviation:{form.lstrip("+")}}'


def _by_name(runs: Sequence[Run]) -> dict[str, list[Run]]:
  """Runs by variant, in the order in which variants first come."""
  groups: dict[str, list[Run]] = {}
  for run in runs:
    groups.setdefault(run.name, []).append(run)
  return groups


def _plot_pck(path: str, runs: Sequence[Run]) -> None:
  """PCK curves, mean over seeds: each variant with all its refinement, and the first one without."""
  lines: dict[str, curves.Line] = {}
  for name, group in _by_name(runs).items():
    steps = sorted({0, max(group[0].results)} if not lines else {max(group[0].results)})
    for number in reversed(steps):
      rows = [run.results[number]['joints_3d']['root']['pck_curve'] for run in group if number in run.results]
      label = f'{name}, without refinement' if not number and len(steps) > 1 else name
      lines[label] = _line(1000 * THRESHOLDS_M, rows)
  curves.plot_lines(path, {'PCK, root aligned': lines}, 'error threshold (mm)', columns=2)


def _plot_refinement(path: str, runs: Sequence[Run]) -> None:
  """3D error, 2D error and mask IoU against the steps of refinement."""
  panels: dict[str, dict[str, curves.Line]] = {}
  for title in ('3D root, mm', '3D Procrustes, mm', f'2D, px of {CROP_PX}', 'mask IoU'):
    take = COLUMNS[title][0]
    for name, group in _by_name(runs).items():
      steps = sorted(set.intersection(*(set(run.results) for run in group)))
      if len(steps) > 1:
        rows = [[take(run.results[number]) for number in steps] for run in group]
        panels.setdefault(title, {})[name] = _line(np.array(steps), rows)
  if panels:
    curves.plot_lines(path, panels, 'steps of refinement')


def _plot_history(path: str, runs: Sequence[Run]) -> None:
  """Held-out 3D error and the share of hands near enough for the gate against the epoch."""
  panels: dict[str, dict[str, curves.Line]] = {}
  for title, scalar in (('held-out 3D error while training, mm', 'error_3d_mm'),
                        ('share of hands near enough for the gate', 'joints_near')):
    for name, group in _by_name(runs).items():
      line = _common_line([run.history for run in group], scalar)
      if line is not None:
        panels.setdefault(title, {})[name] = line
  if panels:
    curves.plot_lines(path, panels, 'epoch')


def _common_line(histories: Sequence[Mapping[str, np.ndarray]], scalar: str) -> Optional[curves.Line]:
  """A scalar against the epoch over the seeds, as far as all of them come; None where it was not logged."""
  if not all(scalar in history for history in histories):
    return None
  length = min(len(history['epoch']) for history in histories)
  return _line(histories[0]['epoch'][:length], [history[scalar][:length] for history in histories])


def _line(x: np.ndarray, rows: Sequence[Sequence[float]]) -> curves.Line:
  """Mean over rows, with a band of a standard deviation where there are several."""
  return curves.Line(x, np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) if len(rows) > 1 else None)


def _row(*cells: str) -> str:
  return f'| {" | ".join(cells)} |'
