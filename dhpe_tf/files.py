"""Writing files so that no half-written one ever looks complete."""
import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from typing import Union

from dhpe_tf.errors import UserError

PathLike = Union[str, 'os.PathLike[str]']


def remove(path: PathLike) -> None:
  """Removes a file or a whole folder if it exists."""
  if os.path.isdir(path) and not os.path.islink(path):
    shutil.rmtree(path)
  elif os.path.lexists(path):
    os.remove(path)


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[str]:
  """Yields a temporary path beside `path`, renamed to `path` when the block succeeds and removed when it fails.

  The block may create a file or a folder there. An existing file is replaced; an existing folder is replaced too, after
  the new one is complete.

  Args:
    path: the final path; its parent folder is created if need be.

  Yields:
    The temporary path, in the same folder and so on the same file system.

  Raises:
    UserError: the operating system refused the write (disk full, no permission).
  """
  path = os.path.abspath(os.fspath(path))
  stem, ext = os.path.splitext(os.path.basename(path))
  # The ending stays, because many writers choose the format by it.
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
  """Puts folder `new` in the place of folder `old`; at any moment one of the two is whole on disk."""
  aside = f'{new}.old'
  os.replace(old, aside)
  try:
    os.replace(new, old)
  except OSError:
    os.replace(aside, old)
    raise
  remove(aside)
