import numpy as np
import pytest
from absl import flags

from dhpe_tf.tasks.hand.bench import splits
from dhpe_tf.tasks.measured import Line, Measure, Measured
from tests.benchmarks import generalisation
from tests.tasks.hand.hands import make_scene


def measured(error, view):
  values = {'mje_interp/root': error, 'mje_extrap_view/root': view, 'gap_extrap_view/root': view - error,
            'distance_correlation_view/root': 0.5}
  line = Line(np.arange(2.), np.full(2, error), np.ones([2, 2]))
  return Measured({name: Measure(value, 'mm', '') for name, value in values.items()}, {}, {'view, degrees': line})


def test_table_and_panels_are_means_over_the_seeds():
  flags.FLAGS(['generalisation'])
  found = {'train': {'seed 0': measured(10., 14.), 'seed 1': measured(12., 18.), 'ensemble of 2': measured(9., 13.)}}
  text = generalisation.table(found)
  assert '| train | 2 seeds | 11.0 ± 1.4 | - | - | 16.0 ± 2.8 | - | - |' in text
  assert '| train | ensemble of 2 | 9.0 | - | - | 13.0 | - | - |' in text
  assert '| train | 2 seeds | - | - | +5.0 ± 1.4 | - | - |' in text
  line = generalisation.panels(found)['view, degrees']['train']
  np.testing.assert_allclose(line.y, [11, 11])


def write_run(folder, off):
  """A run of two seeds and four hands a split whose wrists are off by `off` in crop space, on extrap_view by twice."""
  folder.mkdir()
  answers = []
  for split in splits.TESTS:
    points, labels = make_scene()
    ids = np.array([f'{split}/{number}' for number in range(4)]).astype('S')
    distance = np.tile(np.arange(4.)[:, None], [1, 4])
    np.savez(folder / f'crops_{split}_0.npz', **labels, id=ids, training_distance=distance)
    points['joints_crop'] = points['joints_crop'].copy()
    points['joints_crop'][:, 8, 0] += off * (2 if split == 'extrap_view' else 1)
    answers.append({name: points[name] for name in ('joints_3d_m', 'joints_2d', 'joints_crop')})
  for seed in range(2):
    np.savez(folder / f'train_{seed}.npz', **generalisation.joined(answers))
  return str(folder)


def test_runs_are_compared_in_one_table(tmp_path):
  flags.FLAGS(['generalisation'])
  found = generalisation.compared([write_run(tmp_path / 'good', 0.1), write_run(tmp_path / 'poor', 0.3)])
  assert list(found) == ['good, train', 'poor, train']
  assert list(found['good, train']) == ['seed 0', 'seed 1', 'ensemble of 2']
  good, poor = ({name: measure.value for name, measure in found[f'{run}, train']['seed 0'].measures.items()}
                for run in ('good', 'poor'))
  assert poor['mje_interp/root'] == pytest.approx(3 * good['mje_interp/root'])
  assert good['gap_extrap_view/root'] == pytest.approx(good['mje_interp/root'])
  error = good['mje_interp/root']
  assert f'| good, train | 2 seeds | {error:.1f} ± 0.0 |' in generalisation.table(found)


def test_a_folder_without_a_run_or_with_the_name_of_another_is_refused(tmp_path):
  flags.FLAGS(['generalisation'])
  with pytest.raises(SystemExit, match='has no predictions of train'):
    generalisation.compared([str(tmp_path)])
  with pytest.raises(SystemExit, match='the same name'):
    generalisation.compared([str(tmp_path / 'a' / 'run'), str(tmp_path / 'b' / 'run')])


def test_weights_to_start_from_are_read_by_layer_in_order(tmp_path):
  path = str(tmp_path / 'start.npz')
  np.savez(path, **{'trunk/01': np.ones(2), 'trunk/00': np.zeros(3), 'head/00': np.full(1, 2.), 'seed': 4})
  found = generalisation.started(path)
  assert {layer: [len(value) for value in values] for layer, values in found.items()} == {'head': [1], 'trunk': [3, 2]}
