"""Compares numbers of records and groups with what is known of a dataset."""
from typing import Any, Optional


def findings(split: str, count: int, about: Optional[dict[str, Any]]) -> list[str]:
  """Compares a split's number of records with dataset.json and with the published number.

  Args:
    split: its name.
    count: number of records.
    about: content of dataset.json, or None if there is none.

  Returns:
    The problems, one line each.
  """
  if about is None:
    return ['there is no dataset.json, so it is not known where the records come from']
  found = []
  stated = _entry(about, 'counts', split)
  if stated is not None and stated != count:
    found.append(f'{count} records, but dataset.json states {stated}')
  published, skipped = _entry(about, 'published_counts', split), _entry(about, 'skipped', split)
  left_out = len(skipped) if isinstance(skipped, list) else 0
  if published is not None and published != count:
    found.append(f'{count} records and {left_out} skipped, but {published} are published under its options, '
                 f'{about.get("options")}: are parts missing?')
  return found


def _entry(about: dict[str, Any], name: str, split: str) -> Any:
  """What an object in dataset.json holds for a split; None without it, whatever else the file may hold there."""
  found = about.get(name)
  return found.get(split) if isinstance(found, dict) else None


def shared_groups(groups: dict[str, set[bytes]]) -> list[str]:
  """Reports groups (people, sessions) that are in more than one split, which then do not test each other.

  Args:
    groups: the groups of each split.

  Returns:
    One line for each pair of splits that share groups.
  """
  found, names = [], sorted(groups)
  for i, first in enumerate(names):
    for second in names[i + 1:]:
      shared = (groups[first] & groups[second]) - {b''}
      if shared:
        examples = ', '.join(sorted(group.decode(errors='replace') for group in shared)[:3])
        found.append(f'splits {first} and {second} share {len(shared)} groups, such as {examples}')
  return found
