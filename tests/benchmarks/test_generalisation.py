import numpy as np
from absl import flags

from dhpe_tf.tasks.measured import Line, Measure, Measured
from tests.benchmarks import generalisation


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
