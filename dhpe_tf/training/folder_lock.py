"""One training at a time in a folder: a lock that ends with its process, however that ends."""
import contextlib
import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator

from dhpe_tf.errors import UserError
from dhpe_tf.training.checkpoints import worker_suffix

# File systems without locks answer so.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def held(model_dir: str) -> Iterator[None]:
  """Holds the folder of a training, which is made if it is missing, until the block or the process ends.

  The operating system keeps the lock, on a file that names the holder; a killed process leaves the file behind and no
  lock. Workers of one training each have their own.

  Args:
    model_dir: folder of the training.

  Raises:
    UserError: another process trains there (it is named), or the folder cannot be written.
  """
  path = os.path.join(model_dir, f'.training{worker_suffix()}.lock')
  try:
    os.makedirs(model_dir, exist_ok=True)
    # A link is not followed: emptying the file must not empty another one.
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
  except OSError as error:
    raise UserError(f'cannot write {path}: {error.strerror or error}; choose another --model_dir.') from error
  try:
    _lock(file, model_dir)
    _note(file, f'process {os.getpid()} on {socket.gethostname()} since {time.strftime("%Y-%m-%d %H:%M:%S %z")}')
    yield
    _note(file, '')
  finally:
    os.close(file)


def _lock(file: int, model_dir: str) -> None:
  """Takes the lock or raises a UserError with the holder's name; goes on where the file system keeps no locks."""
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError as error:
    note = os.read(file, 200).decode(errors='replace')
    holder = ' '.join(note.split()) or 'a process that starts or ends at this moment'
    raise UserError(f'{model_dir}: another training is at work in this folder ({holder}); wait for its end, stop it, '
                    'or choose another --model_dir.') from error
  except OSError as error:
    if error.errno not in _NO_LOCKS:
      raise UserError(f'{model_dir}: cannot be locked ({error.strerror}); choose another --model_dir.') from error
    print(f'note: {model_dir} lies where no file can be locked; start no second training there.', file=sys.stderr)


def _note(file: int, text: str) -> None:
  """Replaces the content of the lock's file; a full disk is left for the training itself to report."""
  with contextlib.suppress(OSError):
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)
