"""Principal components of shapes, and sparse regressors of points from vertices."""
import numpy as np
from scipy.optimize import nnls

MAX_NON_ZEROS = 12
CANDIDATES = 100
# Weight of the equation sum = 1, relative to the size of the data.
SUM_WEIGHT = 10.0


def principal_components(samples: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Mean shape and scaled principal directions; standard normal coefficients give the spread of the samples.

    shape = mean + sum_k beta_k sigma_k direction_k,    sigma_k the standard deviation along direction k.

  Args:
    samples: [P, V, 3].
    count: number of components.

  Returns:
    mean [V, 3], scaled directions [V, 3, count], and each component's share of the variance [count].
  """
  mean = samples.mean(0)
  centred = (samples - mean).reshape(len(samples), -1)
  _, values, rows = np.linalg.svd(centred, full_matrices=False)
  variance = values ** 2 / (len(samples) - 1)
  # The sign of a singular vector is arbitrary: its largest entry along -x, that is toward longer fingers, is made
  # positive.
  direction = rows[:count].reshape(count, -1, 3)
  largest = np.take_along_axis(direction[:, :, 0], np.abs(direction[:, :, 0]).argmax(1)[:, None], axis=1)[:, 0]
  scale = -np.sign(largest) * np.sqrt(variance[:count])
  return mean, np.moveaxis(direction * scale[:, None, None], 0, -1), variance[:count] / variance.sum()


def fit_regressor(samples: np.ndarray, targets: np.ndarray, candidates: np.ndarray) -> np.ndarray:
  """Fits non-negative weights w, at most MAX_NON_ZEROS, with sum 1, that make a point from vertices.

    minimises sum_p |sum_v w_v (x_pv - target_p)|^2 + scale^2 (sum_v w_v - 1)^2

  by non-negative least squares; the smallest weights are dropped until few enough are left.

  Args:
    samples: x [P, V, 3] meshes.
    targets: [P, 3] the point for each mesh.
    candidates: [C] vertices that may take part.

  Returns:
    w [V].
  """
  centre = targets[:, None]
  system = np.moveaxis(samples[:, candidates] - centre, 1, 2).reshape(-1, len(candidates))
  scale = SUM_WEIGHT * np.sqrt((system ** 2).sum() / len(candidates))
  chosen = np.arange(len(candidates))
  while True:
    weights = _solve(system[:, chosen], scale)
    used = np.flatnonzero(weights > 1e-3)
    if len(used) <= MAX_NON_ZEROS and len(used) == len(chosen):
      break
    # Drops at most a quarter of the weights at a time, so that the others can take over.
    keep = used if len(used) <= MAX_NON_ZEROS else used[np.argsort(-weights[used], kind='stable')][
        :max(MAX_NON_ZEROS, int(0.75 * len(used)))]
    chosen = chosen[np.sort(keep)]
  row = np.zeros(samples.shape[1])
  row[candidates[chosen]] = weights / weights.sum()
  return row


def nearest_vertices(vertices: np.ndarray, point: np.ndarray, allowed: np.ndarray) -> np.ndarray:
  """Numbers of the CANDIDATES vertices nearest to a point, in increasing order.

  Args:
    vertices: [V, 3].
    point: [3].
    allowed: [V] bool, vertices to choose from.
  """
  distance = np.where(allowed, np.linalg.norm(vertices - point, axis=1), np.inf)
  return np.sort(np.argsort(distance, kind='stable')[:min(CANDIDATES, int(allowed.sum()))])


def _solve(system: np.ndarray, scale: float) -> np.ndarray:
  """Solves the non-negative least squares of `fit_regressor` on a triangular factor, whose square system is fast.

  Args:
    system: [3 P, C].
    scale: weight of the equation sum = 1.

  Returns:
    [C].
  """
  stacked = np.concatenate([system, np.full((1, system.shape[1]), scale)])
  upper = np.linalg.qr(stacked, mode='r')
  right = np.linalg.lstsq(upper.T, scale * scale * np.ones(system.shape[1]), rcond=None)[0]
  return nnls(upper, right, maxiter=50 * system.shape[1])[0]
