"""Hostile inputs get right results or one-line errors.

DHPE_FUZZ_SECONDS is the time for all entries together, 20 by default. DHPE_FUZZ_SLOW=1 feeds the slow entries too.
"""
import json
import os
import random
import subprocess
import sys

import pytest

from tests.fuzz import entries, run
from tests.fuzz.cases import Case

SECONDS = float(os.environ.get('DHPE_FUZZ_SECONDS', '20'))
NAMES = [name for name in entries.ENTRIES if 'DHPE_FUZZ_SLOW' in os.environ or name not in entries.SLOW]
SEED = os.environ.get('DHPE_FUZZ_SEED', '0')


@pytest.fixture(scope='module')
def found():
  """Counts by entry; in a process of its own, because the entries are forked from it."""
  done = subprocess.run([sys.executable, '-m', 'tests.fuzz.run', f'--seed={SEED}', f'--entries={",".join(NAMES)}',
                         f'--seconds={SECONDS / len(NAMES)}'], capture_output=True, text=True)
  assert done.stdout, done.stderr[-3000:]
  return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize('entry', NAMES)
def test_no_hostile_input_gets_a_wrong_answer(found, entry):
  counts = found[entry]
  assert not counts['faults'], counts['faults'][0]
  assert counts['inputs'] == counts['refused'] + counts['read'] >= 1
  assert counts['refused'] > 0 or entry in entries.SLOW  # which get only some inputs


def test_the_table_knows_every_entry():
  assert set(entries.ABOUT) == set(entries.ENTRIES) and set(entries.SLOW) <= set(entries.ENTRIES)


class _Wrong:
  """Cases of which the fourth has a wrong answer."""

  def __init__(self, answer):
    self._answer, self._count = answer, -1

  def check(self):
    pass

  def __call__(self, chance):
    self._count += 1
    return Case(self._answer if self._count == 3 else lambda: None, ('a.txt',))


def _end():
  os.kill(os.getpid(), 9)


def _assert():
  assert not os.getcwd()


def _refuse(text):
  def refuse():
    raise run.UserError(text)
  return refuse


def _no_memory():
  try:
    bytearray(1 << 50)
  except MemoryError as error:
    raise run.UserError('a.txt: too large') from error


@pytest.mark.parametrize('answer, text', [
    (_end, 'the process ended: signal 9'), (lambda: 1 / 0, 'ZeroDivisionError'), (_assert, ''),
    (_refuse('no picture'), 'no file in'),
    (lambda: os.environ.update(NEW='1'), 'another one'), (_no_memory, 'memory could not be had'),
    (lambda: bytearray(b'x') * (1 << 28), 'MB of memory')])
def test_a_wrong_answer_is_found_and_the_entry_goes_on(monkeypatch, answer, text):
  monkeypatch.setitem(entries.ENTRIES, 'wrong', lambda folder: _Wrong(answer))
  found = run.run('wrong', 0, 100, run.Limits(60., 10, most_mb=100, most_faults=2))
  # After an end the entry begins anew in another process, and so does the count of its cases.
  assert [fault['input'] for fault in found['faults']] in ([103], [103, 107]) and text in found['faults'][0]['text']
  assert found['next'] in (108, 110) and found['inputs'] == found['next'] - 100


def test_an_input_is_the_same_again(tmp_path):
  entry = entries.ENTRIES['png'](str(tmp_path))
  contents = []
  for number in (1, 2, 1):
    entry(random.Random(f'0 png {number}'))
    contents.append((tmp_path / 'a.png').read_bytes())
  assert contents[0] == contents[2] != contents[1]
