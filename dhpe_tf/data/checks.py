"""Checks of record sets: each gathers over all records of a split and then says what is wrong."""
import abc
from typing import Any

import numpy as np

_NAMED = 3


class Flagged:
  """Counts the records in which something is wrong.

  Args:
    allowed_share: of records that may be so without a finding; real datasets have some odd ones.
  """

  def __init__(self, allowed_share: float = 0.):
    self._allowed = allowed_share
    self._checked, self._bad, self._examples = 0, 0, []

  def add(self, names: np.ndarray, bad: np.ndarray) -> None:
    """Takes note of records by name `[N]` and which of them are bad `[N]`."""
    self._checked += len(bad)
    self._bad += int(np.count_nonzero(bad))
    for name in names[np.asarray(bad, bool)][:_NAMED - len(self._examples)]:
      self._examples.append(name.decode(errors='replace') if isinstance(name, bytes) else str(name))

  @property
  def checked(self) -> int:
    """Number of records looked at."""
    return self._checked

  @property
  def share(self) -> float:
    """Of bad records."""
    return self._bad / max(self._checked, 1)

  def findings(self, text: str) -> list[str]:
    """The text with counts and examples if there are too many, or nothing."""
    if self._bad <= self._allowed * self._checked:
      return []
    return [f'{text}: {self._bad} of {self._checked} records, such as {", ".join(self._examples)}']


class Check(abc.ABC):
  """One aspect of a split.

  Attributes:
    title: what is checked, in a few words.
  """

  title: str

  @abc.abstractmethod
  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Gathers what it needs of records: their fields by name, each `[N, ...]`."""

  @abc.abstractmethod
  def findings(self) -> list[str]:
    """What is wrong, a line each; nothing if all is well."""

  def numbers(self) -> dict[str, Any]:
    """What was measured, for the report."""
    return {}
