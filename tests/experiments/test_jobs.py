import json
import os
import subprocess
import sys
import time

import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.experiments import jobs

# What the jobs run: notes when it began and ended, and prints a bar. `--fail` fails, `--wait` waits to be ended,
# `--meet` waits until two have begun.
PROGRAM = '''
import os, signal, sys, time
name, folder, *flags = sys.argv[1:]
def note(what):
  with open(os.path.join(folder, 'order'), 'a') as file:
    file.write(f'{what} {name}\\n')
note('begin')
print(' 40%|####', flush=True)
if '--wait' in flags:
  signal.signal(signal.SIGTERM, lambda *_: (note('saved'), sys.exit(1)))
  open(os.path.join(folder, 'waiting'), 'w').close()
  time.sleep(60)
while '--meet' in flags and open(os.path.join(folder, 'order')).read().count('begin') < 2:
  time.sleep(0.05)
if '--fail' in flags:
  print('error: out of luck', file=sys.stderr)
  sys.exit(3)
note(os.environ.get('TF_NUM_INTRAOP_THREADS', '-'))
note('end')
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
  (tmp_path / 'noting.py').write_text(PROGRAM)
  monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=os.pathsep)
  monkeypatch.delenv('TF_NUM_INTRAOP_THREADS', raising=False)
  return tmp_path


def job(folder, name, *flags, commands=1, configuration=''):
  steps = tuple(('noting', f'{name}{number}', str(folder), *flags) for number in range(commands))
  return jobs.Job(name, str(folder / name), steps, configuration)


def order(folder):
  lines = (folder / 'order').read_text().splitlines()
  (folder / 'order').unlink()
  return lines


def test_commands_follow_one_another_and_are_not_done_twice(folder):
  told = []
  todo = [job(folder, 'a', commands=2), job(folder, 'b')]
  assert jobs.run(todo, on_done=lambda each: told.append(each.name) or 'fine', show_progress=False) == {}
  assert order(folder) == ['begin a0', '- a0', 'end a0', 'begin a1', '- a1', 'end a1', 'begin b0', '- b0', 'end b0']
  assert jobs.run(todo, on_done=lambda each: told.append(each.name) or 'fine', show_progress=False) == {}
  assert told == ['a', 'b', 'a', 'b'] and not (folder / 'order').exists()
  # Another command at the end is all that is left to do.
  assert jobs.run([job(folder, 'b', commands=2)], show_progress=False) == {}
  assert order(folder) == ['begin b1', '- b1', 'end b1']


def test_where_one_fails_the_others_go_on_and_it_is_tried_again(folder, capsys):
  todo = [job(folder, 'bad', '--fail'), job(folder, 'good')]
  faults = jobs.run(todo)
  assert list(faults) == ['bad'] and 'noting ended with status 3: out of luck' in faults['bad']
  assert 'out of luck' in (folder / 'bad' / jobs.LOG).read_text()
  assert order(folder) == ['begin bad0', 'begin good0', '- good0', 'end good0']
  assert 'bad: noting ended with status 3' in capsys.readouterr().out
  assert list(jobs.run(todo, show_progress=False)) == ['bad'] and order(folder) == ['begin bad0']


def test_two_at_a_time_share_the_cores(folder):
  # One at a time, the first would wait for ever.
  jobs.run([job(folder, 'a', '--meet'), job(folder, 'b', '--meet')], at_once=2, show_progress=False)
  threads = max(os.cpu_count() // 2, 1)
  assert {f'{threads} a0', f'{threads} b0'} <= set(order(folder))


def test_a_folder_of_other_settings_is_refused(folder):
  jobs.run([job(folder, 'a', configuration='one')], show_progress=False)
  with pytest.raises(UserError, match='a was made with other settings'):
    jobs.run([job(folder, 'a', configuration='two')], show_progress=False)
  with pytest.raises(UserError, match='a was made with other settings'):
    jobs.commands_done(job(folder, 'a', '--else', configuration='one'))


def test_ended_itself_it_ends_its_programs_in_good_order(folder):
  program = f'''if True:
    import signal, sys
    from dhpe_tf.experiments import jobs
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    jobs.run([jobs.Job('a', {str(folder / "a")!r}, (('noting', 'a', {str(folder)!r}, '--wait'),))])
  '''
  process = subprocess.Popen([sys.executable, '-c', program], stderr=subprocess.DEVNULL)
  end = time.monotonic() + 60
  while not (folder / 'waiting').exists() and time.monotonic() < end:
    time.sleep(0.1)
  process.terminate()
  assert process.wait(timeout=30) != 0
  assert order(folder) == ['begin a', 'saved a']
  assert json.loads((folder / 'a' / 'job.json').read_text())['done'] == 0
