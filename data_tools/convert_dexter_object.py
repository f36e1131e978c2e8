"""Converts Dexter+Object (Sridhar et al. 2016) to records, for evaluation by the protocol paper-do.

  python -m data_tools.convert_dexter_object --input=dexter+object --output=records/dexter_object

Only fingertips are labelled.
"""

from absl import flags

from data_tools import conversion
from data_tools.readers import dexter_object
from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
conversion.define_flags(_FLAGS, splits=('eval',))
flags.DEFINE_enum('labels', 'original', dexter_object.LABELS, 'the published labels, or the files my_*3D.txt of a '
                  'later reimplementation', flag_values=_FLAGS)


def main(argv: list[str]) -> None:
  """Converts the dataset in --input to records in --output."""
  del argv
  conversion.convert(dexter_object.DexterObjectReader(_FLAGS.input, _FLAGS.labels), _FLAGS)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
