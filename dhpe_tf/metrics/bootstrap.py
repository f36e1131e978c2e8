"""Bootstrap intervals (Efron 1979): how far a mean would move if other instances had been measured."""
from typing import NamedTuple

import numpy as np

_AT_ONCE = 1 << 22  # numbers drawn together


class Interval(NamedTuple):
  """A mean and the ends of its interval."""

  mean: float
  low: float
  high: float


def mean_interval(values: np.ndarray, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
  """Computes the percentile interval of the mean: of means over N values drawn with replacement.

  Args:
    values: [N], at least one.
    level: share of the resampled means inside.
    resamples: number of resampled means.
    seed: of the draws.

  Returns:
    The mean of the values, and the interval.
  """
  values = np.asarray(values, np.float64)
  random, rows = np.random.default_rng(seed), max(1, _AT_ONCE // len(values))
  means = np.concatenate([
      values[random.integers(len(values), size=[min(rows, resamples - start), len(values)])].mean(1)
      for start in range(0, resamples, rows)])
  low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
  return Interval(float(values.mean()), float(low), float(high))
