"""Converts the published 2D network of Zimmermann and Brox (ICCV 2017), the paper's start, to a plain npz file.

  python -m data_tools.convert_posenet --input=weights/posenet3d-rhd-stb-slr-finetuned.pickle --output=posenet.npz
  python -m dhpe_tf.train --gin_file=rhd.gin --gin_param="pose_machine.weights = 'posenet.npz'" --model_dir=runs/rhd

Its authors distribute the weights with their code (lmb-freiburg/hand3d, GPL-2.0; research use), as a pickle of a
dictionary of arrays, which is read without running it. Their keypoints run from the tip to the base of each finger and
begin with the palm; the output has this package's order.
"""
from absl import flags

from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
flags.DEFINE_string('input', None, 'A pickle of theirs that holds PoseNet2D.', flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'File to write, ending in .npz.', flag_values=_FLAGS)
flags.mark_flags_as_required(['input', 'output'], _FLAGS)


def main(argv: list[str]) -> None:
  """Reads the weights of --input, sees whether they fit the paper's pose machine, and writes them to --output.

  Raises:
    UserError: the input is no such pickle or does not fit, or the output does not end in .npz.
  """
  del argv
  import numpy as np

  from data_tools import posenet
  from dhpe_tf.errors import UserError
  from dhpe_tf.files import atomic_path, check_output
  from dhpe_tf.networks import keypoint_net, stored_weights

  if not _FLAGS.output.endswith('.npz'):
    raise UserError(f'--output={_FLAGS.output} must end in .npz')
  check_output(_FLAGS.output, [_FLAGS.input])
  arrays = posenet.convert(posenet.read(_FLAGS.input), _FLAGS.input)
  stored_weights.assign(keypoint_net.pose_machine(posenet.IMAGE_SIZE), arrays, _FLAGS.input)
  with atomic_path(_FLAGS.output) as temporary:
    np.savez_compressed(temporary, **arrays)
  print(f'wrote {_FLAGS.output}: {sum(array.size for array in arrays.values())} numbers in {len(arrays)} arrays')


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
