"""The exception for errors that the user can repair, and how other exceptions become one."""
import contextlib
import re
from collections.abc import Iterator

_GIN_ADDS = '\n  In call to configurable'
_LINE_BREAK = re.compile(r'[ \t]*[\r\n][\r\n \t]*')
_OBJECT = re.compile(r'<function (\S+) at 0x[0-9a-f]+>')
# What TensorFlow adds to its messages: nodes of graphs and the operation that was called.
_NODES = re.compile(r'\s*(\[\[)?\{\{[^}]*\}\}(\]\])?\s*|\s*\[Op:\w+\]( name:\s*)?')
_LONGEST = 300  # characters of another library's message
_HEAD, _TAIL = 800, 400  # characters of a message that are kept where it is longer
_ESCAPED_BYTES = range(0xdc80, 0xdd00)  # bytes of file names that are no UTF-8, as Python holds them


class UserError(ValueError):
  """Bad input, configuration or environment. The message is one line: what is wrong, where, and the remedy.

  The command lines print it as `error: ...` with exit status 1 and no traceback. Messages quote files, so what a file
  holds must not break the line, move the cursor or fill the screen: see `one_line`.
  """

  def __init__(self, message: object = ''):
    super().__init__(one_line(str(message)))

  def __init_subclass__(cls, **kwargs):
    """Keeps the message one line: gin raises subclasses whose text goes on with the call that raised the error."""
    super().__init_subclass__(**kwargs)
    whole = cls.__str__
    cls.__str__ = lambda self: whole(self).split(_GIN_ADDS)[0]


def one_line(text: str) -> str:
  """The text with spaces for line breaks, escapes for all else that is not printable, and no middle if it is long."""
  text = _LINE_BREAK.sub(' ', text)
  if len(text) > _HEAD + _TAIL:
    text = f'{text[:_HEAD]} ... {text[-_TAIL:]}'
  return text if text.isprintable() else ''.join(letter if letter.isprintable() else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
  """A character that is not printable in the way in which Python writes it."""
  if ord(letter) in _ESCAPED_BYTES:
    return f'\\x{ord(letter) - 0xdc00:02x}'
  return letter.encode('unicode_escape').decode('ascii')


def brief(error: BaseException) -> str:
  """The message on one line of limited length, without what gin and TensorFlow add; the class if there is none."""
  text = getattr(error, 'strerror', None) or getattr(error, 'message', None) or str(error)
  text = _NODES.sub(' ', _OBJECT.sub(r'\1', str(text).split(_GIN_ADDS)[0]))
  text = ' '.join(text.split())
  if isinstance(error, KeyError):
    text = f'{text} is missing'
  return text[:_LONGEST] or type(error).__name__


@contextlib.contextmanager
def naming(place: str, remedy: str, *kinds: type[BaseException]) -> Iterator[None]:
  """Turns exceptions of some kinds in the block into a UserError; a UserError stays as it is.

  Args:
    place: the file, and what in it; the message begins with it.
    remedy: what the user can do; the message ends with it.
    *kinds: classes of exceptions.

  Raises:
    UserError: one of them was raised.
  """
  try:
    yield
  except UserError:
    raise
  except kinds as error:
    raise UserError(f'{place}: {brief(error)}; {remedy}') from error
