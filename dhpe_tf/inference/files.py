"""Finds the pictures to predict from."""
import os

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError


def list_pictures(path: str) -> list[str]:
  """Returns the path itself if it is a file, or the pictures in the folder, sorted by name.

  Raises:
    UserError: the path does not exist, or the folder holds no picture.
  """
  if not os.path.exists(path):
    raise UserError(f'{path}: no such file or folder.')
  if not os.path.isdir(path):
    return [path]
  found = [os.path.join(path, name) for name in sorted(os.listdir(path))
           if name.lower().endswith(image_files.EXTENSIONS) and not name.startswith('.')]
  if not found:
    raise UserError(f'{path}: no picture in this folder ({", ".join(image_files.EXTENSIONS)}).')
  return found
