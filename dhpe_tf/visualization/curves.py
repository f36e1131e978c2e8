"""Plots of measurements."""
from collections.abc import Mapping

import numpy as np

from dhpe_tf.files import atomic_path
from dhpe_tf.visualization.mesh_files import PathLike


def plot_pck(path: PathLike, thresholds_mm: np.ndarray, curves: Mapping[str, np.ndarray], title: str = '') -> None:
  """Plots the share of keypoints within a distance against the distance.

  Args:
    path: PNG file.
    thresholds_mm: [T].
    curves: by name, each [T] in 0..1; names that end alike after the last ', ' share a color.
    title: of the plot.

  Raises:
    UserError: the file cannot be written.
  """
  from matplotlib.figure import Figure

  # Figure without pyplot: no window system and no global state.
  figure = Figure(figsize=(6.4, 5.2), dpi=130, layout='constrained')
  axes = figure.add_subplot()
  kinds = list(dict.fromkeys(name.rpartition(', ')[2] for name in curves))
  owners = list(dict.fromkeys(name.rpartition(', ')[0] for name in curves))
  for name, curve in curves.items():
    owner, _, kind = name.rpartition(', ')
    axes.plot(thresholds_mm, curve, label=name, color=f'C{kinds.index(kind)}',
              linestyle=('-', '--', ':', '-.')[owners.index(owner) % 4])
  axes.set(xlabel='error threshold (mm)', ylabel='PCK: share of keypoints within it', ylim=(0, 1),
           xlim=(thresholds_mm[0], thresholds_mm[-1]), title=title)
  axes.grid(alpha=0.3)
  figure.legend(fontsize='small', loc='outside lower center', ncols=2)
  with atomic_path(path) as temporary:
    figure.savefig(temporary, format='png')
