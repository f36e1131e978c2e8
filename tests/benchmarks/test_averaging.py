"""The table of the benchmark of moving averages."""
import numpy as np

from tests.benchmarks import averaging


def test_table():
  found = np.zeros([2, 1, 2, 2])
  found[:, 0, 0], found[:, 0, 1] = [[50., 40.], [52., 42.]], [[49., 41.], [49., 41.]]
  assert averaging.table([100], found).splitlines()[-1] == (
      '| 100 | 51.0 ± 1.0 | 49.0 ± 0.0 | -1.0, -3.0 | 41.0 ± 1.0 | 41.0 ± 0.0 | +1.0, -1.0 |')
