"""Loads SavedModels that others made."""
import os
from typing import Any

import tensorflow as tf

from dhpe_tf import files
from dhpe_tf.errors import naming

_MOST_GRAPH_BYTES = 1 << 31  # protocol buffers hold no more
_MOST_WEIGHT_BYTES = 1 << 36


def load(folder: str, remedy: str) -> Any:
  """Loads a SavedModel after a look at what lies in the places of its files: TensorFlow reads pipes and devices too.

  Args:
    folder: of the version.
    remedy: the end of the message about a damaged one.

  Raises:
    UserError: a file is missing, damaged, a pipe or device, or too large.
  """
  # Files of any content, which TensorFlow checks only in part, raise exceptions of any kind.
  with naming(f'{folder}: not a complete export', remedy, Exception):
    _check_files(folder, _MOST_GRAPH_BYTES, remedy)
    _check_files(os.path.join(folder, 'variables'), _MOST_WEIGHT_BYTES, remedy)
    return tf.saved_model.load(folder)


def _check_files(folder: str, most_bytes: int, remedy: str) -> None:
  """Raises a UserError for what is neither a folder nor a plain file of limited size."""
  for name in sorted(os.listdir(folder)):
    path = os.path.join(folder, name)
    if not os.path.isdir(path):
      files.check_input(path, most_bytes, remedy)
