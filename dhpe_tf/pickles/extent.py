"""The limits of what a pickle gives: its depth, and its size when shared parts count as often as they are used."""
from collections.abc import Iterable
from typing import Any, Optional

from dhpe_tf.pickles.machine import Record, size_of

MOST_DEPTH = 50
_TOO_DEEP = f'more than {MOST_DEPTH} containers in each other'


def check(root: Any, most: int) -> None:
  """Raises a ValueError for a value that is deeper than MOST_DEPTH, contains itself or, counted in full, is too large.

  Shared parts count as often as they are used, because printing or converting a value visits them as often. Each part
  counts by its bytes / 8, at least 1.
  """
  known: dict[int, Optional[tuple[int, int]]] = {}  # depth and extent by identity; None while its parts are counted
  waiting, opened = [root], 0
  while waiting:
    value = waiting[-1]
    parts = _parts(value)
    if parts is None or known.get(id(value)) is not None:
      waiting.pop()
    elif id(value) not in known:
      known[id(value)] = None
      opened += 1
      if opened > MOST_DEPTH:
        raise ValueError(_TOO_DEEP)
      inner = [part for part in parts if _parts(part) is not None]
      if any(id(part) in known and known[id(part)] is None for part in inner):
        raise ValueError('a container that contains itself')
      waiting += inner
    else:
      measured = [known.get(id(part)) or (0, 1 + size_of(part) // 8) for part in parts]
      depth = 1 + max((deep for deep, _ in measured), default=0)
      extent = 1 + sum(wide for _, wide in measured)
      if depth > MOST_DEPTH:
        raise ValueError(_TOO_DEEP)
      if extent > most:
        raise ValueError('parts that use each other again and again')
      known[id(value)] = depth, extent
      opened -= 1
      waiting.pop()


def _parts(value: Any) -> Optional[Iterable[Any]]:
  """What is in a container, without the keys; None for anything else."""
  if isinstance(value, (list, tuple, set)):
    return value
  if isinstance(value, dict):
    return value.values()
  return value.parts() if isinstance(value, Record) else None
