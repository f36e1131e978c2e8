import json

import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.evaluation import collection, reports
from dhpe_tf.tasks.measured import Line, Measured
from tests.tasks.hand.hands import COUNT, TASK, make_labels, make_scene, perfect

NOTHING = Measured({}, {})


def measured(*protocols):
  predictions, labels = make_scene()
  return {name: {'model': TASK.measure(name, predictions, labels)} for name in ('own-size', *protocols)}


def test_report_files(tmp_path):
  labels = make_labels()
  answers = {'model': perfect(labels), **TASK.constant_answers(labels, COUNT)}
  report = reports.Report({'data': 'records', 'images': COUNT}, {
      'own-size': {name: TASK.measure('own-size', answer, labels) for name, answer in answers.items()}})
  reports.write(str(tmp_path / 'r.json'), TASK, report)
  found = json.loads((tmp_path / 'r.json').read_text())
  assert found['protocols']['own-size']['results']['model']['epe_mean/root']['value'] < 1e-6
  assert len(found['protocols']['own-size']['curves']['model']['root']) == len(found['curves_over']['x'])
  text = (tmp_path / 'r.md').read_text()
  assert '| model | 0.0 | 0.0 | 0.0 | 1.000 | 0.0 | 1.000 |' in text and '| mean training hand | ' in text
  assert '| images/root | 6 | 6 |' in text
  assert (tmp_path / 'r.png').read_bytes().startswith(b'\x89PNG')


def test_lines_are_in_the_report_and_in_a_plot_of_their_own(tmp_path):
  line = Line(np.arange(3.), np.ones(3), np.full([2, 3], 0.5))
  found = {'own-size': {'model': NOTHING, 'other': Measured({}, {}, {'view, degrees': line})}}
  reports.write(str(tmp_path / 'r.json'), TASK, reports.Report({}, found))
  lines = json.loads((tmp_path / 'r.json').read_text())['protocols']['own-size']['lines']
  assert lines == {'model': {}, 'other': {'view, degrees': {'x': [0, 1, 2], 'y': [1, 1, 1], 'spread': [[.5] * 3] * 2}}}
  assert (tmp_path / 'r_own-size_lines.png').read_bytes().startswith(b'\x89PNG')


def test_nothing_labelled(tmp_path):
  empty = {column.title: None for column in TASK.columns}
  report = reports.Report({}, {'own-size': {'model': NOTHING}}, {'model': {'side': {'left': {'images': 3, **empty}}}})
  reports.write(str(tmp_path / 'empty.json'), TASK, report)
  text = (tmp_path / 'empty.md').read_text()
  assert '| model | - | - | - | - | - | - |' in text and '| side | left | 3 | - | - | - | - | - | - |' in text
  assert not (tmp_path / 'empty.png').exists()


def test_states_definitions_and_published_numbers(tmp_path):
  reports.write(str(tmp_path / 'r.json'), TASK, reports.Report({'data': 'x'}, measured('zb-rhd', 'freihand')))
  entry = json.loads((tmp_path / 'r.json').read_text())['protocols']['zb-rhd']
  assert entry['results']['model']['auc_zb/root_bone']['value'] == pytest.approx(1.)
  assert any(known['method'] == 'Baek et al. 2019' for known in entry['published'])
  text = (tmp_path / 'r.md').read_text()
  assert '| auc_zb/root_bone | 1.000 |' in text and 'area under the PCK curve from 21.05 to 50.00 mm' in text
  assert {path.name for path in tmp_path.iterdir()} == {'r.json', 'r.md', 'r.png', 'r_zb-rhd.png', 'r_freihand.png'}


def test_several_runs_in_one_plot(tmp_path, monkeypatch):
  drawn = {}

  def plot(path, axes, lines, title, levels, span):
    drawn[title.partition(';')[0]] = (list(lines), levels)
  monkeypatch.setattr(reports.plots, 'plot_curves', plot)
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'runs' / 'first').mkdir(parents=True)
  report = reports.Report({'data': 'x'}, measured('zb-rhd', 'freihand'))
  reports.write('runs/first/report.json', TASK, report)
  others = reports.read_curves(['runs/first/report.json'])
  reports.write('second.json', TASK, report, others)
  lines, levels = drawn['zb-rhd']
  assert lines == ['model, root_bone', 'runs/first, root_bone'] and levels['Baek et al. 2019 0.926'] == .926
  assert 'runs/first, procrustes' in drawn['own-size'][0] and drawn['freihand'][1] == {}
  np.testing.assert_array_equal(others['zb-rhd']['runs/first, root_bone'],
                                report.measured['zb-rhd']['model'].curves['root_bone'])


def test_a_curve_of_another_length_is_refused():
  axes = len(TASK.curve_axes.x)
  reports.check_curves({'own-size': {'runs/a, root': np.zeros(axes)}}, TASK)
  with pytest.raises(UserError, match=f'the curve runs/a, root of own-size has 3 points, not {axes}; leave it out'):
    reports.check_curves({'own-size': {'runs/a, root': np.zeros(3)}}, TASK)


@pytest.mark.parametrize('content', [None, 'no json', '[]', '{"protocols": {}}'])
def test_what_is_no_report(tmp_path, content):
  path = tmp_path / 'other.json'
  if content is not None:
    path.write_text(content)
  with pytest.raises(UserError, match='other.json: .*name a .json file that python -m dhpe_tf.evaluate'):
    reports.read_curves([str(path)])


def test_slices_are_in_the_table():
  labels = {**make_labels(), 'is_left': np.arange(COUNT) < 2}
  predictions = perfect(labels)
  kinds = TASK.slices(labels, {})
  report = reports.Report({}, {'own-size': {'model': TASK.measure('own-size', predictions, labels)}},
                          {'model': collection.measure_slices(TASK, predictions, labels, kinds)})
  assert '| side | left | 2 | 0.0 | 0.0 | 0.0 | 1.000 | 0.0 | 1.000 |' in reports.table(TASK, report)


@pytest.mark.parametrize('name', ['r.md', 'r.png', 'r', 'r.json.gz'])
def test_report_and_table_have_different_names(tmp_path, name):
  with pytest.raises(UserError, match=rf'--report=.*{name} must end in \.json'):
    reports.write(str(tmp_path / name), TASK, reports.Report({}, {'own-size': {'model': NOTHING}}))
  assert not list(tmp_path.iterdir())


def test_folders_and_compared_reports_stay(tmp_path):
  report = reports.Report({'data': 'x'}, measured())
  reports.write(str(tmp_path / 'first.json'), TASK, report)
  with pytest.raises(UserError, match=r'first\.json: the result would replace'):
    reports.check_path(str(tmp_path / 'first.json'), [str(tmp_path / 'first.json')])
  for name in ('r.json', 's.md', 't.png'):
    (tmp_path / name / 'kept').mkdir(parents=True)
    with pytest.raises(UserError, match=f'{name}: it is a folder'):
      reports.check_path(str(tmp_path / name[0]) + '.json')
    with pytest.raises(UserError, match=f'{name}: it is a folder'):
      reports.write(str(tmp_path / name[0]) + '.json', TASK, report)
    assert (tmp_path / name / 'kept').is_dir()
