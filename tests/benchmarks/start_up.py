"""Times the start of every command: `python -m tests.benchmarks.start_up`.

For each it starts a process that imports the module, and one that prints --help, and takes the fastest of some calls.
With --photograph it times `predict` on that photograph too, from its start to its results.
"""
import pathlib
import subprocess
import sys
import tempfile
import time

from absl import app, flags

_CALLS = flags.DEFINE_integer('calls', 5, 'Calls of each, of which the fastest counts.', lower_bound=1)
_PHOTOGRAPH = flags.DEFINE_string('photograph', None, 'Photograph for predict.')

ROOT = pathlib.Path(__file__).parent.parent.parent
TARGET_S, FIRST_TARGET_S = 0.5, 10


def commands() -> list[str]:
  """The names of all modules that are run from the command line."""
  files = [path for room in ('dhpe_tf', 'data_tools') for path in
           [*sorted((ROOT / room).glob('*.py')), *sorted((ROOT / room).glob('*/__main__.py'))]]
  found = [path for path in files if 'command_line.run(main' in path.read_text(encoding='utf-8')]
  return ['.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__main__') for path in found]


def measure(module: str, calls: int) -> tuple[float, float]:
  """Seconds of a process that imports a module, and of one that prints its --help."""
  return _fastest(['-c', f'import {module}'], calls), _fastest(['-m', module, '--help'], calls)


def _fastest(arguments: list[str], calls: int) -> float:
  """Seconds of the fastest of some runs of Python."""
  times_s = []
  for _ in range(calls):
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    times_s.append(time.perf_counter() - start)
  return min(times_s)


def main(argv: list[str]) -> None:
  """Prints a table of seconds."""
  del argv
  print(f'| command | import, s | --help, s | target {TARGET_S} s |\n| --- | --- | --- | --- |')
  for module in commands():
    import_s, help_s = measure(module, _CALLS.value)
    print(f'| {module} | {import_s:.2f} | {help_s:.2f} | {"met" if help_s < TARGET_S else "missed"} |')
  if _PHOTOGRAPH.value:
    with tempfile.TemporaryDirectory() as folder:
      first_s = _fastest(['-m', 'dhpe_tf.predict', f'--input={_PHOTOGRAPH.value}', f'--output={folder}'], _CALLS.value)
    print(f'\npredict on a photograph: {first_s:.1f} s, target {FIRST_TARGET_S} s')


if __name__ == '__main__':
  app.run(main)
