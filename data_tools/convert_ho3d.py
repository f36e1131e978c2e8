"""Converts HO-3D version 2 or 3 (Hampali et al. 2020) to records.

  python -m data_tools.convert_ho3d --input=HO3D_v3 --output=records/ho3d

--input holds train/, evaluation/, train.txt, evaluation.txt and, if available, evaluation_xyz.json. Without the last
file only the wrist is labelled in evaluation pictures, which is enough for a submission to the challenge.
"""

from absl import flags

from data_tools import conversion
from data_tools.readers import ho3d
from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
conversion.define_flags(_FLAGS)
flags.DEFINE_boolean('mano_parameters', False, 'write MANO\'s pose and shape as well', flag_values=_FLAGS)


def main(argv: list[str]) -> None:
  """Converts the dataset in --input to records in --output."""
  del argv
  conversion.convert(ho3d.Ho3dReader(_FLAGS.input, _FLAGS.mano_parameters), _FLAGS)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
