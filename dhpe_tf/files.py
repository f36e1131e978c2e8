"""Atomic writing of files and folders: a partly written one is never visible under its final name."""
import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from typing import Union

from dhpe_tf.errors import UserError

PathLike = Union[str, 'os.PathLike[str]']


def remove(path: PathLike) -> None:
  """Removes a file, a link or a whole folder; does nothing if it does not exist."""
  if os.path.isdir(path) and not os.path.islink(path):
    shutil.rmtree(path)
  elif os.path.lexists(path):
    os.remove(path)


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[str]:
  """Yields a temporary path beside `path`, renamed to `path` if the block succeeds and removed if it fails.

  The block may create a file or a folder at the temporary path. An existing file or folder at `path` is replaced only
  after the new one is complete.

  Args:
    path: the final path; its parent folder is created if it is missing.

  Yields:
    The temporary path, in the same folder and so on the same file system.

  Raises:
    UserError: the operating system refused the write (disk full, no permission).
  """
  path = os.path.abspath(os.fspath(path))
  stem, ext = os.path.splitext(os.path.basename(path))
  # Keeps the file ending, because many writers choose the format by it.
  temporary = os.path.join(os.path.dirname(path), f'.{stem}.{uuid.uuid4().hex[:8]}.tmp{ext}')
  try:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    yield temporary
    if os.path.isdir(path):
      _replace_folder(temporary, path)
    else:
      os.replace(temporary, path)
  except OSError as error:
    raise UserError(f'cannot write {path}: {error.strerror or error}; nothing was left there. '
                    'Free some disk space or choose a writable place.') from error
  finally:
    remove(temporary)


def _replace_folder(new: str, old: str) -> None:
  """Renames folder `new` to `old`, replacing the folder there; one of the two is complete on disk at any moment."""
  aside = f'{new}.old'
  os.replace(old, aside)
  try:
    os.replace(new, old)
  except OSError:
    os.replace(aside, old)
    raise
  remove(aside)
