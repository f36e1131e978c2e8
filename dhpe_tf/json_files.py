"""Reading JSON that others have written: bounded in size and depth, with texts that can be stored and opened."""
import json
import re
from typing import Any

from dhpe_tf import files
from dhpe_tf.errors import UserError, brief

MOST_DATASET_BYTES = 2 << 30  # of the annotations of a dataset; InterHand2.6M has the largest known
_MOST_DEPTH = 64
_LONG = 1 << 20  # characters; in longer texts only Python's own limit of depth holds, because looking takes time
_NUL = re.compile(r'(?<!\\)(?:\\\\)*\\u0000')
_SURROGATE = re.compile(r'\\u[dD][89a-fA-F]')


def parse(text: str, place: str, remedy: str = 'correct it') -> Any:
  """Parses a JSON text.

  Args:
    text: the JSON.
    place: file and line, with which the message begins.
    remedy: the end of the message.

  Raises:
    UserError: not JSON, nested more than 64 deep, or with a text that holds a NUL or half a character.
  """
  try:
    content = json.loads(text)
    if _NUL.search(text):
      raise ValueError('a text holds the character NUL')
    if _SURROGATE.search(text):
      json.dumps(content, ensure_ascii=False).encode()
    if text.count('[') + text.count('{') > _MOST_DEPTH and len(text) < _LONG and _is_deep(content):
      raise ValueError(f'nested more than {_MOST_DEPTH} deep')
  except RecursionError as error:
    raise UserError(f'{place}: not JSON that can be read (nested too deeply); {remedy}') from error
  except ValueError as error:
    raise UserError(f'{place}: not JSON that can be read ({brief(error)}); {remedy}') from error
  return content


def read(path: files.PathLike, remedy: str = 'check the file', most_bytes: int = files.MOST_TEXT_BYTES) -> Any:
  """Reads a JSON file; a UserError as of `files.read_text` and `parse`."""
  return parse(files.read_text(path, most_bytes, remedy), str(path), remedy)


def read_object(path: files.PathLike, remedy: str = 'check the file',
                most_bytes: int = files.MOST_TEXT_BYTES) -> dict[str, Any]:
  """Reads a JSON file that holds an object; a UserError as of `read`, or if it holds something else."""
  content = read(path, remedy, most_bytes)
  if not isinstance(content, dict):
    raise UserError(f'{path}: a JSON object was expected; {remedy}')
  return content


def _is_deep(content: Any) -> bool:
  """Whether lists and objects are nested more than _MOST_DEPTH deep."""
  level = [content]
  for _ in range(_MOST_DEPTH):
    level = [value for outer in level if isinstance(outer, (list, dict))
             for value in (outer.values() if isinstance(outer, dict) else outer)]
  return any(isinstance(value, (list, dict)) for value in level)
