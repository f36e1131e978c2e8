"""Converts your own MANO file to a plain npz file that needs neither pickle nor chumpy.

  python -m data_tools.convert_mano --input=mano_v1_2/models/MANO_RIGHT.pkl --output=mano_right.npz

MANO is licensed by its authors (https://mano.is.tue.mpg.de, non-commercial, no redistribution): get it from them, and
do not pass the output on. The npz has MANO's array names and an additional keypoint regressor.
"""
from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path, check_output
from dhpe_tf.hand.model_files import TIP_VERTICES

if TYPE_CHECKING:
  from dhpe_tf.hand.hand_model import HandModel

_FLAGS = flags.FlagValues()
flags.DEFINE_string('input', None, 'MANO_RIGHT.pkl or MANO_LEFT.pkl as its authors distribute it.', flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'File to write, ending in .npz.', flag_values=_FLAGS)
flags.DEFINE_enum('side', 'right', ['right', 'left'], 'Which hand the input holds.', flag_values=_FLAGS)
flags.DEFINE_string('tip_vertices', 'boukhayma', 'Whose choice of fingertip vertices makes the tip keypoints: '
                    f'{", ".join(TIP_VERTICES)}.', flag_values=_FLAGS)
flags.mark_flags_as_required(['input', 'output'], _FLAGS)

LICENCE = 'MANO licence, https://mano.is.tue.mpg.de/license.html: non-commercial, no redistribution'


def stored_arrays(model: HandModel) -> dict[str, np.ndarray]:
  """Returns a hand model's arrays by MANO's names, which `load_hand_model` reads."""
  return {
      'v_template': model.v_template, 'f': model.faces, 'shapedirs': model.shapedirs, 'posedirs': model.posedirs,
      'J_regressor': model.joint_regressor, 'weights': model.weights,
      'kintree_table': np.array([model.parents, range(len(model.parents))]), 'hands_mean': model.hands_mean,
      'hands_components': model.hands_components, 'keypoint_regressor': model.keypoint_regressor}


def main(argv: list[str]) -> None:
  """Reads the MANO file of --input and writes its arrays to --output.

  Raises:
    UserError: the input is no MANO file, or the output does not end in .npz.
  """
  del argv
  from dhpe_tf.hand.hand_model import load_hand_model
  if not _FLAGS.output.endswith('.npz'):
    raise UserError(f'--output={_FLAGS.output} must end in .npz')
  check_output(_FLAGS.output, [_FLAGS.input])
  model = load_hand_model(_FLAGS.input, side=_FLAGS.side, tip_vertices=_FLAGS.tip_vertices)
  text = {'side': model.side, 'name': model.name, 'version': model.description['version'], 'licence': LICENCE,
          'source': os.path.basename(_FLAGS.input)}
  with atomic_path(_FLAGS.output) as temporary:
    np.savez_compressed(temporary, **stored_arrays(model), **{name: np.array(value) for name, value in text.items()})
  print(f'wrote {_FLAGS.output}: {model.side} hand, {model.num_vertices} vertices, '
        f'version {model.description["version"]}, fingerprint {model.fingerprint}, '
        f'fingertips as {_FLAGS.tip_vertices} has them')


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
