import numpy as np
import pytest

from dhpe_tf.metrics import bootstrap


def test_the_interval_is_that_of_the_standard_error():
  values = np.random.default_rng(0).normal(5, 2, 400)
  found = bootstrap.mean_interval(values, resamples=4000)
  error = values.std() / np.sqrt(len(values))
  assert found.mean == values.mean()
  assert found.high - found.mean == pytest.approx(1.96 * error, rel=0.08)
  assert found.mean - found.low == pytest.approx(1.96 * error, rel=0.08)


def test_equal_values_have_no_spread_and_seeds_repeat():
  assert bootstrap.mean_interval([3., 3.]) == (3., 3., 3.)
  values = np.arange(10.)
  assert bootstrap.mean_interval(values, seed=1) == bootstrap.mean_interval(values, seed=1)
  assert bootstrap.mean_interval(values, level=0.5).low > bootstrap.mean_interval(values, level=0.95).low
