"""The measuring of commands, on a program that needs no TensorFlow; `python -m tests.fuzz.memory` measures ours."""

import pytest

from tests.fuzz import memory, memory_datasets

_PROGRAM = '''
import sys, time
kind = open(sys.argv[1]).read()
if kind == 'large':
  held = b'x' * (300 << 20)
if kind == 'fault':
  1 / 0
if kind == 'slow':
  time.sleep(60)
print('read', kind)
sys.exit(kind == 'refused')
'''


@pytest.mark.parametrize('kind, status, is_right', [('good', 0, True), ('large', 0, True), ('refused', 1, True),
                                                    ('fault', 1, False), ('slow', -9, False)])
def test_a_command_is_measured(tmp_path, monkeypatch, kind, status, is_right):
  (tmp_path / 'program.py').write_text(_PROGRAM)
  (tmp_path / 'input').write_text(kind)
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  held = bytearray(b'x') * (400 << 20)  # which does not count for the command
  memory._FLAGS(['memory', f'--longest_s={1 if kind == "slow" else 60}'])
  found = memory._measure(str(tmp_path), str(tmp_path), 'program', '{x}', 'input')
  del held
  assert (found.status, found.is_right) == (status, is_right)
  assert (found.peak_mb > 300) == (kind == 'large')
  assert found.said.endswith({'fault': 'division by zero', 'slow': ''}.get(kind, f'read {kind}'))


def test_every_input_of_a_command_is_written():
  """By the names in the source, because writing them takes minutes."""
  with open(memory.__file__.replace('memory.py', 'memory_files.py'), encoding='utf-8') as file:
    source = file.read()
  datasets = [name for dataset in memory_datasets.DATASETS for name in (dataset, *memory.dataset(dataset)[1])]
  for _, _, good, hostile in memory.COMMANDS.values():
    for name in (good, *hostile):
      stem = name.removeprefix('photographs_').removesuffix('.jsonl').removeprefix('records_').removeprefix('rhd_')
      assert stem.partition('.')[0] in source or name in datasets, name
