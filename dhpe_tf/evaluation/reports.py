"""Writing measurements down: JSON for programs, a table for people, a plot."""
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from dhpe_tf.errors import UserError
from dhpe_tf.evaluation import protocols, published, slices
from dhpe_tf.evaluation.measurements import CROP_PX, PCK_THRESHOLDS_MM, THRESHOLDS_M
from dhpe_tf.evaluation.measures import Measure
from dhpe_tf.files import atomic_path
from dhpe_tf.visualization import curves

HOW = {
    'alignment': {
        'root': 'the predicted middle MCP is moved onto the true one; the size is the predicted one',
        'root+scale': 'besides, the prediction is scaled about it by least squares over the labelled keypoints',
        'PA': 'Procrustes: translation, rotation and scale by least squares',
    },
    'epe': 'distance to the true keypoint; mean and median for each keypoint, then the mean over keypoints',
    'pck': 'share of keypoints within the distance, for each keypoint, then the mean over keypoints',
    'auc_0_50mm': 'area under the PCK curve over 100 thresholds from 0 to 50 mm',
    'pck_curve': 'the shares at those thresholds',
    'joints_2d': 'over all labelled keypoints together',
    'mask': 'intersection over union of the hand, masks cut at one half',
}


_RANGE_MM = (20, 50)  # of the published areas


class Report(NamedTuple):
  """All that was measured in one run; the first answer is the model's.

  Attributes:
    header: what was measured on what.
    results: of `measurements.measure` by the name of what answered.
    by_slice: of `slices.measure` by the name of what answered.
    by_protocol: of `metric_space.evaluate` by protocol and the name of what answered.
    curves: of `metric_space.curves` over THRESHOLDS_M, likewise.
  """

  header: dict[str, Any]
  results: dict[str, dict]
  by_slice: Mapping[str, dict] = {}
  by_protocol: Mapping[str, dict[str, dict[str, Measure]]] = {}
  curves: Mapping[str, dict[str, dict[str, np.ndarray]]] = {}


# PCK curves [T] of other runs: by protocol ('' for none) and name.
Curves = dict[str, dict[str, np.ndarray]]


def write(path: str, report: Report, others: Optional[Curves] = None) -> None:
  """Writes `path` (JSON) and beside it a table (.md) and plots of the PCK curves (.png), one more for each protocol.

  Args:
    path: of the JSON file.
    report: what was measured.
    others: see `read_curves`; drawn in the same plots.

  Raises:
    UserError: a file cannot be written.
  """
  entries = {**report.header, 'how': {**HOW, 'slices': slices.DEFINITIONS}, 'results': report.results,
             'slices': report.by_slice,
             'protocols': {name: _protocol_entry(name, report) for name in report.by_protocol}}
  with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    json.dump(entries, file, indent=1)
  stem = os.path.splitext(path)[0]
  with atomic_path(f'{stem}.md') as temporary, open(temporary, 'w', encoding='utf-8') as file:
    file.write(table(report))
  others = others or {}
  _plot(f'{stem}.png', {**_curves_of_results(report.results), **others.get('', {})})
  for name in report.by_protocol:
    _plot(f'{stem}_{name}.png', {**_curves_of_protocol(report.curves[name]), **others.get(name, {})}, name)


def read_curves(paths: Sequence[str]) -> Curves:
  """The model's PCK curves in the reports of other runs, named by the folder or file they lie in.

  Raises:
    UserError: a file is missing or no report.
  """
  result: Curves = {}
  for path in paths:
    run = os.path.splitext(os.path.relpath(path))[0].removesuffix('/report')
    try:
      with open(path, encoding='utf-8') as file:
        entries = json.load(file)
      first = next(iter(entries['results']))
      found = {'': _curves_of_results({run: entries['results'][first]})}
      for name, entry in entries.get('protocols', {}).items():
        found[name] = _curves_of_protocol({run: entry['pck_curves'][first]})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
      raise UserError(f'{path}: no report of an evaluation ({error!r}); name a .json file that '
                      'python -m dhpe_tf.evaluate --report=... has written.') from error
    for name, curves_by_name in found.items():
      result.setdefault(name, {}).update(curves_by_name)
  return result


def _curves_of_results(results: Mapping[str, dict]) -> dict[str, np.ndarray]:
  return {f'{name}, {alignment}': np.array(values['pck_curve']) for name, result in results.items()
          for alignment, values in (result['joints_3d'] or {}).items()}


def _curves_of_protocol(answers: Mapping[str, dict]) -> dict[str, np.ndarray]:
  return {f'{name}, {alignment}': np.asarray(curve) for name, found in answers.items()
          for alignment, curve in found.items()}


def _plot(path: str, lines: dict[str, np.ndarray], protocol: str = '') -> None:
  """Plots curves, for a protocol with the published areas under the curve from 20 to 50 mm."""
  levels = {f'{entry.method} {entry.auc:.3f}': entry.auc for entry in published.AUC_20_50.get(protocol, ())}
  if lines:
    title = protocol and f'{protocol}; dotted: published areas under the curve, {_RANGE_MM[0]} to {_RANGE_MM[1]} mm'
    curves.plot_pck(path, 1000 * THRESHOLDS_M, lines, title, levels, _RANGE_MM)


def table(report: Report) -> str:
  """The measurements as Markdown."""
  lines = [f'{name}: {value}  ' for name, value in report.header.items()]
  limits = [f'PCK {limit} mm' for limit in PCK_THRESHOLDS_MM]
  lines += ['', _row('3D joints', 'alignment', 'EPE mean mm', 'EPE median mm', 'AUC 0-50 mm', *limits),
            _row(*['---'] * (5 + len(limits)))]
  for name, result in report.results.items():
    for alignment, values in (result['joints_3d'] or {}).items():
      lines.append(_row(name, alignment, f'{values["epe_mean_mm"]:.2f}', f'{values["epe_median_mm"]:.2f}',
                        f'{values["auc_0_50mm"]:.3f}', *(f'{share:.3f}' for share in values['pck'].values())))
  lines += ['', _row('2D joints and mask', f'mean px of {CROP_PX} crop', f'median px of {CROP_PX} crop',
                     'mean px of picture', 'median px of picture', 'mask IoU mean'), _row(*['---'] * 6)]
  for name, result in report.results.items():
    errors = [f'{value:.2f}' for key, value in (result['joints_2d'] or {}).items() if 'px' in key] or ['-'] * 4
    lines.append(_row(name, *errors, _number(result, 'mask', 'iou_mean', digits=3)))
  for name, found in report.by_slice.items():
    lines += ['', *_slice_lines(name, found)]
  for name, answers in report.by_protocol.items():
    lines += ['', *_protocol_lines(name, answers)]
  return '\n'.join(lines) + '\n'


def _slice_lines(name: str, found: dict[str, dict[str, dict]]) -> list[str]:
  """The table of an answer by kind of image."""
  lines = [_row(f'{name}, by kind of image', '', 'images', '3D root mm', '3D root+scale mm', '3D PA mm',
                f'2D px of {CROP_PX} crop', 'mask IoU'), _row(*['---'] * 8)]
  for criterion, results in found.items():
    for kind, result in results.items():
      errors = [_number(result, 'joints_3d', alignment, 'epe_mean_mm') for alignment in HOW['alignment']]
      lines.append(_row(criterion, kind, str(result['images']), *errors,
                        _number(result, 'joints_2d', f'mean_px_of_{CROP_PX}_crop'),
                        _number(result, 'mask', 'iou_mean', digits=3)))
  return lines


def _number(result: Any, *path: str, digits: int = 2) -> str:
  """A number inside nested dicts, or a dash where nothing was labelled."""
  for key in path:
    if result is None:
      return '-'
    result = result[key]
  return f'{result:.{digits}f}'


def _protocol_entry(name: str, report: Report) -> dict[str, Any]:
  """What the JSON file says of a protocol."""
  answers = report.by_protocol[name]
  return {'summary': protocols.get(name).summary,
          'results': {who: {key: value._asdict() for key, value in found.items()} for who, found in answers.items()},
          'pck_curves': {who: {alignment: curve.tolist() for alignment, curve in found.items()}
                         for who, found in report.curves[name].items()},
          'published_auc_20_50': [entry._asdict() for entry in published.AUC_20_50.get(name, ())]}


def _protocol_lines(name: str, answers: dict[str, dict[str, Measure]]) -> list[str]:
  """A protocol's table, and what its numbers mean."""
  lines = [f'Protocol {name}: {protocols.get(name).summary}', '', _row('measure', *answers),
           _row(*['---'] * (1 + len(answers)))]
  first = next(iter(answers.values()))
  for key in first:
    values = [found.get(key) for found in answers.values()]
    lines.append(_row(key, *('-' if value is None else f'{value.value:.3f} {value.unit}'.strip() for value in values)))
  lines += ['', *(f'- {key}: {measure.definition}' for key, measure in first.items())]
  known = ', '.join(f'{entry.method} {entry.auc:.3f}' + (f' ({entry.note})' if entry.note else '')
                    for entry in published.AUC_20_50.get(name, ()))
  return lines + (['', f'Published AUC 20-50 mm, by rules that differ: {known}'] if known else [])


def _row(*cells: str) -> str:
  return f'| {" | ".join(cells)} |'
