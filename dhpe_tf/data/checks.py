"""The interface of a check of a record set: it collects over all records of a split, then reports its findings."""
import abc
from typing import Any

import numpy as np

from dhpe_tf.data.record_schema import Field, RecordSchema

_NAMED = 3


class Flagged:
  """Counts the records that fail a test and keeps the names of the first few.

  Args:
    allowed_share: share of records that may fail without a finding, since real datasets contain some odd ones.
  """

  def __init__(self, allowed_share: float = 0.):
    self._allowed = allowed_share
    self._checked, self._bad, self._examples = 0, 0, []

  def add(self, names: np.ndarray, bad: np.ndarray) -> None:
    """Adds a batch of records.

    Args:
      names: `[N]` names of the records, for examples in the findings.
      bad: `[N]` bool, which of them fail.
    """
    self._checked += len(bad)
    self._bad += int(np.count_nonzero(bad))
    for name in names[np.asarray(bad, bool)][:_NAMED - len(self._examples)]:
      self._examples.append(name.decode(errors='replace') if isinstance(name, bytes) else str(name))

  @property
  def checked(self) -> int:
    """Number of records tested."""
    return self._checked

  @property
  def share(self) -> float:
    """Share of the tested records that fail, 0..1."""
    return self._bad / max(self._checked, 1)

  def findings(self, text: str) -> list[str]:
    """Returns `text` with counts and examples if more records fail than allowed, or else nothing."""
    if self._bad <= self._allowed * self._checked:
      return []
    return [f'{text}: {self._bad} of {self._checked} records, such as {", ".join(self._examples)}']


class SchemaValues:
  """Checks the values of records against the ranges in their schema.

  Args:
    schema: of the records.

  Attributes:
    title: the aspect in a few words.
  """

  title = 'values in the ranges of the schema'

  def __init__(self, schema: RecordSchema):
    self._schema = schema
    self._bad = {name: Flagged() for name, field in schema.fields.items() if field.is_limited}

  def sound_part(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tests each record of a batch, fields `[N, ...]` by name; returns those without a fault."""
    faulty = self._schema.faulty(batch)
    for name, bad in faulty.items():
      self._bad[name].add(batch[self._schema.name_field], bad)
    sound = ~np.any(list(faulty.values()), axis=0) if faulty else slice(None)
    return {name: values[sound] for name, values in batch.items()}

  def findings(self) -> list[str]:
    """Reports fields with NaN, infinity, numbers beyond their range, or texts that are not among the choices."""
    return [line for name, bad in self._bad.items()
            for line in bad.findings(f'{name} {_allowed(self._schema.fields[name])}')]


def _allowed(field: Field) -> str:
  """Text about values that are none of those that a field may hold."""
  if field.choices:
    return f'is neither {" nor ".join(map(repr, field.choices))}'
  return f'holds something else than numbers from {field.range[0]:g} to {field.range[1]:g}'


class SetCheck(abc.ABC):
  """Tests splits against each other: `add` is called with every batch of every split, then `findings`."""

  @abc.abstractmethod
  def add(self, split: str, batch: dict[str, np.ndarray]) -> None:
    """Collects from a batch of records.

    Args:
      split: name of its split.
      batch: fields by name, each `[N, ...]`.
    """

  @abc.abstractmethod
  def findings(self) -> list[str]:
    """Returns the problems found, one line each; empty if there are none."""


class Check(abc.ABC):
  """Tests one aspect of a split: `add` is called with every batch, then `findings` and `numbers`.

  Attributes:
    title: the aspect in a few words.
  """

  title: str

  @abc.abstractmethod
  def add(self, batch: dict[str, np.ndarray]) -> None:
    """Collects from a batch of records.

    Args:
      batch: fields by name, each `[N, ...]`.
    """

  @abc.abstractmethod
  def findings(self) -> list[str]:
    """Returns the problems found, one line each; empty if there are none."""

  def numbers(self) -> dict[str, Any]:
    """Returns measured numbers by name, for the report."""
    return {}
