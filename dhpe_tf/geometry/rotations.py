"""Rotations: axis-angle, unit quaternions (w, x, y, z) and matrices, each differentiable everywhere it is smooth.

All functions take any leading dimensions and compute in the dtype of their input. Matrices act on columns: y = R x.
Below, a is an axis-angle vector of angle theta = |a|, q = (w, v) a quaternion with real part w and vector part v, and
K(a) the cross-product matrix, K(a) x = a cross x.
"""
from collections.abc import Sequence
from typing import Callable, Union

import numpy as np
import tensorflow as tf

# Below this squared angle the power series are exact to the last digit of float64 (remainder theta^6 / 5040).
_SMALL_SQUARED = 1e-5
# The same where the digits of 1 - cos(theta) are lost sooner (remainder theta^6 / 40320, in float32).
_SMALL_SERIES_SQUARED = 1e-2
# Added to squared angles under a root: its own root times any float32 is still finite.
_VANISHING_SQUARED = 1e-24
# Quaternions whose squared length is below this count as zero; its square is still a float32.
_TINY_SQUARED = 1e-18
_LEAST_LENGTH = 1e-30  # of a matrix, so that zeros stay zeros
_SQUARINGS = 16  # eigenvalues apart by a thousandth of their size are told apart
# Linear map from a vector to its cross-product matrix, row by row: [3, 9].
_CROSS = np.array([[0, 0, 0, 0, 0, -1, 0, 1, 0],
                   [0, 0, 1, 0, 0, 0, -1, 0, 0],
                   [0, -1, 0, 1, 0, 0, 0, 0, 0]], np.float64)
# The entries of a a^T to those of the square of a's cross-product matrix, a a^T - |a|^2 I: [9, 9].
_OUTER_TO_CROSS_SQUARED = np.eye(9) - np.outer(np.eye(3).ravel(), np.eye(3).ravel())


def _outer_to_matrix() -> np.ndarray:
  """Linear map [16, 9] from the entries of q q^T to (R - I) / 2 = w K(v) + K(v)^2 of a unit quaternion q."""
  table = np.zeros((4, 4, 3, 3))
  for axis in range(3):
    one, two = (axis + 1) % 3, (axis + 2) % 3
    table[one + 1, one + 1, axis, axis] = table[two + 1, two + 1, axis, axis] = -1
    table[one + 1, two + 1, one, two] = table[one + 1, two + 1, two, one] = 1
    table[0, axis + 1, two, one] = 1
    table[0, axis + 1, one, two] = -1
  return table.reshape(16, 9)


def _matrix_to_outer() -> np.ndarray:
  """Linear map [9, 16] from the entries of R to those of 4 q q^T - I, q the unit quaternion of R."""
  table = np.zeros((3, 3, 4, 4))
  for axis in range(3):
    one, two = (axis + 1) % 3, (axis + 2) % 3
    table[axis, axis, 0, 0] = table[axis, axis, axis + 1, axis + 1] = 1
    table[axis, axis, one + 1, one + 1] = table[axis, axis, two + 1, two + 1] = -1
    for i, j in ((one, two), (two, one)):
      table[i, j, one + 1, two + 1] = table[i, j, two + 1, one + 1] = 1
    for i, j in ((0, axis + 1), (axis + 1, 0)):
      table[two, one, i, j], table[one, two, i, j] = 1, -1
  return table.reshape(9, 16)


def _hamilton_product() -> np.ndarray:
  """Linear map [16, 4] from the entries of p q^T to the Hamilton product of the quaternions p and q."""
  table = np.zeros((4, 4, 4))
  table[0, 0, 0] = 1
  for axis in range(1, 4):
    table[0, axis, axis] = table[axis, 0, axis] = 1
    table[axis, axis, 0] = -1
  for i, j, k in ((1, 2, 3), (2, 3, 1), (3, 1, 2)):
    table[i, j, k], table[j, i, k] = 1, -1
  return table.reshape(16, 4)


_OUTER_TO_MATRIX, _MATRIX_TO_OUTER, _HAMILTON = _outer_to_matrix(), _matrix_to_outer(), _hamilton_product()


def _batched(fn: Callable, x: tf.Tensor, rank: int, tail: list) -> tf.Tensor:
  """Applies fn on [N, ...] to x with any leading dimensions; the last `rank` dimensions of x become `tail`."""
  x = tf.convert_to_tensor(x)
  lead = x.shape[:-rank]
  y = fn(tf.reshape(x, [-1] + x.shape[-rank:].as_list()))
  # Static shapes where they are known: XLA and the eager mode are spared the shape arithmetic.
  if lead.is_fully_defined():
    return tf.reshape(y, lead.as_list() + tail)
  return tf.reshape(y, tf.concat([tf.shape(x)[:-rank], tail], axis=0))


def _times(x: tf.Tensor, table: np.ndarray) -> tf.Tensor:
  """Multiplies x [N, ...], flattened to [N, n], by a constant [n, m]."""
  return tf.matmul(tf.reshape(x, [-1, table.shape[0]]), tf.constant(table, x.dtype))


def rotation_offsets(axis_angle: tf.Tensor) -> tf.Tensor:
  """R - I of axis-angle vectors, the form that pose-dependent blend shapes take (MANO Eq. 3).

  Rodrigues' formula, by the half angle, which loses no digits of 1 - cos(theta):

    R - I = sin(theta) / theta K(a) + (1 - cos(theta)) / theta^2 K(a)^2
          = 2 s (cos(theta / 2) K(a) + s K(a)^2),    s = sin(theta / 2) / theta.

  A tiny number under the square root keeps theta above zero, so that one formula and its gradient serve all angles.

  Args:
    axis_angle: [N, 3] radians.

  Returns:
    [N, 9], row by row.
  """
  squared = tf.reduce_sum(axis_angle * axis_angle, axis=-1, keepdims=True)
  angle = tf.sqrt(squared + _VANISHING_SQUARED)
  half = 0.5 * angle
  sinc = tf.sin(half) / angle  # s, [N, 1]
  outer = tf.reshape(axis_angle[:, :, None] * axis_angle[:, None, :], [-1, 9])  # a a^T = K(a)^2 + theta^2 I
  return 2 * sinc * (tf.cos(half) * _times(axis_angle, _CROSS) + sinc * _times(outer, _OUTER_TO_CROSS_SQUARED))


def axis_angle_to_matrix(axis_angle: tf.Tensor) -> tf.Tensor:
  """Rotation matrices of axis-angle vectors by Rodrigues' formula (see `rotation_offsets`).

  Args:
    axis_angle: [..., 3] radians.

  Returns:
    [..., 3, 3]; the gradient is finite and exact at zero rotation.
  """
  return _batched(lambda x: rotation_offsets(x) + tf.constant(np.eye(3).reshape(9), x.dtype), axis_angle, 1, [3, 3])


def left_jacobian(axis_angle: tf.Tensor) -> tf.Tensor:
  """The matrices [..., 3, 3] that take a change of an axis-angle vector [..., 3] to the turn that follows it.

  R(a + da) = R(J da) R(a) to first order, with theta = |a| (Chirikjian 2012, 10.86; Sola et al. 2018, Eq. 145):

    J = I + (1 - cos(theta)) / theta^2 K(a) + (theta - sin(theta)) / theta^3 K(a)^2,

  for small theta by the power series of its factors in theta^2.
  """
  def convert(x):
    squared = tf.reduce_sum(x * x, axis=-1, keepdims=True)  # theta^2, [N, 1]
    small = squared < _SMALL_SERIES_SQUARED
    safe = tf.where(small, tf.ones_like(squared), squared)
    angle = tf.sqrt(safe)
    first = tf.where(small, 1 / 2 - squared * (1 / 24 - squared / 720), (1 - tf.cos(angle)) / safe)
    second = tf.where(small, 1 / 6 - squared * (1 / 120 - squared / 5040), (angle - tf.sin(angle)) / (safe * angle))
    outer = tf.reshape(x[:, :, None] * x[:, None, :], [-1, 9])
    return (tf.constant(np.eye(3).reshape(9), x.dtype) + first * _times(x, _CROSS)
            + second * _times(outer, _OUTER_TO_CROSS_SQUARED))
  return _batched(convert, axis_angle, 1, [3, 3])


def cross(first: tf.Tensor, second: tf.Tensor, axis: int = -1) -> tf.Tensor:
  """Cross products of vectors that lie along an axis of size 3; the other axes broadcast."""
  (a, b, c), (x, y, z) = (tf.split(vectors, 3, axis=axis) for vectors in (first, second))
  return tf.concat([b * z - c * y, c * x - a * z, a * y - b * x], axis=axis)


def axis_angle_to_quaternion(axis_angle: tf.Tensor) -> tf.Tensor:
  """Unit quaternions [..., 4] (w, x, y, z) of axis-angle vectors [..., 3], radians.

  q = (cos(theta / 2), sin(theta / 2) / theta a), for small theta by its power series in theta^2.
  """
  def convert(x):
    squared = tf.reduce_sum(x * x, axis=-1, keepdims=True)  # theta^2, [N, 1]
    small = squared < _SMALL_SQUARED
    angle = tf.sqrt(tf.where(small, tf.ones_like(squared), squared))
    real = tf.where(small, 1 - squared * (1 / 8 - squared / 384), tf.cos(0.5 * angle))
    scale = tf.where(small, 0.5 - squared * (1 / 48 - squared / 3840), tf.sin(0.5 * angle) / angle)
    return tf.concat([real, scale * x], axis=-1)
  return _batched(convert, axis_angle, 1, [4])


def quaternion_to_matrix(quaternion: tf.Tensor) -> tf.Tensor:
  """Rotation matrices of quaternions of any length: R = I + 2 (w K(v) + K(v)^2) / |q|^2.

  Args:
    quaternion: [..., 4] (w, x, y, z); normalised here. A zero quaternion gives the identity.

  Returns:
    [..., 3, 3].
  """
  def convert(q):
    outer = tf.reshape(q[:, :, None] * q[:, None, :], [-1, 16])
    length = tf.maximum(tf.reduce_sum(q * q, axis=-1, keepdims=True), _TINY_SQUARED)
    return _times(outer, _OUTER_TO_MATRIX) * (2 / length) + tf.constant(np.eye(3).reshape(9), q.dtype)
  return _batched(convert, quaternion, 1, [3, 3])


def matrix_to_quaternion(matrix: tf.Tensor) -> tf.Tensor:
  """Unit quaternions of rotation matrices.

  4 q q^T is linear in the entries of R, and each of its columns is q times a number. The column with the largest
  diagonal entry 4 q_i^2 is never near zero; it is normalised.

  Args:
    matrix: [..., 3, 3].

  Returns:
    [..., 4] (w, x, y, z) with w >= 0.
  """
  def convert(m):
    outer = tf.reshape(_times(m, _MATRIX_TO_OUTER) + tf.constant(np.eye(4).reshape(16), m.dtype), [-1, 4, 4])
    return _from_outer(outer)
  return _batched(convert, matrix, 2, [4])


def nearest_rotation(matrix: tf.Tensor) -> tf.Tensor:
  """Unit quaternions of the rotations R that maximise trace(R^T M), the best ones between point sets (Kabsch 1976).

  trace(R(q)^T M) is q^T N q plus a constant, with N linear in M (Horn, Closed-form solution of absolute orientation
  using unit quaternions, 1987), so q is the eigenvector of the largest eigenvalue. Powers of N + c I, all of whose
  eigenvalues are positive, tend to a multiple of q q^T. This takes products of matrices only, which runtimes on devices
  have; most have no singular values. If several rotations are equally good, one of those between them is returned.

  Args:
    matrix: [..., 3, 3], sum_j q_j p_j^T for points p_j that are turned onto q_j, both about their means.

  Returns:
    [..., 4] (w, x, y, z) with w >= 0; no rotation for a matrix of zeros.
  """
  def convert(m):
    form = tf.reshape(_times(m, _OUTER_TO_MATRIX.T), [-1, 4, 4])
    form += tf.linalg.matrix_transpose(form)
    length = tf.sqrt(tf.reduce_sum(form * form, axis=[1, 2], keepdims=True))
    power = form / tf.maximum(length, _LEAST_LENGTH) + tf.constant(np.eye(4), m.dtype)
    for _ in range(_SQUARINGS):
      power = tf.matmul(power, power)
      power /= tf.reduce_sum(_diagonal(power), axis=1)[:, None, None]
    return _from_outer(power)
  return _batched(convert, matrix, 2, [4])


def _from_outer(outer: tf.Tensor) -> tf.Tensor:
  """Unit quaternions q [N, 4], w >= 0, of multiples of q q^T [N, 4, 4]: the column of the largest diagonal entry."""
  column = tf.gather(outer, tf.argmax(_diagonal(outer), axis=-1), axis=1, batch_dims=1)
  unit = column / tf.norm(column, axis=-1, keepdims=True)
  return tf.where(unit[:, :1] < 0, -unit, unit)


def _diagonal(matrix: tf.Tensor) -> tf.Tensor:
  """The diagonals [N, 4] of matrices [N, 4, 4]."""
  return tf.reshape(matrix, [-1, 16])[:, ::5]


def quaternion_to_axis_angle(quaternion: tf.Tensor) -> tf.Tensor:
  """Axis-angle vectors [..., 3] with angles in [0, pi] of unit quaternions [..., 4] (w, x, y, z).

  a = 2 atan2(|v|, w) / |v| v, for small |v| by the power series in |v|^2. Of q and -q, the same
  rotation, the one with w >= 0 is taken.
  """
  def convert(q):
    q = tf.where(q[:, :1] < 0, -q, q)
    vector = q[:, 1:]
    squared = tf.reduce_sum(vector * vector, axis=-1, keepdims=True)  # |v|^2, [N, 1]
    small = squared < _SMALL_SQUARED
    sine = tf.sqrt(tf.where(small, tf.ones_like(squared), squared))
    return vector * tf.where(small, 2 + squared * (1 / 3 + squared * 3 / 20), 2 * tf.atan2(sine, q[:, :1]) / sine)
  return _batched(convert, quaternion, 1, [3])


def matrix_to_axis_angle(matrix: tf.Tensor) -> tf.Tensor:
  """Axis-angle vectors [..., 3], angles in [0, pi], of rotation matrices [..., 3, 3]; safe gradient at the identity."""
  return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


def quaternion_multiply(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
  """Hamilton product [..., 4] of quaternions [..., 4] (w, x, y, z): the rotation `second`, then `first`.

  (w1, v1) (w2, v2) = (w1 w2 - v1 . v2, w1 v2 + w2 v1 + v1 cross v2).
  """
  outer = first[..., :, None] * second[..., None, :]
  return _batched(lambda x: _times(x, _HAMILTON), outer, 2, [4])


def random_rotations(count: int, seed: Union[int, Sequence[int]]) -> tf.Tensor:
  """Uniformly distributed rotations: unit quaternions [count, 4], float32, the same for the same seed (int or pair)."""
  pair = tf.stack([seed, 0]) if isinstance(seed, (int, np.integer)) else seed
  return tf.math.l2_normalize(tf.random.stateless_normal([count, 4], pair), axis=-1)
