"""Sends a picture to the signature `predict_encoded` of an export, in a session as TensorFlow Serving has it.

  python -m tests.fuzz.memory_served exported/dhpe_hand/1 photo.jpg
"""
import sys

import numpy as np

from dhpe_tf.serving import native_session


def main() -> int:
  """Prints the score or the error."""
  session = native_session.NativeSession(sys.argv[1])
  with open(sys.argv[2], 'rb') as file:
    picture = file.read()
  try:
    found = session.run('predict_encoded', {'images': np.array([picture], object), 'is_left': np.zeros(1, bool),
                                            'boxes': np.zeros([1, 4], np.float32)})
  except ValueError as error:
    print('error:', str(error).splitlines()[0])
    return 1
  print('score', found['score'])
  return 0


if __name__ == '__main__':
  sys.exit(main())
