import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.transform import Rotation

from dhpe_tf.geometry import rotations
from tests.gradients import assert_gradients_match

VECTORS = np.concatenate([np.random.default_rng(0).normal(size=[40, 3]),
                          1e-3 * np.random.default_rng(1).normal(size=[10, 3]), np.zeros([1, 3]),
                          [[np.pi - 1e-6, 0, 0], [0, 3.1, 0], [0, 0, -3.1]]])


def _quaternions(vectors):
  quaternions = Rotation.from_rotvec(vectors).as_quat()[:, [3, 0, 1, 2]]
  return quaternions * np.where(quaternions[:, :1] < 0, -1, 1)


def test_matrices_of_axis_angles_and_back():
  matrices = Rotation.from_rotvec(VECTORS).as_matrix()
  np.testing.assert_allclose(rotations.axis_angle_to_matrix(VECTORS), matrices, atol=1e-14)
  np.testing.assert_allclose(rotations.matrix_to_axis_angle(matrices), VECTORS, atol=1e-7)
  np.testing.assert_allclose(rotations.matrix_to_axis_angle(matrices)[:51], VECTORS[:51], atol=1e-12)


def test_quaternions():
  expected = _quaternions(VECTORS)
  matrices = Rotation.from_rotvec(VECTORS).as_matrix()
  np.testing.assert_allclose(rotations.axis_angle_to_quaternion(VECTORS), expected, atol=1e-14)
  np.testing.assert_allclose(rotations.quaternion_to_matrix(-3.7 * expected), matrices, atol=1e-14)
  np.testing.assert_allclose(rotations.matrix_to_quaternion(matrices), expected, atol=1e-12)
  np.testing.assert_allclose(rotations.quaternion_to_axis_angle(-expected), VECTORS, atol=1e-7)


def test_half_turns_are_found_whatever_the_axis():
  for axis in np.concatenate([np.eye(3), np.random.default_rng(2).normal(size=[10, 3])]):
    matrix = Rotation.from_rotvec(np.pi * axis / np.linalg.norm(axis)).as_matrix()
    back = rotations.axis_angle_to_matrix(rotations.matrix_to_axis_angle(matrix))
    np.testing.assert_allclose(back, matrix, atol=1e-7)


def test_product_is_second_then_first():
  first, second = _quaternions(VECTORS[:20]), _quaternions(VECTORS[20:40])
  product = rotations.quaternion_to_matrix(rotations.quaternion_multiply(first, second))
  expected = rotations.quaternion_to_matrix(first) @ rotations.quaternion_to_matrix(second)
  np.testing.assert_allclose(product, expected, atol=1e-14)


@pytest.mark.parametrize('shape', [[], [0], [2, 5]])
def test_any_leading_dimensions(shape):
  vectors = np.random.default_rng(3).uniform(-1.5, 1.5, size=shape + [3]).astype(np.float32)
  matrices = rotations.axis_angle_to_matrix(vectors)
  assert matrices.shape == shape + [3, 3]
  assert matrices.dtype == tf.float32
  assert rotations.matrix_to_quaternion(matrices).shape == shape + [4]
  np.testing.assert_allclose(rotations.matrix_to_axis_angle(matrices), vectors, atol=2e-6)


def test_unknown_dimensions_in_a_graph():
  @tf.function(input_signature=[tf.TensorSpec([None, None, 3])])
  def convert(x):
    return rotations.axis_angle_to_matrix(x)
  vectors = np.ones([2, 4, 3], np.float32)
  np.testing.assert_allclose(convert(vectors), rotations.axis_angle_to_matrix(vectors), atol=1e-6)


@pytest.mark.parametrize('vectors', [np.zeros([2, 3]), VECTORS[:4], 0.00316 * VECTORS[:4], VECTORS[40:44]])
def test_gradients_of_axis_angles(vectors):
  assert_gradients_match(rotations.axis_angle_to_matrix, [vectors])
  assert_gradients_match(rotations.axis_angle_to_quaternion, [vectors])


@pytest.mark.parametrize('jit', [False, True])
def test_float32_gradients_of_any_angle(jit):
  sizes = np.repeat([0, 1e-30, 1e-12, 1e-7, 1e-4, 1e-2, 1, 3.1, 30, 1e3], 3)[:, None]
  directions = np.tile(VECTORS[:3] / np.linalg.norm(VECTORS[:3], axis=1, keepdims=True), [10, 1])
  weights = np.random.default_rng(4).normal(size=[30, 3, 3])

  @tf.function(jit_compile=jit)
  def gradient(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = tf.reduce_sum(rotations.axis_angle_to_matrix(x) * tf.cast(weights, x.dtype))
    return tape.gradient(y, x)

  vectors = tf.constant(sizes * directions, tf.float32)
  error = np.abs(gradient(vectors).numpy() - gradient(tf.cast(vectors, tf.float64)).numpy())
  assert (error < np.where(sizes < 4, 4e-6, 4e-4)).all()


def test_gradients_of_the_others():
  quaternions = 1.7 * np.concatenate([_quaternions(VECTORS[:4]), [[1, 0, 0, 0]]])
  assert_gradients_match(rotations.quaternion_to_matrix, [quaternions])
  assert_gradients_match(rotations.matrix_to_axis_angle, [Rotation.from_rotvec(VECTORS[:3]).as_matrix()])
  assert_gradients_match(rotations.matrix_to_axis_angle, [np.eye(3)])
  assert_gradients_match(rotations.quaternion_multiply, [quaternions[:2], quaternions[2:4]])


def test_zero_quaternion_is_finite():
  with tf.GradientTape() as tape:
    zero = tf.Variable(tf.zeros([1, 4]))
    matrix = rotations.quaternion_to_matrix(zero)
  np.testing.assert_array_equal(matrix[0], np.eye(3))
  assert np.isfinite(tape.gradient(matrix, zero)).all()


def test_random_rotations_are_uniform_and_repeat():
  quaternions = rotations.random_rotations(20000, 5)
  np.testing.assert_allclose(tf.norm(quaternions, axis=1), 1, atol=1e-6)
  np.testing.assert_array_equal(quaternions, rotations.random_rotations(20000, 5))
  assert not np.allclose(quaternions, rotations.random_rotations(20000, [6, 0]))
  # Uniform on the rotation group: every entry of the matrix has mean 0 and variance 1/3.
  matrices = rotations.quaternion_to_matrix(quaternions).numpy().reshape(-1, 9)
  np.testing.assert_allclose(matrices.mean(0), 0, atol=0.02)
  np.testing.assert_allclose(matrices.var(0), 1 / 3, atol=0.02)


@pytest.mark.parametrize('dtype, tolerance', [('float64', 1e-8), ('float32', 1e-6)])
def test_left_jacobian_is_the_turn_that_follows_a_change(dtype, tolerance):
  """By central differences of SciPy's rotations: R(a + da) R(a - da)^-1 = R(2 J da)."""
  vectors = np.concatenate([VECTORS[:51], [[0.09, 0.03, 0.], [0.08, -0.06, 0.01]]])
  found = rotations.left_jacobian(tf.constant(vectors, dtype)).numpy()
  for axis, step in enumerate(1e-6 * np.eye(3)):
    turn = (Rotation.from_rotvec(vectors + step) * Rotation.from_rotvec(vectors - step).inv()).as_rotvec() / 2e-6
    np.testing.assert_allclose(found[..., axis], turn, atol=tolerance)


def test_cross_is_numpys():
  first, second = VECTORS[:20].reshape(2, 2, 5, 3), VECTORS[20:25]
  np.testing.assert_allclose(rotations.cross(tf.constant(first), tf.constant(second)), np.cross(first, second))
  columns = np.random.default_rng(5).normal(size=[4, 3, 2])
  found = rotations.cross(tf.constant(first[0, 0, :4, :, None]), tf.constant(columns), axis=1)
  np.testing.assert_allclose(found, np.cross(first[0, 0, :4, :, None], columns, axis=1))


@pytest.mark.parametrize('dtype, atol', [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_the_nearest_rotation_is_that_of_singular_values(dtype, atol):
  # Also flat clouds, as the joints of a palm nearly are, and mirrored ones.
  clouds = np.random.default_rng(0).normal(size=[60, 2, 7, 3]) * [1, 1, 0.2]
  clouds[:20, 0, :, 2] = 0
  clouds -= clouds.mean(2, keepdims=True)
  expected = [Rotation.align_vectors(goal, points)[0].as_matrix() for points, goal in clouds]
  matrices = np.einsum('njx,njy->nxy', clouds[:, 1], clouds[:, 0])
  for scale in (1e-4, 1., 1e4):
    found = rotations.nearest_rotation(tf.constant(scale * matrices, dtype))
    np.testing.assert_allclose(rotations.quaternion_to_matrix(found), expected, atol=atol)
  np.testing.assert_allclose(rotations.nearest_rotation(tf.zeros([2, 5, 3, 3])), np.tile([1., 0, 0, 0], [2, 5, 1]))
