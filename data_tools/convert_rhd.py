"""Converts RHD (RHD_published_v2, Zimmermann and Brox 2017) to records.

  python -m data_tools.convert_rhd --input=RHD_published_v2 --output=records/rhd

The defaults follow the paper: the hand with more mask pixels, and the palm as keypoint 0.
"""

from absl import flags

from data_tools import conversion
from data_tools.readers import base, rhd
from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
conversion.define_flags(_FLAGS)
flags.DEFINE_enum('hand', 'mask', rhd.HANDS, 'which hand of a picture: the one with more mask pixels, the one with '
                  'more visible keypoints, or both', flag_values=_FLAGS)
flags.DEFINE_enum('first_keypoint', 'palm', base.PALM_OR_WRIST, 'what keypoint 0 is; RHD labels the wrist, the paper '
                  'counts the palm', flag_values=_FLAGS)
flags.DEFINE_integer('min_visible', 0, 'leave out hands with fewer visible keypoints', lower_bound=0,
                     flag_values=_FLAGS)


def main(argv: list[str]) -> None:
  """Converts the dataset in --input to records in --output."""
  del argv
  reader = rhd.RhdReader(_FLAGS.input, _FLAGS.hand, _FLAGS.first_keypoint, _FLAGS.min_visible)
  conversion.convert(reader, _FLAGS)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
