"""Reports of an evaluation: JSON for programs, a table for people, plots of curves."""
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from dhpe_tf import json_files, plain_arrays
from dhpe_tf.errors import UserError, naming
from dhpe_tf.files import atomic_path, check_output
from dhpe_tf.tasks.measured import Measure, Measured
from dhpe_tf.tasks.task import Task
from dhpe_tf.visualization import curves as plots

_MOST_BYTES = 1 << 28  # a report holds curves
# protocol -> name -> curve [T] of another run.
Curves = dict[str, dict[str, np.ndarray]]


class Report(NamedTuple):
  """All measurements of one evaluation; the first answer is the method's.

  Attributes:
    header: method, data and number of images.
    measured: protocol -> name of the answer -> measures and curves; the default protocol comes first.
    slices: name of the answer -> result of `collection.measure_slices`.
  """

  header: dict[str, Any]
  measured: Mapping[str, Mapping[str, Measured]]
  slices: Mapping[str, dict] = {}


def check_path(path: str, compared: Sequence[str] = ()) -> None:
  """Refuses a place for a report before the work for it is done.

  Args:
    path: of the JSON file.
    compared: reports of other runs, which must stay.

  Raises:
    UserError: `path` does not end in .json, so that table or plots might replace it; or a folder or one of `compared`
      is there.
  """
  stem, ending = os.path.splitext(path)
  if ending != '.json':
    raise UserError(f'--report={path} must end in .json; table (.md) and plots (.png) get its name.')
  for target in (path, f'{stem}.md', f'{stem}.png'):
    check_output(target, compared)


def write(path: str, task: Task, report: Report, others: Optional[Curves] = None) -> None:
  """Writes `path` (JSON), a table beside it (.md), and plots of curves and of lines for each protocol (.png).

  Args:
    path: of the JSON file.
    task: the task that was measured.
    report: the measurements.
    others: curves of other runs for the same plots; see `read_curves`.

  Raises:
    UserError: `path` does not end in .json, or a file cannot be written.
  """
  check_path(path)
  axes = task.curve_axes
  entries = {**report.header,
             'protocols': {name: _entry(task, name, answers) for name, answers in report.measured.items()},
             'curves_over': None if axes is None else {'x': np.asarray(axes.x).tolist(), 'label': axes.x_label},
             'slices': report.slices, 'slice_definitions': task.slice_definitions()}
  stem = os.path.splitext(path)[0]
  for target, text in ((path, json.dumps(entries, indent=1)), (f'{stem}.md', table(task, report))):
    with atomic_path(target) as temporary, open(temporary, 'w', encoding='utf-8') as file:
      file.write(text)
  for number, (name, answers) in enumerate(report.measured.items()):
    lines = {**_named_curves(answers), **(others or {}).get(name, {})}
    _plot(f'{stem}_{name}.png' if number else f'{stem}.png', task, name, lines)
    _plot_panels(f'{stem}_{name}_lines.png', task, answers)


def read(path: str) -> dict[str, Any]:
  """Reads the JSON of a report.

  Raises:
    UserError: the file is missing or is not a report.
  """
  remedy = 'name a .json file that python -m dhpe_tf.evaluate --report=... has written.'
  entries = json_files.read_object(path, remedy, _MOST_BYTES)
  with naming(f'{path}: no report of an evaluation', remedy, KeyError, TypeError, AttributeError, StopIteration):
    next(iter(next(iter(entries['protocols'].values()))['results']))
  return entries


def read_curves(paths: Sequence[str]) -> Curves:
  """Reads the curves of the first answer in the reports of other runs; the file's path names them.

  Raises:
    UserError: a file is missing or is not a report.
  """
  result: Curves = {}
  for path in paths:
    run = os.path.splitext(os.path.relpath(path))[0].removesuffix('/report')
    for protocol, entry in read(path)['protocols'].items():
      with naming(f'{path}: curves of {protocol}', 'write the report again', KeyError, TypeError, AttributeError,
                  ValueError):
        first = next(iter(entry['curves'].values()), {})
        found = {f'{run}, {name}': _curve(curve) for name, curve in first.items()}
      result.setdefault(protocol, {}).update(found)
  return result


def check_curves(curves: Curves, task: Task) -> None:
  """Raises a UserError if a curve of another run has not as many points as those of the task."""
  points = len(task.curve_axes.x) if task.curve_axes is not None else None
  for protocol, found in curves.items():
    for name, curve in found.items():
      if points not in (None, len(curve)):
        raise UserError(f'--compare: the curve {name} of {protocol} has {len(curve)} points, not {points}; leave it '
                        'out, or evaluate that run again.')


def _curve(values: Any) -> np.ndarray:
  """A curve of another run as an array [T]; raises a ValueError if it is none."""
  curve = plain_arrays.to_floats(values)
  if curve.ndim != 1:
    raise ValueError('a list of numbers was expected')
  return curve


def table(task: Task, report: Report) -> str:
  """Formats the measurements as Markdown: header, main table, tables by kind of image, and tables by protocol."""
  lines = [f'{name}: {value}  ' for name, value in report.header.items()]
  default = next(iter(report.measured.values()))
  lines += ['', _row('answer', *(column.title for column in task.columns)), _row(*['---'] * (1 + len(task.columns)))]
  lines += [_row(name, *(_cell(column.of(found.measures), column.form) for column in task.columns))
            for name, found in default.items()]
  for name, found in report.slices.items():
    lines += ['', *_slice_lines(task, name, found)]
  for name, answers in report.measured.items():
    lines += ['', *_protocol_lines(task, name, answers)]
  return '\n'.join(lines) + '\n'


def _slice_lines(task: Task, name: str, found: dict[str, dict[str, dict]]) -> list[str]:
  """Table of one answer by kind of image."""
  titles = [column.title for column in task.columns]
  lines = [_row(f'{name}, by kind of image', '', 'images', *titles), _row(*['---'] * (3 + len(titles)))]
  for criterion, results in found.items():
    for kind, result in results.items():
      cells = [_cell(result[column.title], column.form) for column in task.columns]
      lines.append(_row(criterion, kind, str(result['images']), *cells))
  return lines


def _protocol_lines(task: Task, name: str, answers: Mapping[str, Measured]) -> list[str]:
  """Table of one protocol with the definitions of its measures and, if known, published numbers."""
  lines = [f'Protocol {name}: {task.describe_protocol(name)}', '', _row('measure', *answers),
           _row(*['---'] * (1 + len(answers)))]
  definitions: dict[str, str] = {}
  for found in answers.values():
    definitions.update({key: measure.definition for key, measure in found.measures.items() if key not in definitions})
  for key in definitions:
    lines.append(_row(key, *(_measure_text(found.measures.get(key)) for found in answers.values())))
  lines += ['', *(f'- {key}: {definition}' for key, definition in definitions.items())]
  published, span = task.published(name)
  known = ', '.join(f'{entry.method} {entry.auc:.3f}' + (f' ({entry.note})' if entry.note else '')
                    for entry in published)
  return lines + (['', f'Published area under the curve, {span[0]} to {span[1]}, by rules that differ: {known}']
                  if known else [])


def _entry(task: Task, name: str, answers: Mapping[str, Measured]) -> dict[str, Any]:
  """Entry of one protocol in the JSON file."""
  return {'summary': task.describe_protocol(name),
          'results': {who: {key: value._asdict() for key, value in found.measures.items()}
                      for who, found in answers.items()},
          'curves': {who: {key: np.asarray(curve).tolist() for key, curve in found.curves.items()}
                     for who, found in answers.items()},
          'lines': {who: {title: {name: np.asarray(part).tolist() for name, part in line._asdict().items()}
                          for title, line in found.lines.items()} for who, found in answers.items()},
          'published': [entry._asdict() for entry in task.published(name)[0]]}


def _named_curves(answers: Mapping[str, Measured]) -> dict[str, np.ndarray]:
  """Curves of all answers by '<answer>, <curve>'."""
  return {f'{who}, {name}': np.asarray(curve) for who, found in answers.items() for name, curve in found.curves.items()}


def _plot(path: str, task: Task, protocol: str, lines: dict[str, np.ndarray]) -> None:
  """Plots curves and, as dotted lines, published areas under the curve; does nothing without curves."""
  if not lines or task.curve_axes is None:
    return
  published, span = task.published(protocol)
  title = f'{protocol}; dotted: published areas under the curve, {span[0]} to {span[1]}' if published else protocol
  levels = {f'{entry.method} {entry.auc:.3f}': entry.auc for entry in published}
  plots.plot_curves(path, task.curve_axes, lines, title, levels, span if published else None)


def _plot_panels(path: str, task: Task, answers: Mapping[str, Measured]) -> None:
  """Plots the lines of all answers, panel by panel; does nothing without lines."""
  panels: dict[str, dict[str, plots.Line]] = {}
  for who, found in answers.items():
    for title, line in found.lines.items():
      panels.setdefault(title, {})[who] = line
  if panels:
    plots.plot_lines(path, panels, task.lines_over)


def _measure_text(measure: Optional[Measure]) -> str:
  """Value and unit of a measure, or '-' if it is missing."""
  if measure is None:
    return '-'
  number = str(measure.value) if isinstance(measure.value, int) else f'{measure.value:.3f}'
  return f'{number} {measure.unit}'.strip()


def _cell(value: Optional[float], form: str) -> str:
  """A formatted number, or '-' if it is missing."""
  return '-' if value is None else f'{value:{form}}'


def _row(*cells: str) -> str:
  """A row of a Markdown table."""
  return f'| {" | ".join(cells)} |'
