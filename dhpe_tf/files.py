"""Atomic writing of files and folders, so that none is seen half written, and reading within bounds."""
import contextlib
import os
import shutil
import stat
import uuid
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Union

from dhpe_tf.errors import UserError, brief

PathLike = Union[str, 'os.PathLike[str]']
MOST_TEXT_BYTES = 1 << 24  # of settings, descriptions and reports
# What reading a zip archive raises if it is damaged, encrypted, of an unknown compression, or lacks a file.
ARCHIVE_FAULTS = (OSError, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile,
                  zlib.error)
_CHUNK = 1 << 20


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
    UserError: `path` is empty, something of another kind is at it, the operating system refused the write (disk full,
      no permission), or the block raised one. What was at `path` is still there.
  """
  if not os.fspath(path):  # The absolute path of an empty one is the working folder, which would be replaced.
    raise UserError('the name of what is to be written is empty; give one.')
  path = os.path.abspath(os.fspath(path))
  stem, ext = os.path.splitext(printable(os.path.basename(path)))
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
    text = _without(temporary, path, error.strerror or str(error))
    raise UserError(f'cannot write {printable(path)}: {text}; nothing was left there. '
                    'Free some disk space or choose a writable place.') from error
  except UserError as error:
    if temporary not in str(error):
      raise
    raise UserError(_without(temporary, path, str(error))) from error
  finally:
    remove(temporary)


def _without(temporary: str, path: str, text: str) -> str:
  """An error's text with the final path in place of the temporary one, which the user never sees."""
  return text.replace(temporary, printable(path))


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


def check_input(path: PathLike, most_bytes: int, remedy: str = 'check the path and its permissions.') -> None:
  """Refuses what a command must not read: pipes and devices, which may never end, and files beyond a limit.

  Args:
    path: of the file.
    most_bytes: its largest size.
    remedy: the end of the message about a missing file or something else than a file.

  Raises:
    UserError: the file is missing, no plain file, or larger.
  """
  path = os.fspath(path)
  try:
    found = os.stat(path)
  except (OSError, ValueError) as error:
    raise UserError(f'{path}: cannot be read ({brief(error)}); {remedy}') from error
  if not stat.S_ISREG(found.st_mode):
    kind = 'a folder' if stat.S_ISDIR(found.st_mode) else 'a pipe or device'
    raise UserError(f'{path}: cannot be read (it is no plain file, but {kind}); {remedy}')
  if found.st_size > most_bytes:
    raise UserError(f'{path}: cannot be read ({found.st_size} bytes, more than the {most_bytes} that such a file may '
                    'have); take the file from its publisher.')


def read_within(path: PathLike, most_bytes: int, remedy: str = 'check the path and its permissions.') -> bytes:
  """Reads a file; a UserError as of `check_input`, or if it cannot be read."""
  check_input(path, most_bytes, remedy)
  try:
    with open(path, 'rb') as file:
      size = os.fstat(file.fileno()).st_size
      content = file.read(min(size, most_bytes) + 1)
  except OSError as error:
    raise UserError(f'{os.fspath(path)}: cannot be read ({brief(error)}); {remedy}') from error
  if len(content) > size:
    raise UserError(f'{os.fspath(path)}: cannot be read (it grows while it is read)')
  return content


def read_text(path: PathLike, most_bytes: int = MOST_TEXT_BYTES,
              remedy: str = 'check the path and its permissions.') -> str:
  """Reads a text file in UTF-8, line ends of any kind; a UserError as of `read_within`, or if it is no such text."""
  try:
    text = read_within(path, most_bytes, remedy).decode('utf-8')
  except UnicodeDecodeError as error:
    raise UserError(f'{os.fspath(path)}: cannot be read (not a text in UTF-8: {error.reason}); {remedy}') from error
  return text.replace('\r\n', '\n').replace('\r', '\n')


def read_member(file: BinaryIO, most_bytes: int) -> bytes:
  """Reads a compressed file in pieces; a ValueError if it is longer than `most_bytes`, whatever its header says."""
  pieces, size = [], 0
  while piece := file.read(_CHUNK):
    size += len(piece)
    if size > most_bytes:
      raise ValueError(f'more than {most_bytes >> 20} MiB when unpacked')
    pieces.append(piece)
  return b''.join(pieces)


def printable(path: PathLike) -> str:
  """The path as text that any file takes: bytes of the name that are no UTF-8 become escapes."""
  return os.fsencode(path).decode('utf-8', 'backslashreplace')
