"""Measures and curves of an evaluation, each measure with unit and definition."""
import types
from collections.abc import Mapping
from typing import NamedTuple, Optional

import numpy as np

from dhpe_tf.visualization.curves import Line


class Measure(NamedTuple):
  """A number with its unit and the sentence that defines it."""

  value: float
  unit: str
  definition: str


class Measured(NamedTuple):
  """All measures and curves of one set of predictions under a protocol.

  Attributes:
    measures: by name.
    curves: name -> values `[T]` in 0..1 at the positions of the task's curve axis.
    lines: title of a panel -> line; for a plot of their own, over `Task.lines_over`.
  """

  measures: Mapping[str, Measure]
  curves: Mapping[str, np.ndarray]
  lines: Mapping[str, Line] = types.MappingProxyType({})


class Column(NamedTuple):
  """A measure of the default protocol that appears in short tables.

  Attributes:
    title: heading of the column, with the unit.
    measure: name of the measure.
    form: format of the number, such as '.1f'.
  """

  title: str
  measure: str
  form: str

  def of(self, measures: Mapping[str, Measure]) -> Optional[float]:
    """Returns the measure's value, or None if it is missing."""
    return measures[self.measure].value if self.measure in measures else None


class Published(NamedTuple):
  """A published area under the curve, for comparison; `Task.published` gives its range.

  Attributes:
    method: authors and year.
    auc: the area, 0..1.
    note: a remark, for example on how it was read off.
  """

  method: str
  auc: float
  note: str = ''
