"""The table goes on where it was stopped, and inputs that had faults are run again."""
import json

from dhpe_tf import command_line
from tests.fuzz import entries, table
from tests.fuzz.cases import Case


class _Fragile:
  """Cases that end with an exception while there is a file."""

  def __init__(self, path):
    self._path = path

  def check(self):
    pass

  def __call__(self, chance):
    return Case(lambda: 1 / (not self._path.exists()), ('a.txt',))


def test_goes_on_and_runs_faults_again(monkeypatch, tmp_path, capfd):
  fault = tmp_path / 'fault'
  monkeypatch.setitem(entries.ENTRIES, 'fragile', lambda folder: _Fragile(fault))
  monkeypatch.setitem(entries.ABOUT, 'fragile', 'nothing')

  def run(count):
    status = command_line.call(table.main, ['table', f'--state={tmp_path}', '--entries=fragile', f'--inputs={count}'],
                               table._FLAGS)
    state = json.loads((tmp_path / 'fragile.json').read_text())
    return status, {name: state[name] for name in ('next', 'inputs', 'refused', 'read')}, len(state['faults'])

  fault.write_text('')
  assert run(3) == (1, {'next': 3, 'inputs': 3, 'refused': 0, 'read': 0}, 3)
  assert 'fragile 0, fragile 1, fragile 2' in capfd.readouterr().err
  fault.unlink()
  assert run(5) == (0, {'next': 5, 'inputs': 5, 'refused': 0, 'read': 5}, 0)
  assert '| fragile | nothing | 5 | 0 | 5 | 0 |' in capfd.readouterr().out
