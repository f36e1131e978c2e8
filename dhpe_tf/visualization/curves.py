"""Plots of curves and of lines with bands."""
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

import numpy as np

from dhpe_tf.files import PathLike, atomic_path

_NAME_HEIGHT = 0.023  # height of a level's name, in units of the y axis


class Line(NamedTuple):
  """A line to plot.

  Attributes:
    x: `[N]`.
    y: `[N]`.
    spread: `[N]` half the height of a band around the line, `[2, N]` its parts below and above, or None.
  """

  x: np.ndarray
  y: np.ndarray
  spread: Optional[np.ndarray] = None


class Axes(NamedTuple):
  """The axes of a plot of curves.

  Attributes:
    x: `[T]` positions at which the curves are given.
    x_label: label of the x axis, with the unit.
    y_label: label of the y axis, which runs from 0 to 1.
  """

  x: np.ndarray
  x_label: str
  y_label: str


def plot_curves(path: PathLike, axes: Axes, curves: Mapping[str, np.ndarray], title: str = '',
                levels: Optional[Mapping[str, float]] = None,
                levels_range: Optional[tuple[float, float]] = None) -> None:
  """Plots curves to a file, for example the share of keypoints within a distance against the distance.

  Args:
    path: PNG file.
    axes: of the plot.
    curves: by name, each [T] in 0..1; curves whose names share the part after the last ', ' share a color.
    title: of the plot.
    levels: mean heights by name, drawn as thin lines over `levels_range`; for published curves of which only the area
      is known.
    levels_range: range of x that the levels cover, or None for no levels.

  Raises:
    UserError: the file cannot be written.
  """
  figure = _curves_figure(axes, curves, title, levels or {}, levels_range)
  with atomic_path(path) as temporary:
    figure.savefig(temporary, format='png')


def draw_curves(axes: Axes, curves: Mapping[str, np.ndarray], title: str = '') -> np.ndarray:
  """Draws the plot of `plot_curves` as a picture, uint8 [H, W, 3]."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  canvas = FigureCanvasAgg(_curves_figure(axes, curves, title, {}, None))
  canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3]


def _curves_figure(axes: Axes, curves: Mapping[str, np.ndarray], title: str, levels: Mapping[str, float],
                   levels_range: Optional[tuple[float, float]]) -> Any:
  """Builds the matplotlib figure of `plot_curves`."""
  from matplotlib.figure import Figure

  # A Figure without pyplot needs no window system and keeps no global state.
  figure = Figure(figsize=(6.4, 5.2), dpi=130, layout='constrained')
  plot = figure.add_subplot()
  kinds = list(dict.fromkeys(name.rpartition(', ')[2] for name in curves))
  owners = list(dict.fromkeys(name.rpartition(', ')[0] for name in curves))
  for name, curve in curves.items():
    owner, _, kind = name.rpartition(', ')
    plot.plot(axes.x, curve, label=name, color=f'C{kinds.index(kind)}',
              linestyle=('-', '--', ':', '-.')[owners.index(owner) % 4])
  if levels_range:
    _draw_levels(plot, levels, levels_range)
  plot.set(xlabel=axes.x_label, ylabel=axes.y_label, ylim=(0, 1), xlim=(axes.x[0], axes.x[-1]), title=title)
  plot.grid(alpha=0.3)
  figure.legend(fontsize='small', loc='outside lower center', ncols=2)
  return figure


def _draw_levels(plot: Any, levels: Mapping[str, float], span: tuple[float, float]) -> None:
  """Draws thin lines over the range `span`, with their names on the left, from top to bottom without overlap."""
  below = np.inf
  for name, height in sorted(levels.items(), key=lambda entry: -entry[1]):
    below = min(height, 1 - _NAME_HEIGHT / 2, below - _NAME_HEIGHT)
    plot.plot([span[0] - 1, *span], [below, height, height], color='0.45', linewidth=0.8, linestyle=':')
    plot.annotate(name, (span[0] - 1, below), fontsize=6, ha='right', va='center', color='0.35')


def plot_lines(path: PathLike, panels: Mapping[str, Mapping[str, Line]], x_label: str, columns: int = 3) -> None:
  """Plots panels side by side with one legend; a line keeps its color in all panels.

  Args:
    path: PNG file.
    panels: title -> lines by name.
    x_label: label of the x axis of all panels.
    columns: columns of the legend.

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
        below, above = np.broadcast_to(line.spread, [2, len(line.x)])
        axes.fill_between(line.x, line.y - below, line.y + above, color=color, alpha=0.12, linewidth=0)
    axes.set(xlabel=x_label, title=title)
    axes.grid(alpha=0.3)
  figure.legend(handles.values(), handles.keys(), fontsize='small', loc='outside lower center', ncols=columns)
  with atomic_path(path) as temporary:
    figure.savefig(temporary, format='png')
