"""Programs for a process that cannot import this package: what a server of somebody else's would run."""
import sys
import textwrap

_BLOCK = '''
import sys

class Block:
  def find_spec(self, name, path=None, target=None):
    if name.partition('.')[0] in ('dhpe_tf', 'keras_cv', 'tensorflow_graphics', 'tensorflow_addons'):
      raise ImportError(name)

sys.meta_path.insert(0, Block())
'''


def command(program: str, *arguments: str) -> list[str]:
  """The command line that runs a Python text with arguments where neither this package nor its libraries import."""
  return [sys.executable, '-c', _BLOCK + textwrap.dedent(program), *map(str, arguments)]
