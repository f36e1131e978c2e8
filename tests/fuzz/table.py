"""Prints the table of README.md: for each entry how many hostile inputs it got, and what it did with them.

  python -m tests.fuzz.table                                   # 10,000 inputs an entry: hours
  python -m tests.fuzz.table --entries=png,jpeg --inputs=2000

What was done is kept in --state, a JSON file an entry, so a run that was interrupted goes on, and several processes may
share the entries. Inputs depend on --seed and their number alone; those that had faults are run again.
"""
import collections
import json
import os

from absl import flags

from dhpe_tf import command_line, files, json_files
from dhpe_tf.errors import UserError
from tests.fuzz import entries, run

_FLAGS = flags.FlagValues()
flags.DEFINE_list('entries', None, 'which entries; all by default', flag_values=_FLAGS)
flags.DEFINE_integer('inputs', 10_000, 'how many an entry gets', flag_values=_FLAGS)
flags.DEFINE_float('seconds', None, 'how long at most an entry runs in this call', flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'of all inputs', flag_values=_FLAGS)
flags.DEFINE_string('state', 'runs/fuzz', 'folder for what was done', flag_values=_FLAGS)
flags.DEFINE_bool('again', False, 'begin anew', flag_values=_FLAGS)

_CHUNK_S = 120.  # after which the state is written
_MOST_FAULTS = 10_000


def main(argv: list[str]) -> None:
  """Runs what is missing and prints the table.

  Raises:
    UserError: there were faults; they are listed.
  """
  del argv
  names = _FLAGS.entries or list(entries.ENTRIES)
  if unknown := set(names) - set(entries.ENTRIES):
    raise UserError(f'no entries {", ".join(sorted(unknown))}; there are {", ".join(entries.ENTRIES)}')
  run.prepare()
  for name in names:
    if _FLAGS.again:
      files.remove(_path(name))
    _complete(name)
  print('| entry | what reads | inputs | refused | read | faults | most memory, MB |')
  print('| --- | --- | --- | --- | --- | --- | --- |')
  found = {name: _state(name) for name in names}
  for name, state in found.items():
    cells = [f'{state[count]:,}' for count in ('inputs', 'refused', 'read')]
    print(f'| {name} | {entries.ABOUT[name]} | {" | ".join(cells)} | {len(state["faults"])} | {state["peak_mb"]} |')
  if faults := [f'{name} {fault["input"]}' for name, state in found.items() for fault in state['faults']]:
    raise UserError(f'{len(faults)} faults, see {_FLAGS.state}: {", ".join(faults[:20])}')


def _complete(name: str) -> None:
  """Runs the inputs of an entry that were not run yet."""
  state, left = _tried_again(name, _state(name)), _FLAGS.seconds or float('inf')
  while state['next'] < _FLAGS.inputs and left > 0:
    limits = run.Limits(min(_CHUNK_S, left), _FLAGS.inputs - state['next'], most_faults=_MOST_FAULTS)
    found = run.run(name, _FLAGS.seed, state['next'], limits)
    state = {'seed': _FLAGS.seed, 'next': found['next'], 'faults': state['faults'] + found['faults'],
             'peak_mb': max(state['peak_mb'], found['peak_mb']), 'seconds': state['seconds'] + found['seconds'],
             **{count: state[count] + found[count] for count in ('inputs', 'refused', 'read')}}
    left -= found['seconds']
    _keep(name, state)


def _tried_again(name: str, state: dict) -> dict:
  """The state after the inputs with faults were run again: those that are mended since get right answers."""
  faults, again = [], collections.Counter({count: state[count] for count in ('refused', 'read')})
  for fault in state['faults']:
    found = run.run(name, _FLAGS.seed, fault['input'], run.Limits(_CHUNK_S, 1))
    faults += found['faults']
    again.update({count: found[count] for count in again})
  state = {**state, **again, 'faults': faults}
  if os.path.exists(_path(name)):
    _keep(name, state)
  return state


def _keep(name: str, state: dict) -> None:
  """Writes the state of an entry."""
  with files.atomic_path(_path(name)) as path, open(path, 'w', encoding='utf-8') as file:
    json.dump(state, file, indent=1)


def _state(name: str) -> dict:
  """What was done for an entry with this seed."""
  if os.path.exists(_path(name)):
    state = json_files.read_object(_path(name))
    if state['seed'] == _FLAGS.seed:
      return state
  return {'seed': _FLAGS.seed, 'next': 0, 'faults': [], 'peak_mb': 0, 'seconds': 0., 'inputs': 0, 'refused': 0,
          'read': 0}


def _path(name: str) -> str:
  """The file of an entry's state."""
  return os.path.join(_FLAGS.state, f'{name}.json')


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
