"""Configuration: layering, strictness, dead bindings, saving."""
import sys

import gin
import pytest

from dhpe_tf import configuration, errors, evaluate, export, train
from tests.commands import call


@gin.configurable('test_widget')
def _widget(size=1, colour='red', steps=3):
  return size, colour, steps


@gin.configurable('test_factory')
def _factory(build=None):
  return build


def _dead():
  """Dead bindings of this file's configurables; those of defaults.gin are not used here."""
  return [name for name in configuration.dead_bindings() if 'test_' in name]


gin.configurable('test_twin', module='first')(_factory)
gin.configurable('test_twin', module='second')(_widget)


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


def _write(path, text):
  path.write_text(text, encoding='utf-8')
  return str(path)


def test_layers_later_ones_win(tmp_path):
  saved = _write(tmp_path / 'saved.gin', "test_widget.size = 2\ntest_widget.colour = 'blue'\ntest_widget.steps = 5\n")
  first = _write(tmp_path / 'first.gin', "test_widget.colour = 'green'\ntest_widget.size = 3\n")
  configuration.load([first], ['test_widget.size = 4'], saved=saved)
  assert _widget() == (4, 'green', 5)


def test_load_replaces_what_was_there(tmp_path):
  configuration.load([], ['test_widget.size = 4'])
  configuration.load()
  assert _widget() == (1, 'red', 3)


def test_include_beside_the_file_and_from_the_gin_folder(tmp_path):
  _write(tmp_path / 'base.gin', 'test_widget.size = 9\n')
  top = _write(tmp_path / 'top.gin', "include 'base.gin'\ninclude 'defaults.gin'\n")
  configuration.load([top])
  assert _widget()[0] == 9


def test_includes_leave_no_notes_in_the_log(tmp_path, caplog):
  configuration.load([_write(tmp_path / 'top.gin', "include 'models/tiny.gin'\n")])
  assert not caplog.records


def test_shipped_files_are_found_from_anywhere(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  configuration.load(['defaults.gin'])
  configuration.load(['gin/defaults.gin'])


@pytest.mark.parametrize('text, expected', [
    ('test_widgit.size = 1', 'did you mean test_widget?'),
    ('test_widget.sise = 1', 'did you mean size?'),
    ('test_factory.build = @test_widgett', 'did you mean test_widget?'),
    ('test_widget.size = %SIZE', '%SIZE is used but never defined'),
    ('SIZE = 3\ntest_widget.size = %SISE', '%SISE is used but never defined; did you mean SIZE?'),
    ('SIZE = 3\nSISE = 4\ntest_widget.size = %SIZE', 'macro SISE is set but nothing uses it; did you mean SIZE?'),
    ('test_widget.size = ', 'bad.gin:1'),
    ('test_factory.build = @test_twin', 'Ambiguous selector'),
    ("include 'nowhere.gin'", 'nowhere.gin'),
    ('import no_such_module', 'bad.gin:1: import of no_such_module is refused, because it runs code; if you trust that '
     'module, give --import=no_such_module to a command that has this flag'),
    ('from os import path', 'import of os.path is refused'),
    ('from __gin__ import dynamic_registration', 'import of __gin__.dynamic_registration is refused'),
])
def test_mistakes_are_one_line_with_a_remedy(tmp_path, text, expected):
  path = _write(tmp_path / 'bad.gin', text + '\n')
  with pytest.raises(errors.UserError) as caught:
    configuration.load([path])
  assert expected in str(caught.value)
  assert '\n' not in str(caught.value)


def test_files_that_include_each_other(tmp_path):
  _write(tmp_path / 'one_of_two.gin', "include 'other_of_two.gin'\n")
  _write(tmp_path / 'other_of_two.gin', "include 'one_of_two.gin'\n")
  with pytest.raises(errors.UserError, match='other_of_two.gin: includes .*one_of_two.gin, which includes it in turn'):
    configuration.load([str(tmp_path / 'one_of_two.gin')])
  itself = _write(tmp_path / 'itself.gin', "include 'itself.gin'\n")
  with pytest.raises(errors.UserError, match='itself.gin, which includes it in turn; remove one of the two'):
    configuration.load([itself])


def test_unknown_parameter_names_file_and_line(tmp_path):
  path = _write(tmp_path / 'bad.gin', '\ntest_widget.sise = 1\n')
  with pytest.raises(errors.UserError, match=r'bad\.gin:2: .*sise'):
    configuration.load([path])


def test_bad_gin_param_is_named():
  with pytest.raises(errors.UserError, match='--gin_param .*test_widget.sise = 1'):
    configuration.load([], ['test_widget.sise = 1'])


def test_missing_file_suggests_a_shipped_one():
  with pytest.raises(errors.UserError, match=r'no gin file gin/default\.gin .*did you mean defaults\.gin'):
    configuration.load(['gin/default.gin'])


def test_a_macro_whose_use_was_overridden_is_no_mistake(tmp_path):
  path = _write(tmp_path / 'a.gin', 'SIZE = 3\ntest_widget.size = %SIZE\n')
  configuration.load([path], ['test_widget.size = 7'])
  assert _widget()[0] == 7


def test_dead_bindings_are_found_by_parameter_and_scope():
  configuration.load([], ['test_widget.size = 2', "outer/test_widget.colour = 'blue'", 'other/test_widget.steps = 1',
                          'test_factory.build = None'])
  with gin.config_scope('outer'), gin.config_scope('inner'):
    _widget()
  assert _dead() == ['other/test_widget.steps', 'test_factory.build']


def test_a_binding_that_the_caller_overrides_is_dead():
  configuration.load([], ['test_widget.size = 2'])
  _widget(size=5)
  assert _dead() == ['test_widget.size']


def test_references_and_macros_are_alive_once_used():
  configuration.load([], ['SIZE = 4', 'test_widget.size = %SIZE', 'test_factory.build = @test_widget'])
  assert _factory()()[0] == 4
  assert _dead() == []


def test_save_and_load_again(tmp_path):
  configuration.load([], ['SIZE = 4', 'test_widget.size = %SIZE', 'outer/test_factory.build = @test_widget'])
  _widget()
  configuration.save(str(tmp_path))
  configuration.load(saved=str(tmp_path / configuration.CONFIG_FILE))
  assert _widget() == (4, 'red', 3)
  operative = (tmp_path / configuration.OPERATIVE_FILE).read_text(encoding='utf-8')
  assert "test_widget.colour = 'red'" in operative
  configuration.load([str(tmp_path / configuration.OPERATIVE_FILE)])


# `train.*` are the settings of the command `train`; their class is not called so.
_NAMED_OTHERWISE = {'train': 'TrainSettings'}


def test_gin_names_are_python_names():
  configuration.register_configurables()
  ours = [entry for _, entry in gin.config._REGISTRY.items() if entry.wrapped.__module__.startswith('dhpe_tf.')]
  assert len(ours) > 50
  for entry in ours:
    assert entry.wrapped.__name__ == _NAMED_OTHERWISE.get(entry.name, entry.name), entry.selector


@pytest.fixture(name='module')
def _module(tmp_path, monkeypatch):
  """A module that leaves a trace when it is imported."""
  monkeypatch.syspath_prepend(str(tmp_path))
  (tmp_path / 'leaves_a_trace.py').write_text(f"open({str(tmp_path / 'trace')!r}, 'w').close()")
  yield 'leaves_a_trace'
  configuration.allow_imports([])
  sys.modules.pop('leaves_a_trace', None)


def test_no_configuration_imports_a_module_that_the_user_did_not_name(tmp_path, module):
  path = _write(tmp_path / 'inner.gin', f'test_widget.size = 2\nimport {module}\n')
  outer = _write(tmp_path / 'outer.gin', "include 'inner.gin'\n")
  for arguments in (([path],), ([outer],), ([], [f'import {module}']), ([], (), path)):
    with pytest.raises(errors.UserError, match=f'import of {module} is refused'):
      configuration.load(*arguments)
  assert not (tmp_path / 'trace').exists()
  configuration.allow_imports([module])
  configuration.load([outer])
  assert (tmp_path / 'trace').exists() and _widget()[0] == 2


def test_a_foreign_model_dir_imports_nothing(tmp_path, module, capsys):
  _write(tmp_path / 'config.gin', f'import {module}\n')
  for command, arguments in ((train, ()), (evaluate, (f'--data={tmp_path}', f'--report={tmp_path}/r.json')),
                             (export, (f'--export_dir={tmp_path}/exported',))):
    assert call(command, f'--model_dir={tmp_path}', *arguments) == 1
    error = capsys.readouterr().err
    assert f'config.gin:1: import of {module} is refused' in error and f'--import={module}' in error
  assert not (tmp_path / 'trace').exists()


def test_a_name_that_is_too_long_for_a_file():
  with pytest.raises(errors.UserError, match='^no gin file xxx'):
    configuration.load(['x' * 5000])
