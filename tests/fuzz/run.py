"""Feeds hostile inputs to everything that reads what others give, and reports each wrong answer.

  python -m tests.fuzz.run --entries=pickle,gin --seconds=60
  python -m tests.fuzz.run --entries=pickle --first=924 --count=1     # one input again

Input number i of an entry depends on --seed, the entry and i alone. A right answer is a result, or a UserError of one
line that names the file. Anything else is a fault: another exception, the end of the process, memory of --most_mb
beyond that before, an allocation that fails, --longest_s without an answer, or a name of the process that is another
one afterwards. Every entry runs in a process of its own, made by fork, which goes on in a new one after its end. The
last line is a JSON of counts by entry.
"""
import collections
import faulthandler
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from typing import Any, NamedTuple, Optional

import gin
from absl import flags

from dhpe_tf import command_line, configuration
from dhpe_tf.errors import UserError
from dhpe_tf.hand import restricted_pickle
from tests.fuzz import entries
from tests.fuzz.cases import Case, Entry

_FLAGS = flags.FlagValues()
flags.DEFINE_list('entries', None, 'which entries; all by default', flag_values=_FLAGS)
flags.DEFINE_float('seconds', 10., 'how long at most an entry runs', flag_values=_FLAGS)
flags.DEFINE_integer('first', 0, 'number of the first input', flag_values=_FLAGS)
flags.DEFINE_integer('count', 1 << 40, 'how many inputs at most an entry gets', flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'of all inputs', flag_values=_FLAGS)
flags.DEFINE_integer('most_mb', 2000, 'memory beyond that of the start', flag_values=_FLAGS)
flags.DEFINE_float('longest_s', 120., 'time for one input', flag_values=_FLAGS)
flags.DEFINE_integer('most_faults', 1, 'faults after which an entry stops', flag_values=_FLAGS)

_ADDRESS_SPACE = 8 << 30  # beyond that of the start; what is asked for and never touched counts here
_LONGEST_LINE = 1500  # characters
_LAST = 'last'  # the file in which a process notes which input it reads


class Limits(NamedTuple):
  """Limits of a run; see the flags."""

  seconds: float
  count: int
  most_mb: int = 2000
  longest_s: float = 120.
  most_faults: int = 1


def main(argv: list[str]) -> None:
  """Runs the entries one after another.

  Raises:
    UserError: an input got a wrong answer; its number is printed.
  """
  del argv
  prepare()
  limits = Limits(_FLAGS.seconds, _FLAGS.count, _FLAGS.most_mb, _FLAGS.longest_s, _FLAGS.most_faults)
  found = {name: run(name, _FLAGS.seed, _FLAGS.first, limits) for name in _FLAGS.entries or entries.ENTRIES}
  print(json.dumps(found))
  faults = [f'{name}, input {fault["input"]}: {fault["text"]}' for name in found for fault in found[name]['faults']]
  if faults:
    raise UserError('; '.join(faults))


def prepare() -> None:
  """Imports what entries need, once, before they are forked."""
  configuration.register_configurables()


def run(name: str, seed: int, first: int, limits: Limits) -> dict[str, Any]:
  """Runs one entry in processes of its own.

  Args:
    name: of the entry.
    seed: of all inputs.
    first: number of the first input.
    limits: of the run.

  Returns:
    `next`, the number of the input after the last one; the counts `inputs`, `refused` and `read`; `faults`, objects
    with `input` and `text`; `peak_mb`; and `seconds` without the time that preparing the entry took.
  """
  total = collections.Counter({'inputs': 0, 'refused': 0, 'read': 0})
  faults, number, seconds, peak_mb = [], first, 0., 0
  while number < first + limits.count and seconds < limits.seconds and len(faults) < limits.most_faults:
    left = limits._replace(seconds=limits.seconds - seconds, count=first + limits.count - number,
                           most_faults=limits.most_faults - len(faults))
    found = _in_child(name, seed, number, left)
    number, seconds, peak_mb = found['next'], seconds + found['seconds'], max(peak_mb, found['peak_mb'])
    total.update(found['counts'])
    faults += found['faults']
  return {'next': number, **total, 'faults': faults, 'peak_mb': peak_mb, 'seconds': round(seconds, 1)}


def _in_child(name: str, seed: int, first: int, limits: Limits) -> dict[str, Any]:
  """Runs an entry in a process made by fork, up to its end or the first fault after which it cannot go on."""
  with tempfile.TemporaryDirectory() as folder:
    answer, log = os.path.join(folder, 'answer.json'), os.path.join(folder, 'log')
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
      _child(name, seed, first, limits, folder, answer, log)
    _, status = os.waitpid(child, 0)
    if os.path.exists(answer):
      with open(answer, encoding='utf-8') as file:
        return json.load(file)
    with open(log, encoding='utf-8', errors='replace') as file:
      said = file.read()[-6000:]
    try:
      with open(os.path.join(folder, _LAST), encoding='utf-8') as file:
        last, begun, counts = json.loads(file.read())
    except (OSError, ValueError):
      raise RuntimeError(f'{name} cannot be prepared: {said}') from None
    ended = f'signal {os.WTERMSIG(status)}' if os.WIFSIGNALED(status) else f'exit status {os.WEXITSTATUS(status)}'
    return {'next': last + 1, 'counts': {**counts, 'inputs': counts['inputs'] + 1}, 'seconds': time.time() - begun,
            'peak_mb': 0, 'faults': [{'input': last, 'text': f'the process ended: {ended}: {said}'}]}


def _child(name: str, seed: int, first: int, limits: Limits, folder: str, answer: str, log: str) -> None:
  """What the process of an entry does; it never returns."""
  status = 1
  try:
    with open(log, 'w', encoding='utf-8') as file:
      for stream in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(file.fileno(), stream)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    faulthandler.enable()
    work = os.path.join(folder, 'work')
    os.mkdir(work)
    found = _run_here(entries.ENTRIES[name](work), name, seed, first, limits, os.path.join(folder, _LAST))
    with open(f'{answer}.tmp', 'w', encoding='utf-8') as file:
      json.dump(found, file)
    os.replace(f'{answer}.tmp', answer)
    status = 0
  finally:
    sys.stderr.flush()
    if status:
      sys.excepthook(*sys.exc_info())
      sys.stderr.flush()
    os._exit(status)


def _run_here(entry: Entry, name: str, seed: int, first: int, limits: Limits, note: str) -> dict[str, Any]:
  """Runs an entry in this process; see `run`."""
  counts, faults = collections.Counter({'inputs': 0, 'refused': 0, 'read': 0}), []
  entry.check()
  before, untouched, begun, number = _peak_mb(), _state(), time.time(), first
  _limit_address_space()
  with open(note, 'w', encoding='utf-8') as last:
    while number < first + limits.count and time.time() - begun < limits.seconds and len(faults) < limits.most_faults:
      _write_over(last, [number, begun, counts])
      faulthandler.dump_traceback_later(limits.longest_s, exit=True)
      case = entry(random.Random(f'{seed} {name} {number}'))
      kind, text = _answer(case)
      faulthandler.cancel_dump_traceback_later()
      counts.update(['inputs', kind] if kind else ['inputs'])
      grown, is_same = _peak_mb() - before, _state() == untouched
      text = text or (f'{grown} MB of memory' if grown > limits.most_mb else
                      None if is_same else 'the process is another one')
      if text:
        faults.append({'input': number, 'text': text})
      number += 1
      if grown > limits.most_mb or not is_same:
        break
  return {'next': number, 'counts': counts, 'faults': faults, 'seconds': time.time() - begun,
          'peak_mb': _peak_mb() - before}


def _answer(case: Case) -> tuple[Optional[str], Optional[str]]:
  """('read' or 'refused', None), or (None, what is wrong)."""
  try:
    case.read()
    return 'read', None
  except UserError as error:
    text = str(error)
    if _ran_out_of_memory(error):
      return None, f'refused only because memory could not be had: {text!r}'
    if '\n' in text or '\r' in text or len(text) > _LONGEST_LINE:
      return None, f'not one line of at most {_LONGEST_LINE} characters: {text!r}'
    if not any(name in text for name in case.names):
      return None, f'no file in {text!r}'
    return 'refused', None
  except AssertionError as error:
    return None, str(error) or f'AssertionError ({_innermost(error)})'
  except Exception as error:
    place = _innermost(error)
    return None, f'{type(error).__name__}: {str(error)[:500]} ({place})'
  finally:
    gin.clear_config()


def _innermost(error: Exception) -> str:
  """The innermost line of this repository in an exception's traceback."""
  trace, place = error.__traceback__, ''
  while trace:
    path = trace.tb_frame.f_code.co_filename
    if any(f'/{package}/' in path for package in ('dhpe_tf', 'data_tools')) and 'site-packages' not in path:
      place = f'{path.rsplit("/", 1)[-1]}:{trace.tb_lineno}'
    trace = trace.tb_next
  return place


def _ran_out_of_memory(error: Optional[BaseException]) -> bool:
  """Whether an exception, or one that it came from, is a MemoryError; FFmpeg's own limits of sizes raise one too."""
  while error is not None:
    if isinstance(error, MemoryError) and not type(error).__module__.startswith('av'):
      return True
    error = error.__cause__ or error.__context__
  return False


def _limit_address_space() -> None:
  """Lets this process have _ADDRESS_SPACE more than now."""
  with open('/proc/self/statm', encoding='utf-8') as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
  resource.setrlimit(resource.RLIMIT_AS, (now + _ADDRESS_SPACE, resource.RLIM_INFINITY))


def _write_over(file, content: Any) -> None:
  """Writes JSON over what a file holds."""
  file.seek(0)
  file.write(json.dumps(content).ljust(200))
  file.flush()


def _peak_mb() -> int:
  """Largest memory of this process so far."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _state() -> list:
  """What a pickle might change: the functions and classes that its names stand for, and the process itself."""
  called = [call for call in restricted_pickle._CALLS.values() if call is not None]
  return [[(id(call), sorted(vars(call))) for call in called], os.getcwd(), len(os.environ), len(sys.path)]


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
