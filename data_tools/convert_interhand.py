"""Converts InterHand2.6M (Moon et al. 2020) to records, one for each hand in a picture.

  python -m data_tools.convert_interhand --input=InterHand2.6M_5fps_batch1 --output=records/interhand

The dataset's test split becomes the split eval.
"""

from absl import flags

from data_tools import conversion
from data_tools.readers import interhand
from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
conversion.define_flags(_FLAGS, tuple(interhand.SPLITS))
flags.DEFINE_enum('hands', 'all', interhand.HANDS, 'which pictures: all, those of a single hand, or those of two '
                  'interacting hands', flag_values=_FLAGS)


def main(argv: list[str]) -> None:
  """Converts the dataset in --input to records in --output."""
  del argv
  conversion.convert(interhand.InterhandReader(_FLAGS.input, _FLAGS.hands), _FLAGS)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
