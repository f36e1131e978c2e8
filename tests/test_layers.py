"""Imports go one way: a module may import its own package and those of lower layers."""
import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / 'dhpe_tf'

# Packages of one layer know nothing of each other.
LAYERS = (
    {'errors'},
    {'files'},
    {'configuration', 'command_line', 'geometry'},
    {'hand'},
    {'rendering'},
    {'networks', 'losses', 'metrics', 'data', 'visualization'},
    {'models'},
    {'refinement', 'selfsup', 'baselines'},
    {'training', 'evaluation', 'serving'},
    {'train', 'evaluate', 'evaluate_baselines', 'export', 'predict', 'quickstart', 'ablate'},
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


def _unit(path: pathlib.Path) -> str:
  """The package, or the module for files directly in dhpe_tf, that a file belongs to."""
  return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def _imports(path: pathlib.Path):
  """Yields the units of dhpe_tf that a file imports, wherever in the file."""
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.ImportFrom) and node.module:
      base = node.module.split('.')
      if base[0] == 'dhpe_tf':
        yield from [base[1]] if len(base) > 1 else [alias.name for alias in node.names]
    elif isinstance(node, ast.Import):
      for alias in node.names:
        parts = alias.name.split('.')
        if parts[0] == 'dhpe_tf' and len(parts) > 1:
          yield parts[1]


def _files():
  return [path for path in sorted(PACKAGE.rglob('*.py')) if path != PACKAGE / '__init__.py']


@pytest.mark.parametrize('path', _files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
  own = _unit(path)
  assert own in LAYER, f'{own} has no layer; add it to LAYERS'
  for name in _imports(path):
    if name == own or name == '__version__':
      continue
    assert LAYER[name] < LAYER[own], f'{path.relative_to(PACKAGE)} imports dhpe_tf.{name}, which is not below {own}'


def test_general_parts_do_not_know_the_method():
  for package in ('training', 'evaluation', 'serving'):
    for path in (PACKAGE / package).rglob('*.py'):
      assert 'dhpe_model' not in path.read_text(encoding='utf-8'), path


def test_nothing_in_the_library_imports_tests_or_tools():
  for path in _files():
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
      names = [node.module or ''] if isinstance(node, ast.ImportFrom) else (
          [alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
      assert not any(name.split('.')[0] in ('tests', 'data_tools') for name in names), path


def test_gin_folder_holds_no_python():
  # A Python file there would shadow the gin-config package for commands run from the repository.
  assert not list((PACKAGE.parent / 'gin').rglob('*.py'))


def test_top_level():
  allowed = {'dhpe_tf', 'gin', 'data_tools', 'exported', 'tests', 'BUILD', 'setup.py', 'README.md', 'LICENSE', 'NOTICE'}
  made_here = {'runs', 'records', 'build', 'dist', 'dhpe_tf.egg-info'}
  found = {path.name for path in PACKAGE.parent.iterdir() if not path.name.startswith('.')}
  assert found - made_here <= allowed
