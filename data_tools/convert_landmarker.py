"""Converts the two networks of MediaPipe Hands from mediapipe's wheel to the npz files that dhpe_tf ships.

  pip download mediapipe==0.10.21 --no-deps
  python -m data_tools.convert_landmarker --wheel=mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl

Before a file is written, the Keras model with these weights is compared with TensorFlow Lite's interpreter on the
original. The weights are float16 in the original and stay so.
"""
import os

import numpy as np
from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path

_FLAGS = flags.FlagValues()
flags.DEFINE_string('wheel', None, 'The wheel of mediapipe 0.10.21, of any platform.', flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'Folder for hand_landmarks.npz and palm_detection.npz; empty: where the package '
                    'looks for them.', flag_values=_FLAGS)
flags.mark_flag_as_required('wheel', _FLAGS)

TOLERANCE = 1e-3  # largest difference from the interpreter, in the outputs' own units (px, m, logits, probabilities)


def main(argv: list[str]) -> None:
  """Converts both networks of --wheel, compares both with TensorFlow Lite, and then writes them to --output.

  Raises:
    UserError: a wrong wheel, or the Keras models disagree with TensorFlow Lite; nothing is written then. Or a file
      cannot be written.
  """
  del argv
  from data_tools import landmarker
  converted = []
  for source in landmarker.SOURCES:
    content = landmarker.read_file(_FLAGS.wheel, source.path)
    model, arrays = landmarker.convert(content, source, _FLAGS.wheel)
    error = landmarker.difference(model, content, source, _FLAGS.wheel)
    if not error <= TOLERANCE:
      raise UserError(f'{source.path}: the Keras model differs from TensorFlow Lite by {error:.2g}; nothing written')
    converted.append((source.weights, arrays, error))
  for weights, arrays, error in converted:
    path = os.path.join(_FLAGS.output, weights.name) if _FLAGS.output else str(weights)
    with atomic_path(path) as temporary:
      np.savez_compressed(temporary, **arrays)
    print(f'wrote {path}: {sum(array.size for array in arrays.values())} numbers, {os.path.getsize(path)} bytes; '
          f'differs from TensorFlow Lite by at most {error:.2g}')


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
