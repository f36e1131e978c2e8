"""Writing measurements down: JSON for programs, a table for people, a plot."""
import json
import os
from typing import Any, Optional

import numpy as np

from dhpe_tf.evaluation import protocols, published
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
    'joints_2d': 'over all labelled keypoints together',
    'mask': 'intersection over union of the hand, masks cut at one half',
}


# Results of named protocols: protocol -> who answered -> measures by name.
ByProtocol = dict[str, dict[str, dict[str, Measure]]]


def write(path: str, header: dict[str, Any], measured: dict[str, dict],
          by_protocol: Optional[ByProtocol] = None) -> dict[str, Any]:
  """Writes `path` (JSON) and beside it a table (.md) and a plot of the PCK curves (.png).

  Args:
    path: of the JSON file.
    header: what was measured on what.
    measured: results of `measurements.measure` by the name of what answered, the model first.
    by_protocol: results of `protocols.evaluate` by protocol and the name of what answered.

  Returns:
    What the JSON file holds.

  Raises:
    UserError: a file cannot be written.
  """
  report = {**header, 'how': HOW, 'results': measured}
  if by_protocol:
    report['protocols'] = {name: _protocol_entry(name, answers) for name, answers in by_protocol.items()}
  with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    json.dump(report, file, indent=1)
  stem = os.path.splitext(path)[0]
  with atomic_path(f'{stem}.md') as temporary, open(temporary, 'w', encoding='utf-8') as file:
    file.write(table(header, measured, by_protocol))
  lines = {f'{name}, {alignment}': np.array(values['pck_curve']) for name, result in measured.items()
           for alignment, values in (result['joints_3d'] or {}).items()}
  if lines:
    curves.plot_pck(f'{stem}.png', 1000 * THRESHOLDS_M, lines)
  return report


def table(header: dict[str, Any], measured: dict[str, dict], by_protocol: Optional[ByProtocol] = None) -> str:
  """The measurements as Markdown."""
  lines = [f'{name}: {value}  ' for name, value in header.items()]
  limits = [f'PCK {limit} mm' for limit in PCK_THRESHOLDS_MM]
  lines += ['', _row('3D joints', 'alignment', 'EPE mean mm', 'EPE median mm', 'AUC 0-50 mm', *limits),
            _row(*['---'] * (5 + len(limits)))]
  for name, result in measured.items():
    for alignment, values in (result['joints_3d'] or {}).items():
      lines.append(_row(name, alignment, f'{values["epe_mean_mm"]:.2f}', f'{values["epe_median_mm"]:.2f}',
                        f'{values["auc_0_50mm"]:.3f}', *(f'{share:.3f}' for share in values['pck'].values())))
  lines += ['', _row('2D joints and mask', f'mean px of {CROP_PX} crop', f'median px of {CROP_PX} crop',
                     'mean px of picture', 'median px of picture', 'mask IoU mean'), _row(*['---'] * 6)]
  for name, result in measured.items():
    errors = [f'{value:.2f}' for key, value in (result['joints_2d'] or {}).items() if 'px' in key] or ['-'] * 4
    lines.append(_row(name, *errors, f'{result["mask"]["iou_mean"]:.3f}' if result['mask'] else '-'))
  for name, answers in (by_protocol or {}).items():
    lines += ['', *_protocol_lines(name, answers)]
  return '\n'.join(lines) + '\n'


def _protocol_entry(name: str, answers: dict[str, dict[str, Measure]]) -> dict[str, Any]:
  """What the JSON file says of a protocol."""
  return {'summary': protocols.get(name).summary,
          'results': {who: {key: value._asdict() for key, value in found.items()} for who, found in answers.items()},
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
