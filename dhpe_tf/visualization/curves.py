"""Plots of measurements."""
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

import numpy as np

from dhpe_tf.files import atomic_path
from dhpe_tf.visualization.mesh_files import PathLike

_NAME_HEIGHT = 0.023  # of a level's name, in shares of keypoints


class Line(NamedTuple):
  """A line to plot: x `[N]`, y `[N]`, and half the height of a band about it `[N]`, or None."""

  x: np.ndarray
  y: np.ndarray
  spread: Optional[np.ndarray] = None


def plot_pck(path: PathLike, thresholds_mm: np.ndarray, curves: Mapping[str, np.ndarray], title: str = '',
             levels: Optional[Mapping[str, float]] = None, levels_range_mm: tuple[float, float] = (20, 50)) -> None:
  """Plots the share of keypoints within a distance against the distance.

  Args:
    path: PNG file.
    thresholds_mm: [T].
    curves: by name, each [T] in 0..1; names that end alike after the last ', ' share a color.
    title: of the plot.
    levels: mean heights of other curves over a range, by name, drawn as thin lines: of curves that are
      known by the area under them alone.
    levels_range_mm: the range.

  Raises:
    UserError: the file cannot be written.
  """
  figure = _pck_figure(thresholds_mm, curves, title, levels or {}, levels_range_mm)
  with atomic_path(path) as temporary:
    figure.savefig(temporary, format='png')


def draw_pck(thresholds_mm: np.ndarray, curves: Mapping[str, np.ndarray], title: str = '') -> np.ndarray:
  """The plot of `plot_pck` as a picture, uint8 [H, W, 3]."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  canvas = FigureCanvasAgg(_pck_figure(thresholds_mm, curves, title, {}, (0, 0)))
  canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3]


def _pck_figure(thresholds_mm: np.ndarray, curves: Mapping[str, np.ndarray], title: str, levels: Mapping[str, float],
                levels_range_mm: tuple[float, float]) -> Any:
  """The figure of `plot_pck`."""
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
  _draw_levels(axes, levels, levels_range_mm)
  axes.set(xlabel='error threshold (mm)', ylabel='PCK: share of keypoints within it', ylim=(0, 1),
           xlim=(thresholds_mm[0], thresholds_mm[-1]), title=title)
  axes.grid(alpha=0.3)
  figure.legend(fontsize='small', loc='outside lower center', ncols=2)
  return figure


def _draw_levels(axes, levels: Mapping[str, float], range_mm: tuple[float, float]) -> None:
  """Thin lines over a range, named on their left, the names from top to bottom without overlap."""
  below = np.inf
  for name, height in sorted(levels.items(), key=lambda entry: -entry[1]):
    below = min(height, 1 - _NAME_HEIGHT / 2, below - _NAME_HEIGHT)
    axes.plot([range_mm[0] - 1, *range_mm], [below, height, height], color='0.45', linewidth=0.8, linestyle=':')
    axes.annotate(name, (range_mm[0] - 1, below), fontsize=6, ha='right', va='center', color='0.35')


def plot_lines(path: PathLike, panels: Mapping[str, Mapping[str, Line]], x_label: str, columns: int = 3) -> None:
  """Plots panels side by side with one legend; a line keeps its color in all of them.

  Args:
    path: PNG file.
    panels: by title, each its lines by name.
    x_label: of all panels.
    columns: of the legend.

  Raises:
    UserError: the file cannot be written.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(max(4.2 * len(panels), 6.4), 4.8), dpi=110, layout='constrained')
  names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
  handles = {}
  for axes, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
    for name, line in lines.items():
      color = f'C{names.index(name) % 10}'
      handles[name], = axes.plot(line.x, line.y, color=color, marker='.' if len(line.x) < 30 else None,
                                 linestyle='-' if names.index(name) < 10 else '--')
      if line.spread is not None:
        axes.fill_between(line.x, line.y - line.spread, line.y + line.spread, color=color, alpha=0.12, linewidth=0)
    axes.set(xlabel=x_label, title=title)
    axes.grid(alpha=0.3)
  figure.legend(handles.values(), handles.keys(), fontsize='small', loc='outside lower center', ncols=columns)
  with atomic_path(path) as temporary:
    figure.savefig(temporary, format='png')
