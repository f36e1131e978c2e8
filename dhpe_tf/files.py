"""Atomic writing of files and folders: a partly written one is never visible under its final name."""
import contextlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from typing import Union

from dhpe_tf.errors import UserError

PathLike = Union[str, 'os.PathLike[str]']


def remove(path: PathLike) -> None:
  """Removes a file, a link or a whole folder; does nothing if it does not exist."""
  if os.path.isdir(path) and not os.path.islink(path):
    shutil.rmtree(path)
  elif os.path.lexists(path):
    os.remove(path)


def check_output(path: PathLike, inputs: Iterable[PathLike] = ()) -> None:
  """Refuses a file to write before the work for it is done; `atomic_path` refuses the same folders, but at the end.

  Args:
    path: of the file to write.
    inputs: files that the same command reads, which it must not replace.

  Raises:
    UserError: a folder, a device or one of `inputs` is at `path`.
  """
  _check_kind(path, is_folder=False)
  for source in inputs:
    if os.path.exists(path) and os.path.exists(source) and os.path.samefile(path, source):
      raise UserError(f'{os.fspath(path)}: the result would replace the file that it is made from; choose another name '
                      'for the result.')


def _check_kind(path: PathLike, is_folder: bool) -> None:
  """Raises a UserError if something else than a file or, if `is_folder`, than a folder is at `path`."""
  path = os.fspath(path)
  if os.path.isdir(path):
    if not is_folder:
      raise UserError(f'cannot write {path}: it is a folder, which a file must not replace; choose another name, or '
                      'move the folder away.')
  elif os.path.exists(path) and (is_folder or not os.path.isfile(path)):
    raise UserError(f'cannot write {path}: it is no {"folder" if is_folder else "plain file"}, so it is left alone; '
                    'choose another name, or move it away.')


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[str]:
  """Yields a temporary path beside `path`, renamed to `path` if the block succeeds and removed if it fails.

  The block may create a file or a folder at the temporary path. What exists at `path` is replaced only after the new
  one is complete, and only by its own kind: a file never takes the place of a folder.

  Args:
    path: the final path; its parent folder is created if it is missing.

  Yields:
    The temporary path, in the same folder and so on the same file system.

  Raises:
    UserError: something of another kind is at `path`, or the operating system refused the write (disk full, no
      permission). What was at `path` is still there.
  """
  path = os.path.abspath(os.fspath(path))
  stem, ext = os.path.splitext(os.path.basename(path))
  # Keeps the file ending, because many writers choose the format by it.
  temporary = os.path.join(os.path.dirname(path), f'.{stem}.{uuid.uuid4().hex[:8]}.tmp{ext}')
  try:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    yield temporary
    _check_kind(path, is_folder=os.path.isdir(temporary))
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


def check_input(path: PathLike, most_bytes: int) -> None:
  """Refuses what a command must not read: pipes and devices, which may never end, and files beyond a limit.

  Args:
    path: of the file.
    most_bytes: its largest size.

  Raises:
    UserError: the file is missing, no plain file, or larger.
  """
  path = os.fspath(path)
  try:
    found = os.stat(path)
  except (OSError, ValueError) as error:
    raise UserError(f'cannot read {path}: {getattr(error, "strerror", error)}') from error
  if not stat.S_ISREG(found.st_mode):
    raise UserError(f'cannot read {path}: it is no plain file; give a file.')
  if found.st_size > most_bytes:
    raise UserError(f'cannot read {path}: {found.st_size} bytes, more than the {most_bytes} that such a file may have; '
                    'take the file from its publisher.')


def read_within(path: PathLike, most_bytes: int) -> bytes:
  """Reads a file; a UserError if it is missing, no plain file, or larger than `most_bytes`."""
  check_input(path, most_bytes)
  try:
    with open(path, 'rb') as file:
      size = os.fstat(file.fileno()).st_size
      content = file.read(min(size, most_bytes) + 1)
  except OSError as error:
    raise UserError(f'cannot read {os.fspath(path)}: {error.strerror or error}') from error
  if len(content) > size:
    raise UserError(f'cannot read {os.fspath(path)}: it grows while it is read')
  return content
