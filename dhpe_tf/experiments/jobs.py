"""Runs trainings as parallel, resumable subprocesses; one failure does not stop the others."""
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple, Optional

from tqdm import tqdm

from dhpe_tf import json_files
from dhpe_tf.errors import UserError, naming
from dhpe_tf.files import atomic_path

LOG = 'log.txt'
_RECORD = 'job.json'
_POLL_SECONDS = 0.2


class Job(NamedTuple):
  """A sequence of commands.

  Attributes:
    name: shown in the progress.
    folder: receives the log and notes of the finished commands.
    commands: arguments after `python -m`, one tuple for each command.
    configuration: everything else that determines the first command's result; a folder with another one is refused.
  """

  name: str
  folder: str
  commands: tuple[tuple[str, ...], ...]
  configuration: str = ''


class _Running(NamedTuple):
  """A job under way.

  Attributes:
    job: the job.
    process: runs the command.
    log: file that receives its output.
    number: index of the command.
    since: start of the command by the monotonic clock, seconds.
  """

  job: Job
  process: subprocess.Popen
  log: IO[str]
  number: int
  since: float


def commands_done(job: Job) -> int:
  """Returns how many commands of a job are already finished.

  Raises:
    UserError: the folder belongs to a job with another configuration or first command.
  """
  path = os.path.join(job.folder, _RECORD)
  if not os.path.exists(path):
    return 0
  with naming(path, 'remove the folder, or choose another one.', KeyError, TypeError, IndexError):
    record = json_files.read_object(path, 'remove the folder, or choose another one.')
    before = [tuple(command) for command in record['commands']]
    if record['configuration'] != job.configuration or before[0] != job.commands[0]:
      raise UserError(f'{job.folder} was made with other settings; remove it, or choose another folder.')
    same = [old == new for old, new in zip(before[:record['done']], job.commands)]
  return same.index(False) if False in same else len(same)


def run(jobs: Sequence[Job], at_once: int = 1, on_done: Optional[Callable[[Job], str]] = None,
        show_progress: bool = True) -> dict[str, str]:
  """Runs the unfinished commands of jobs in parallel; one failure does not stop the others.

  Args:
    jobs: started in this order.
    at_once: number of jobs that run at the same time; they share the cores evenly.
    on_done: called with each finished job, also with those that were finished before; its text is shown.
    show_progress: whether to show a bar.

  Returns:
    Error message by name of each failed job; the log in its folder holds the full output.

  Raises:
    UserError: a folder belongs to another job.
  """
  waiting = [(job, commands_done(job)) for job in jobs]
  running: list[_Running] = []
  faults: dict[str, str] = {}
  # The bar moves every second on a terminal; a log file gets a line every minute.
  interval = 1. if sys.stderr.isatty() else 60.
  with tqdm(total=len(jobs), unit='training', disable=not show_progress, mininterval=interval, miniters=0) as bar:

    def settle(job: Job, text: str) -> None:
      """Advances the bar by a finished job and writes a line about it."""
      bar.update()
      bar.write(f'{job.name}: {text}')
    try:
      while waiting or running:
        while waiting and len(running) < at_once:
          job, number = waiting.pop(0)
          if number == len(job.commands):
            settle(job, f'done before{_told(on_done, job)}')
          else:
            running.append(_start(job, number, min(at_once, len(running) + len(waiting) + 1)))
        for each in list(running):
          if each.process.poll() is None:
            continue
          running.remove(each)
          each.log.close()
          if each.process.returncode:
            faults[each.job.name] = _fault(each)
            settle(each.job, faults[each.job.name])
            continue
          _note(each.job, each.number + 1)
          if each.number + 1 < len(each.job.commands):
            running.append(_start(each.job, each.number + 1, min(at_once, len(running) + len(waiting) + 1)))
          else:
            settle(each.job, f'done{_told(on_done, each.job)}')
        bar.set_postfix_str(', '.join(f'{each.job.name} {_progress(each)}' for each in running), refresh=False)
        bar.update(0)
        time.sleep(_POLL_SECONDS)
    finally:
      _end(running)
  return faults


def _told(on_done: Optional[Callable[[Job], str]], job: Job) -> str:
  """Text of `on_done` after a comma, or an empty text."""
  return f', {on_done(job)}' if on_done else ''


def _start(job: Job, number: int, beside: int) -> _Running:
  """Starts command `number` of a job, one of `beside` at the same time; its output goes to the job's log."""
  _note(job, number)
  log = open(os.path.join(job.folder, LOG), 'a', encoding='utf-8')
  environment = dict(os.environ)
  if beside > 1:
    threads = str(max((os.cpu_count() or 1) // beside, 1))
    environment.update(TF_NUM_INTRAOP_THREADS=threads, TF_NUM_INTEROP_THREADS=threads, OMP_NUM_THREADS=threads)
  process = subprocess.Popen([sys.executable, '-m', *job.commands[number]], stdout=log, stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, env=environment)
  return _Running(job, process, log, number, time.monotonic())


def _note(job: Job, done: int) -> None:
  """Writes the number of finished commands into the job's folder."""
  with atomic_path(os.path.join(job.folder, _RECORD)) as path, open(path, 'w', encoding='utf-8') as file:
    json.dump({'commands': job.commands, 'configuration': job.configuration, 'done': done}, file, indent=1)


def _last_output(job: Job, size: int = 4000) -> str:
  """The last `size` bytes of a job's log as text."""
  with open(os.path.join(job.folder, LOG), 'rb') as file:
    file.seek(0, os.SEEK_END)
    file.seek(max(file.tell() - size, 0))
    return file.read().decode(errors='replace')


def _progress(running: _Running) -> str:
  """Name of the running program with the last percentage it printed, or else the seconds since its start."""
  percentages = re.findall(r'(\d+)%\|', _last_output(running.job))
  program = running.job.commands[running.number][0].rpartition('.')[2]
  return f'{program} {percentages[-1]}%' if percentages else f'{program} {time.monotonic() - running.since:.0f} s'


def _fault(running: _Running) -> str:
  """Returns one line that says why a command failed."""
  lines = [line.strip() for line in _last_output(running.job).splitlines() if line.strip()]
  reason = lines[-1].removeprefix('error: ') if lines else 'no output'
  program = running.job.commands[running.number][0]
  return f'{program} ended with status {running.process.returncode}: {reason} (log: {running.job.folder}/{LOG})'


def _end(running: Sequence[_Running]) -> None:
  """Terminates the running processes and waits for them; a training first saves a checkpoint."""
  for each in running:
    each.process.terminate()
  for each in running:
    each.process.wait()
    each.log.close()
