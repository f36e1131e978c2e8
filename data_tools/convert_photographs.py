"""Converts a folder of photographs without labels to records; each must show one hand that fills much of the picture.

  python -m data_tools.convert_photographs --input=photos --output=records/photos --side=right

For photographs with labels use convert_jsonl.
"""

from absl import flags

from data_tools import conversion
from data_tools.readers import photographs
from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
conversion.define_flags(_FLAGS, splits=None)
flags.DEFINE_enum('side', 'right', photographs.SIDES, 'the hand that the pictures show', flag_values=_FLAGS)
flags.DEFINE_float('eval_fraction', 0., 'share of the groups (subfolders, or single pictures) for the split eval',
                   flag_values=_FLAGS)


def main(argv: list[str]) -> None:
  """Converts the photographs in --input to records in --output; splits without pictures are left out."""
  del argv
  reader = photographs.PhotographsReader(_FLAGS.input, _FLAGS.side, _FLAGS.eval_fraction)
  splits = [split for split in photographs.SPLITS if reader.keys(split)]
  conversion.convert(reader, _FLAGS, splits=splits)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
