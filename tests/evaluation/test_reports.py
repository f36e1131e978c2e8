import json

import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.evaluation import reports
from dhpe_tf.tasks.hand import measurements, metric_space, slices
from tests.tasks.hand.test_measurements import N, make_labels, perfect
from tests.tasks.hand.test_metric_space import _scene

NOTHING = {'joints_3d': None, 'joints_2d': None, 'mask': None}


@pytest.fixture
def by_protocol():
  predictions, labels = _scene()
  names = ('zb-rhd', 'freihand')
  return reports.Report(
      {'data': 'x'}, {'model': measurements.measure(predictions, labels)},
      by_protocol={name: {'model': metric_space.evaluate(name, predictions, labels)} for name in names},
      curves={name: {'model': metric_space.curves(name, predictions, labels, measurements.THRESHOLDS_M)}
              for name in names})


def test_report_files(tmp_path):
  labels = make_labels()
  answers = {'model': perfect(labels), 'mean training hand': measurements.mean_hand(labels, N)}
  report = reports.Report({'data': 'records', 'images': N},
                          {name: measurements.measure(answer, labels) for name, answer in answers.items()})
  reports.write(str(tmp_path / 'r.json'), report)
  found = json.loads((tmp_path / 'r.json').read_text())
  assert set(found['how']['alignment']) == set(found['results']['model']['joints_3d']) == set(measurements.ALIGNMENTS)
  text = (tmp_path / 'r.md').read_text()
  assert '| model | root+scale | 0.00 |' in text and 'mean training hand | PA' in text
  assert (tmp_path / 'r.png').read_bytes().startswith(b'\x89PNG')


def test_nothing_labelled(tmp_path):
  report = reports.Report({}, {'model': NOTHING}, {'model': {'side': {'left': {'images': 3, **NOTHING}}}})
  reports.write(str(tmp_path / 'empty.json'), report)
  text = (tmp_path / 'empty.md').read_text()
  assert '| model | - | - | - | - | - |' in text and '| side | left | 3 | - | - | - | - | - |' in text
  assert not (tmp_path / 'empty.png').exists()


def test_states_definitions_and_published_numbers(tmp_path, by_protocol):
  reports.write(str(tmp_path / 'r.json'), by_protocol)
  entry = json.loads((tmp_path / 'r.json').read_text())['protocols']['zb-rhd']
  assert entry['results']['model']['auc_zb/root_bone']['value'] == pytest.approx(1.)
  assert any(known['method'] == 'Baek et al. 2019' for known in entry['published_auc_20_50'])
  assert len(entry['pck_curves']['model']['root_bone']) == len(measurements.THRESHOLDS_M)
  text = (tmp_path / 'r.md').read_text()
  assert '| auc_zb/root_bone | 1.000 |' in text and 'area under the PCK curve from 21.05 to 50.00 mm' in text


def test_several_runs_in_one_plot(tmp_path, by_protocol, monkeypatch):
  drawn = {}
  monkeypatch.setattr(reports.curves, 'plot_pck', lambda path, thresholds, lines, title, levels, band: drawn.update(
      {title.partition(';')[0]: (list(lines), levels)}))
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'runs' / 'first').mkdir(parents=True)
  reports.write('runs/first/report.json', by_protocol)
  others = reports.read_curves(['runs/first/report.json'])
  reports.write('second.json', by_protocol, others)
  lines, levels = drawn['zb-rhd']
  assert lines == ['model, root_bone', 'runs/first, root_bone'] and levels['Baek et al. 2019 0.926'] == .926
  assert 'runs/first, PA' in drawn[''][0] and drawn['freihand'][1] == {}
  np.testing.assert_array_equal(others['zb-rhd']['runs/first, root_bone'],
                                by_protocol.curves['zb-rhd']['model']['root_bone'])


@pytest.mark.parametrize('content', [None, 'no json', '[]', '{"results": {}}'])
def test_what_is_no_report(tmp_path, content):
  path = tmp_path / 'other.json'
  if content is not None:
    path.write_text(content)
  with pytest.raises(UserError, match='other.json: no report of an evaluation'):
    reports.read_curves([str(path)])


def test_slices_are_in_the_table(tmp_path):
  labels = {**make_labels(), 'is_left': np.arange(N) < 2}
  kinds = slices.assign(labels, {})
  report = reports.Report({}, {'model': measurements.measure(perfect(labels), labels)},
                          {'model': slices.measure(perfect(labels), labels, kinds)})
  assert '| side | left | 2 | 0.00 | 0.00 | 0.00 | 0.00 | 1.000 |' in reports.table(report)
