"""Pictures to compare networks on: coloured squares of several sizes with some noise."""
import numpy as np


def pictures(side: int) -> np.ndarray:
  """Two pictures [2, side, side, 3] float32 in 0..1, the same everywhere."""
  rng = np.random.default_rng(5)
  total = np.zeros((2, side, side, 3))
  for cells in (4, 8, 16):
    total += np.kron(rng.random((2, cells, cells, 3)), np.ones((1, side // cells, side // cells, 1)))
  return (0.3 * total + 0.1 * rng.random(total.shape)).astype(np.float32)
