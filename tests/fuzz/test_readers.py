"""Changed files get right results or one-line errors; DHPE_FUZZ_SECONDS (20) is the time for all readers together."""
import json
import os
import subprocess
import sys

import pytest

from tests.fuzz import readers

SECONDS = float(os.environ.get('DHPE_FUZZ_SECONDS', '20'))
SEED = os.environ.get('DHPE_FUZZ_SEED', '0')


@pytest.mark.parametrize('entry', readers.ENTRIES)
def test_no_changed_file_gets_a_wrong_answer(entry):
  """In a process of its own, because the worst answer is the end of the process."""
  done = subprocess.run([sys.executable, '-m', 'tests.fuzz.readers', f'--entry={entry}', f'--seed={SEED}',
                         f'--seconds={SECONDS / len(readers.ENTRIES)}'], capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-3000:].rpartition('\r')[2] or done.stderr[-300:]
  counts = json.loads(done.stdout.splitlines()[-1])
  assert counts['inputs'] >= 20 and counts.get('refused', 0) > 0, counts
