"""Imports go one way, and what is shared by all tasks and methods names none of them."""
import ast
import pathlib

import pytest

from dhpe_tf.methods.dhpe.objective import Objective, loss_weights
from dhpe_tf.tasks.hand import instance, outputs, task_flags
from dhpe_tf.tasks.hand.task import HandTask

PACKAGE = pathlib.Path(__file__).parent.parent / 'dhpe_tf'
TOOLS = PACKAGE.parent / 'data_tools'

# Rooms of one layer know nothing of each other.
LAYERS = (
    {'errors', 'quiet_import', 'renamed_settings'},
    {'files'},
    {'plain_arrays', 'pickles', 'json_files', 'setting_checks'},
    {'configuration', 'geometry'},
    {'hand'},
    {'rendering'},
    {'networks', 'losses', 'metrics', 'data', 'visualization', 'optimization'},
    {'synthesis', 'finding', 'tasks'},
    {'tasks.hand', 'command_line'},
    {'methods'},
    {'methods.dhpe', 'methods.lifting', 'methods.direct', 'methods.cross_modal_vae', 'methods.relative_depth',
     'methods.model_fitting', 'experiment'},
    {'methods.contrastive'},  # pre-trains the networks of methods.direct
    {'training', 'evaluation', 'serving'},
    {'inference', 'experiments'},
    {'train', 'evaluate', 'export', 'predict', 'quickstart', 'ablate', 'demo'},
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
# Folders whose parts are rooms of their own.
DIVIDED = ('tasks', 'methods')

# What every task and method shares, so that a new one needs no change here.
SHARED = ('data', 'tasks', 'methods', 'experiment', 'training', 'evaluation', 'serving', 'inference', 'experiments',
          'command_line', 'configuration', 'train', 'evaluate', 'export', 'predict', 'ablate')
SHARED_TOOLS = ('view_records', 'validate', 'counts')
# Names that mean the same in every task: the picture itself and the name of an instance.
COMMON = {'image', 'id'}


def _room(parts) -> str:
  """The room that a dotted path inside dhpe_tf leads to."""
  parts = [part.removesuffix('.py') for part in parts]
  if parts[0] in DIVIDED and len(parts) > 1 and (PACKAGE / parts[0] / parts[1]).is_dir():
    return f'{parts[0]}.{parts[1]}'
  return parts[0]


def _imports(path: pathlib.Path):
  """Yields the rooms of dhpe_tf that a file imports, wherever in the file."""
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.ImportFrom) and node.module:
      base = node.module.split('.')
      if base[0] == 'dhpe_tf':
        yield from (_room([*base[1:], alias.name]) for alias in node.names)
    elif isinstance(node, ast.Import):
      for alias in node.names:
        parts = alias.name.split('.')
        if parts[0] == 'dhpe_tf' and len(parts) > 1:
          yield _room(parts[1:])


def _files():
  return [path for path in sorted(PACKAGE.rglob('*.py')) if path != PACKAGE / '__init__.py']


def _own_room(path: pathlib.Path) -> str:
  return _room(path.relative_to(PACKAGE).parts)


def _shared_files():
  return [path for path in _files() if _own_room(path) in SHARED] + [TOOLS / f'{name}.py' for name in SHARED_TOOLS]


def _texts(path: pathlib.Path) -> tuple[set[str], set[str]]:
  """The texts that a file's code uses, docstrings left out, and its names: attributes, variables, arguments."""
  tree = ast.parse(path.read_text(encoding='utf-8'))
  docstrings = {id(node.body[0].value) for node in ast.walk(tree)
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body
                and isinstance(node.body[0], ast.Expr)}
  texts, names = set(), set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
      texts.add(node.value)
    elif isinstance(node, ast.Attribute):
      names.add(node.attr)
    elif isinstance(node, ast.Name):
      names.add(node.id)
    elif isinstance(node, (ast.arg, ast.keyword)):
      names.add(node.arg)
  return texts, names


def _of_hands(path: pathlib.Path) -> set[str]:
  """What a file says of hands. A protocol is only ever named by a text: 'crop' names one, crop is also a square."""
  texts, names = _texts(path)
  return (texts | names) & _names_of_hands() | texts & set(HandTask.protocols)


def _names_of_hands() -> set[str]:
  """Whatever only the hand task and its methods should know: batch, outputs, measures, losses, flags."""
  names = {*instance.BATCH, *outputs.OUTPUTS, *Objective.MEASURES, *loss_weights(), 'hand_model',
           'heatmap_stages', 'joint_order', *task_flags.SIDES}
  # Words of everyday use, which mean other things elsewhere; any task may have meshes.
  return names - COMMON - {'shape', 'parameters', 'features', 'feature', 'vertices'}


@pytest.mark.parametrize('path', _files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
  own = _own_room(path)
  assert own in LAYER, f'{own} has no layer; add it to LAYERS'
  for name in _imports(path):
    if name in (own, '__version__'):
      continue
    assert LAYER[name] < LAYER[own], f'{path.relative_to(PACKAGE)} imports dhpe_tf.{name}, which is not below {own}'


@pytest.mark.parametrize('path', _shared_files(), ids=lambda path: f'{path.parent.name}/{path.name}')
def test_shared_rooms_know_no_task_and_no_method(path):
  allowed = {*SHARED, 'errors', 'files', 'json_files', 'plain_arrays', 'quiet_import',
             'renamed_settings', 'geometry', 'setting_checks', 'visualization', '__version__'}
  assert set(_imports(path)) <= allowed, sorted(set(_imports(path)) - allowed)
  assert not _of_hands(path), sorted(_of_hands(path))


def _modules() -> dict[str, set[str]]:
  """For each module of the package the modules of the package that it imports, wherever in the file."""
  names = {'.'.join(('dhpe_tf', *path.relative_to(PACKAGE).with_suffix('').parts)): path for path in _files()
           if path.name != '__init__.py'}
  graph = {}
  for name, path in names.items():
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
      if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        found |= {node.module, *(f'{node.module}.{alias.name}' for alias in node.names)}
      elif isinstance(node, ast.Import):
        found |= {alias.name for alias in node.names}
    graph[name] = found & set(names)
  return graph


def test_no_circle_of_imports():
  # A module whose imports are all gone can go; what stays stands on a circle, or above one.
  graph = _modules()
  assert len(graph) > 100
  while free := {name for name, imported in graph.items() if not imported & set(graph)}:
    graph = {name: imported for name, imported in graph.items() if name not in free}
  assert not graph, sorted(graph)


def test_the_rule_on_names_finds_what_it_should(tmp_path):
  for text in ("camera = outputs['camera'][:, 4]", "run.history['joints_near']", 'model.hand_model', 'f(is_left=True)',
               "measure('crop')"):
    (tmp_path / 'a.py').write_text(text)
    assert _of_hands(tmp_path / 'a.py')
  (tmp_path / 'a.py').write_text('"""Says joints_2d in words."""')
  assert not _of_hands(tmp_path / 'a.py')


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
