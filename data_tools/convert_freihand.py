"""Converts FreiHAND version 2 (Zimmermann et al. 2019) to records.

  python -m data_tools.convert_freihand --input=FreiHAND_pub_v2 --output=records/freihand

--input holds training/, evaluation/ and the JSON files; the evaluation labels are a separate download. Without them
--noevaluation_labels converts the evaluation pictures for a submission to the challenge.
"""

from absl import flags

from data_tools import conversion
from data_tools.readers import freihand
from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
conversion.define_flags(_FLAGS)
flags.DEFINE_list('versions', list(freihand.VERSIONS), 'backgrounds of the training pictures: gs is the green screen, '
                  'the others have it replaced', flag_values=_FLAGS)
flags.DEFINE_string('mano_model', None, 'MANO_RIGHT.pkl, to write MANO\'s pose and shape as well', flag_values=_FLAGS)
flags.DEFINE_boolean('evaluation_labels', True, 'read the labels of evaluation pictures; without them records hold the '
                     'whole picture and its camera', flag_values=_FLAGS)


def main(argv: list[str]) -> None:
  """Converts the dataset in --input to records in --output."""
  del argv
  reader = freihand.FreihandReader(_FLAGS.input, _FLAGS.versions, _FLAGS.mano_model, _FLAGS.evaluation_labels)
  conversion.convert(reader, _FLAGS)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
