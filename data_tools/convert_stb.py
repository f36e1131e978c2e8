"""Converts STB (Zhang et al. 2017; SHD in the paper) to records.

  python -m data_tools.convert_stb --input=STB --output=records/stb

--input holds images/ and labels/. The defaults are both pictures of the stereo camera, and the palm as keypoint 0.
"""

from absl import flags

from data_tools import conversion
from data_tools.readers import stb
from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
conversion.define_flags(_FLAGS)
flags.DEFINE_list('pictures', ['bb_left', 'bb_right'], f'which pictures, of {", ".join(stb.PICTURES)}; each goes with '
                  'its own labels', flag_values=_FLAGS)
flags.DEFINE_enum('first_keypoint', 'palm', stb.FIRST_KEYPOINTS, 'what keypoint 0 is; STB labels the palm, others '
                  'estimate a wrist from it', flag_values=_FLAGS)


def main(argv: list[str]) -> None:
  """Converts the dataset in --input to records in --output."""
  del argv
  conversion.convert(stb.StbReader(_FLAGS.input, _FLAGS.pictures, _FLAGS.first_keypoint), _FLAGS)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
