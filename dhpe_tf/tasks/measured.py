"""Numbers and curves of an evaluation, each with its unit and definition."""
from collections.abc import Mapping
from typing import NamedTuple, Optional

import numpy as np


class Measure(NamedTuple):
  """A number with its unit and the sentence that defines it."""

  value: float
  unit: str
  definition: str


class Measured(NamedTuple):
  """All that a protocol says of one set of predictions.

  Attributes:
    measures: by name.
    curves: by name the values `[T]` over the task's curve axis, in 0..1.
  """

  measures: Mapping[str, Measure]
  curves: Mapping[str, np.ndarray]


class Column(NamedTuple):
  """A measure that stands in the tables people read first.

  Attributes:
    title: with its unit.
    measure: its name among the default protocol's.
    form: how to print it, such as '.1f'.
  """

  title: str
  measure: str
  form: str

  def of(self, measures: Mapping[str, Measure]) -> Optional[float]:
    """The value, or None where nothing was labelled."""
    return measures[self.measure].value if self.measure in measures else None


class Published(NamedTuple):
  """A number of a paper to set beside one's own: the area under the curve over `Protocol.published_range`."""

  method: str
  auc: float
  note: str = ''
