"""Heat maps of joints: Gaussian bumps on the grid of a crop, written and read back with sub-pixel precision.

The maps of a crop are `[B, S, S, K]`; entry (row i, column j) stands for the crop-space point
((j + 0.5) 2 / S - 1, (i + 0.5) 2 / S - 1).
"""
import gin
import tensorflow as tf


def grid(size: int, dtype: tf.DType = tf.float32) -> tf.Tensor:
  """Crop-space coordinates `[size]` of the map's rows or columns."""
  return (tf.range(size, dtype=dtype) + 0.5) * (2 / size) - 1


@gin.configurable(module='heatmaps')
def encode(joints_crop: tf.Tensor, size: int = 32, sigma: float = 25 / 256) -> tf.Tensor:
  """Draws one bump per joint, the target H of Baek et al. 2019, Eq. 3.

    H_k(p) = exp(-|p - j_k|^2 / sigma^2), lengths as fractions of the crop side.

  The bump's width in the paper is not known; the default is that of Zimmermann and Brox 2017 (25 px of 256), whose
  network the paper starts from.

  Args:
    joints_crop: `[B, K, 2]` in crop space. Joints outside the crop get a map of zeros, as do NaNs.
    size: rows and columns of a map.
    sigma: width of the bump, as a fraction of the crop side.

  Returns:
    Maps `[B, size, size, K]` in [0, 1].
  """
  # The crop is 2 units of crop space wide: half of a coordinate is a fraction of the side.
  centers = grid(size, joints_crop.dtype) / 2
  inside = tf.reduce_all(tf.abs(joints_crop) <= 1, axis=-1)
  joints = tf.where(inside[..., None], joints_crop, 0.) / 2
  # A Gaussian is the product of its profiles along x and y.
  profiles = tf.exp(-tf.square((centers[:, None, None] - joints[:, None]) / sigma))  # [B, size, K, 2]
  maps = profiles[:, :, None, :, 1] * profiles[:, None, :, :, 0]
  return maps * tf.cast(inside, maps.dtype)[:, None, None]


@gin.configurable(module='heatmaps')
def decode(heatmaps: tf.Tensor, window: int = 5, max_offset: float = 1.) -> tuple[tf.Tensor, tf.Tensor]:
  """Finds each map's highest point: its largest entry, refined by a paraboloid fitted to the logarithm around it.

  The fit is by least squares over `window` x `window` entries and exact for Gaussian bumps of any width, whose
  logarithm is a paraboloid. As in the paper no gradient passes: the maps learn from their own loss only.

  Args:
    heatmaps: `[B, S, S, K]`.
    window: odd number of rows and columns that the fit sees; 1 keeps the largest entry.
    max_offset: how far from the largest entry, in entries, the answer may lie in x and in y.

  Returns:
    joints: `[B, K, 2]` in crop space.
    peak: `[B, K]` the largest entry, a measure of confidence.

  Raises:
    ValueError: the window is even or larger than the map.
  """
  size, count = heatmaps.shape[1], heatmaps.shape[3]
  if window % 2 == 0 or window > size:
    raise ValueError(f'heatmaps.decode: window must be odd and at most the map size {size}, got {window}')
  flat = tf.reshape(tf.transpose(tf.stop_gradient(heatmaps), [0, 3, 1, 2]), [-1, count, size * size])
  index = tf.argmax(flat, axis=-1, output_type=tf.int32)
  peak = tf.gather(flat, index, batch_dims=2)
  entry = tf.stack([index % size, index // size], axis=-1)  # [B, K, 2], (column, row)
  # The window stays inside the map; a parabola can be fitted beside its top as well.
  half = window // 2
  middle = tf.clip_by_value(entry, half, size - 1 - half)
  steps = tf.range(-half, half + 1)
  cells = ((middle[..., 1, None, None] + steps[:, None]) * size + middle[..., 0, None, None] + steps)
  values = tf.gather(flat, tf.reshape(cells, [-1, count, window * window]), batch_dims=2)
  top = tf.cast(middle, flat.dtype) + _parabola_top(values, peak, window)
  whole = tf.cast(entry, flat.dtype)
  top = tf.clip_by_value(tf.where(tf.math.is_finite(top), top, whole), whole - max_offset, whole + max_offset)
  return (top + 0.5) * (2 / size) - 1, peak


def _parabola_top(values: tf.Tensor, peak: tf.Tensor, window: int) -> tf.Tensor:
  """Top `[B, K, 2]` (x, y) of values `[B, K, window^2]`, from the window's middle; not finite where there is none.

  Weighted least squares of log v = a (x^2 + y^2) + b x + c y + d, whose top is (x, y) = -(b, c) / (2 a) if a < 0. The
  weights v^2 undo the logarithm's magnification of noise, and leave out entries at or below zero.
  """
  ratio = values / tf.maximum(peak, 1e-20)[..., None]
  weights = tf.square(tf.maximum(ratio, 0.))
  steps = tf.range(-(window // 2), window // 2 + 1, dtype=values.dtype)
  y, x = (tf.reshape(part, [-1]) for part in tf.meshgrid(steps, steps, indexing='ij'))
  basis = tf.stack([x * x + y * y, x, y, tf.ones_like(x)], axis=-1)  # [window^2, 4]
  # Normal equations (X^T W X) (a, b, c, d) = X^T W log v, [B, K, 4, 4] and [B, K, 4].
  matrix = tf.einsum('bkw,wi,wj->bkij', weights, basis, basis) + 1e-6 * tf.eye(4, dtype=values.dtype)
  right = tf.einsum('bkw,wi->bki', weights * tf.math.log(tf.maximum(ratio, 1e-20)), basis)
  solution = _solve_positive(matrix, right)
  curvature, slope = solution[..., :1], solution[..., 1:3]
  return tf.where(curvature < 0, -slope / (2 * curvature), float('nan'))


def _solve_positive(matrix: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
  """Solves positive definite systems `[..., N, N]` x = `[..., N]` for small N, by Gauss-Jordan elimination.

  Unlike `tf.linalg.solve` it never raises: where an entry is not finite, neither is the answer.
  """
  rows = tf.concat([matrix, right[..., None]], axis=-1)
  for i in range(matrix.shape[-1]):
    pivot = rows[..., i:i + 1, :] / rows[..., i:i + 1, i:i + 1]
    is_pivot = (tf.range(matrix.shape[-1]) == i)[:, None]
    rows = tf.where(is_pivot, pivot, rows - rows[..., i:i + 1] * pivot)
  return rows[..., -1]
