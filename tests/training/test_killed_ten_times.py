"""A training that is killed again and again ends as if nothing had been."""
import json
import random
import signal
import subprocess
import sys

import pytest

# Arguments: model_dir, and the step and delay of the kill.
PROGRAM = '''
import sys
from tests.training import tiny
killers = [lambda *_: tiny.KillAt(int(sys.argv[2]), float(sys.argv[3]))] if len(sys.argv) > 2 else []
tiny.trainer(sys.argv[1], epochs=10, checkpoint_steps=3, callbacks=killers).run()
'''
STEPS = 60
KILLS = 10


def run(*arguments):
  return subprocess.run([sys.executable, '-c', PROGRAM, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.slow
def test_ten_kills_change_nothing(tmp_path):
  assert run(tmp_path / 'unbroken').returncode == 0
  chance = random.Random(4)
  # Up to 10 ms after a step: within the next steps, a save or an evaluation.
  for step in sorted(chance.sample(range(1, STEPS - 25), KILLS)):
    done = run(tmp_path / 'broken', step, chance.uniform(0.001, 0.01))
    assert done.returncode == -signal.SIGKILL, (step, done.stderr[-2000:])
  done = run(tmp_path / 'broken')
  assert done.returncode == 0, done.stderr[-2000:]
  broken, unbroken = (json.loads((tmp_path / name / 'final').read_text()) for name in ('broken', 'unbroken'))
  assert broken['step'] == unbroken['step'] == STEPS
  # The mean loss of the last epoch covers the steps since the last start only; the evaluation covers everything.
  assert broken['val_loss'] == pytest.approx(unbroken['val_loss'], rel=1e-6)
