import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.methods.lifting import canonical
from tests.methods.model_fitting import hands


def joints(count=4):
  return tf.cast(hands.known(count)[2]['joints_3d'], tf.float64)


def test_definition():
  """Zimmermann and Brox 2017, section 4.2, word by word."""
  found = canonical.to_canonical(joints())
  middle, little = found.joints[:, 9].numpy(), found.joints[:, 17].numpy()
  np.testing.assert_allclose(found.joints[:, 0], 0, atol=1e-12)
  np.testing.assert_allclose(middle[:, [0, 2]], 0, atol=1e-12)
  np.testing.assert_allclose(little[:, 2], 0, atol=1e-12)
  assert (middle[:, 1] > 0).all() and (little[:, 0] > 0).all()
  np.testing.assert_allclose(tf.norm(found.joints[:, 6] - found.joints[:, 5], axis=-1), 1)
  np.testing.assert_allclose(tf.linalg.det(found.rotation), 1)
  np.testing.assert_allclose(tf.matmul(found.rotation, found.rotation, transpose_b=True), np.tile(np.eye(3), [4, 1, 1]),
                             atol=1e-12)


def test_is_the_product_of_the_papers_two_rotations():
  """R_xz, about z and then x, and R_y about y, by their angles."""
  points = joints(1)[0].numpy()
  relative = points - points[0]

  def turn(axis, angle):
    return rotations.axis_angle_to_matrix(tf.constant(np.eye(3)[axis] * angle)).numpy()
  x, y, _ = relative[9]
  r_z = turn(2, np.arctan2(x, y))
  _, y, z = r_z @ relative[9]
  r_xz = turn(0, -np.arctan2(z, y)) @ r_z
  x, _, z = r_xz @ relative[17]
  expected = turn(1, np.arctan2(z, x)) @ r_xz
  np.testing.assert_allclose(canonical.to_canonical(points[None]).rotation[0], expected, atol=1e-12)


def test_invariance():
  points = joints()
  turn = rotations.quaternion_to_matrix(tf.cast(rotations.random_rotations(4, 1), tf.float64))
  moved = 3.0 * tf.matmul(points, turn, transpose_b=True) + [1.0, -2.0, 0.5]
  one, other = canonical.to_canonical(points), canonical.to_canonical(moved)
  np.testing.assert_allclose(one.joints, other.joints, atol=1e-9)
  np.testing.assert_allclose(tf.matmul(other.rotation, turn), one.rotation, atol=1e-9)
  np.testing.assert_allclose(other.unit, 3 * one.unit)


def test_the_other_hand_differs_in_z():
  points = joints()
  right, left = canonical.to_canonical(points), canonical.to_canonical(points * [-1.0, 1.0, 1.0])
  np.testing.assert_allclose(left.joints, right.joints * [1.0, 1.0, -1.0], atol=1e-12)
  assert np.abs(right.joints[..., 2]).max() > 0.5


def test_round_trip():
  points = joints()
  found = canonical.to_canonical(points)
  back = canonical.from_canonical(found.joints, found.rotation) * found.unit[:, None, None] + points[:, :1]
  np.testing.assert_allclose(back, points, atol=1e-12)
