"""What an entry of the fuzzer is: it turns a random generator into a case, an input and what reads it."""
import contextlib
import io
import os
import random
import shutil
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Optional, Protocol

from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError
from tests.fuzz import mutations


class Case(NamedTuple):
  """One input.

  Attributes:
    read: reads it. It raises a UserError to refuse it, and any other exception is a fault.
    names: a refusal must hold one of these texts, of which one is the name of the file.
  """

  read: Callable[[], Any]
  names: tuple[str, ...]


class Entry(Protocol):
  """Makes cases."""

  def check(self) -> None:
    """Raises any exception if a good input is refused."""

  def __call__(self, chance: random.Random) -> Case:
    """Makes a case, which depends on `chance` alone."""


class Seed(NamedTuple):
  """A good or hostile file to change.

  Attributes:
    path: where it lies.
    content: of the file.
    change: makes another content of it; None for changes of bytes.
  """

  path: str
  content: bytes
  change: Optional[Callable[[bytes, random.Random], bytes]] = None


# How often something else than a file lies in its place: nothing, a folder, a pipe, a device that never ends.
_NO_FILE = .02
_SPARSE_BYTES = 1 << 40


class Changed:
  """Cases of files: one of them is changed, the others are as they were.

  Args:
    seeds: the files; several may have one path.
    read: reads all of them; takes the path of the changed one.
    also: further texts of which a refusal may hold one, for files that name other files (/dev/zero is always one).
    tokens: pieces of the format, for changes of bytes.
    made: chance of a content that is made, not changed, see `make`.
    make: makes a content for the first path.
  """

  def __init__(self, seeds: Sequence[Seed], read: Callable[[str], Any], also: Sequence[str] = (),
               tokens: Sequence[bytes] = (), made: float = 0., make: Optional[Callable] = None):
    self._seeds, self._read, self._also, self._tokens = list(seeds), read, tuple(also), tuple(tokens)
    self._made, self._make = made, make
    self._good = {}
    for seed in self._seeds:
      self._good.setdefault(seed.path, seed.content)
    self._spots = [mutations.places(seed.content) for seed in self._seeds]
    self._changed: Optional[str] = None

  def check(self) -> None:
    """Reads the good files."""
    for path, content in self._good.items():
      _write(path, content)
    self._read(next(iter(self._good)))

  def __call__(self, chance: random.Random) -> Case:
    """Puts the files in place, one of them changed."""
    self._restore()
    if self._make and chance.random() < self._made:
      path, content = self._seeds[0].path, self._make(chance)
    else:
      number = chance.randrange(len(self._seeds))
      path, content = self._seeds[number].path, self._content(number, chance)
    self._changed = path
    if chance.random() < _NO_FILE:
      _clear(path)
      _put_no_file(path, chance.randrange(6))
    else:
      _write(path, content)
    return Case(lambda: self._read(path), (os.path.basename(path), '/dev/zero', *self._also))

  def _content(self, number: int, chance: random.Random) -> bytes:
    """The changed content of a seed."""
    seed = self._seeds[number]
    if seed.change is not None and chance.random() < .75:
      return seed.change(seed.content, chance)
    others = [other.content for other in self._seeds]
    return mutations.mutate(seed.content, self._spots[number], chance, others, self._tokens)

  def _restore(self) -> None:
    """Puts the file that was changed last back."""
    if self._changed is not None and len(self._good) > 1:
      _write(self._changed, self._good[self._changed])


def seed_of(path: str, change: Optional[Callable[[bytes, random.Random], bytes]] = None) -> Seed:
  """The seed of a file that is there."""
  with open(path, 'rb') as file:
    return Seed(path, file.read(), change)


def _write(path: str, content: bytes) -> None:
  """Puts a file at a path, in the place of whatever is there."""
  _clear(path)
  with open(path, 'wb') as file:
    file.write(content)


def _clear(path: str) -> None:
  """Removes what is at a path."""
  if os.path.isdir(path) and not os.path.islink(path):
    shutil.rmtree(path)
  elif os.path.lexists(path):
    os.remove(path)


def _put_no_file(path: str, kind: int) -> None:
  """Puts something else than a file, or nothing, in its place."""
  if kind == 0:
    os.mkdir(path)
  elif kind == 1:
    os.mkfifo(path)
  elif kind == 2:
    os.symlink('/dev/zero', path)
  elif kind == 3:
    os.symlink(path, path)
  elif kind == 4:
    with open(path, 'wb') as file:
      file.truncate(_SPARSE_BYTES)


def command(main: Callable[[list[str]], None], arguments: Sequence[str] = (),
            flag_values: Optional[flags.FlagValues] = None) -> None:
  """Runs a program's main as its command line does; raises its error as a UserError.

  Raises:
    UserError: the text of the line `error: ...`, where it ended with status 1.
    AssertionError: it ended in another way, or printed anything after that line.
  """
  said = io.StringIO()
  with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
    status = command_line.call(main, ['program', *arguments], flag_values or flags.FlagValues())
  lines = said.getvalue().splitlines()
  assert 'Traceback' not in said.getvalue(), said.getvalue()[-1500:]
  if status:
    assert status == 1 and lines and lines[-1].startswith('error: '), f'status {status}: {said.getvalue()[-1500:]!r}'
    raise UserError(lines[-1].removeprefix('error: '))
