"""Writing measurements down: JSON for programs, a table for people, a plot."""
import json
import os
from typing import Any

import numpy as np

from dhpe_tf.evaluation.measurements import CROP_PX, PCK_THRESHOLDS_MM, THRESHOLDS_M
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


def write(path: str, header: dict[str, Any], measured: dict[str, dict]) -> dict[str, Any]:
  """Writes `path` (JSON) and beside it a table (.md) and a plot of the PCK curves (.png).

  Args:
    path: of the JSON file.
    header: what was measured on what.
    measured: results of `measurements.measure` by the name of what answered, the model first.

  Returns:
    What the JSON file holds.

  Raises:
    UserError: a file cannot be written.
  """
  report = {**header, 'how': HOW, 'results': measured}
  with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    json.dump(report, file, indent=1)
  stem = os.path.splitext(path)[0]
  with atomic_path(f'{stem}.md') as temporary, open(temporary, 'w', encoding='utf-8') as file:
    file.write(table(header, measured))
  lines = {f'{name}, {alignment}': np.array(values['pck_curve']) for name, result in measured.items()
           for alignment, values in (result['joints_3d'] or {}).items()}
  if lines:
    curves.plot_pck(f'{stem}.png', 1000 * THRESHOLDS_M, lines)
  return report


def table(header: dict[str, Any], measured: dict[str, dict]) -> str:
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
  return '\n'.join(lines) + '\n'


def _row(*cells: str) -> str:
  return f'| {" | ".join(cells)} |'
