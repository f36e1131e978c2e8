import numpy as np
import tensorflow as tf

from dhpe_tf.hand import canonical_hand
from tests.gradients import assert_gradients_match
from tests.methods.dhpe import example_batch

ROOT, WRIST = 9, 0


def batch(count=3):
  return example_batch.make_batch(count)


def test_canonical_hands_have_neither_place_nor_size():
  joints, weights = batch()['joints_3d_m'], tf.ones([3, 21])
  found = canonical_hand.canonical(joints, weights)
  np.testing.assert_allclose(found.joints[:, ROOT], 0, atol=1e-6)
  np.testing.assert_allclose(tf.norm(found.joints[:, WRIST], axis=-1), 1, rtol=1e-5)
  np.testing.assert_allclose(found.bone_m, np.linalg.norm(joints[:, ROOT] - joints[:, WRIST], axis=-1), rtol=1e-5)
  again = canonical_hand.canonical(2.5 * joints + [0.1, -0.2, 0.5], weights)
  np.testing.assert_allclose(again.joints, found.joints, atol=1e-5)
  back = found.joints * found.bone_m[:, None, None] + joints[:, ROOT, None]
  np.testing.assert_allclose(back, joints, atol=1e-6)


def test_joints_without_label_are_zeros_and_hands_without_root_or_wrist_are_unknown():
  joints = batch()['joints_3d_m'].numpy()
  weights = np.ones([3, 21], np.float32)
  joints[0, 5], weights[0, 5] = np.nan, 0
  joints[1, WRIST], weights[1, WRIST] = np.nan, 0
  joints[2, ROOT] = joints[2, WRIST]
  joints = tf.constant(joints)
  with tf.GradientTape() as tape:
    tape.watch(joints)
    found = canonical_hand.canonical(joints, tf.constant(weights))
  np.testing.assert_array_equal(found.known, [1, 0, 0])
  np.testing.assert_array_equal(found.weights.numpy().sum(1), [20, 0, 0])
  assert np.isfinite(found.joints).all() and not np.any(found.joints[1:]) and not np.any(found.joints[0, 5])
  assert np.isfinite(tape.gradient(found.joints, joints)).all()


def test_size_of_decoded_hands_is_that_of_the_palm():
  true = canonical_hand.canonical(batch()['joints_3d_m'], tf.ones([3, 21])).joints
  np.testing.assert_allclose(canonical_hand.missized(true), 0, atol=1e-5)
  np.testing.assert_allclose(canonical_hand.missized(1.5 * true), 0.5, rtol=1e-4)
  np.testing.assert_allclose(canonical_hand.missized(0.2 * true), 0.8, rtol=1e-4)
  assert_gradients_match(canonical_hand.missized, [1.3 * true.numpy().astype(np.float64)])
  with tf.GradientTape() as tape:
    none = tf.zeros([1, 21, 3])
    tape.watch(none)
    off = canonical_hand.missized(none)
  assert np.isfinite(tape.gradient(off, none)).all()


def test_gradients_of_the_canonical_frame():
  joints = batch(1)['joints_3d_m'].numpy().astype(np.float64)
  assert_gradients_match(lambda x: canonical_hand.canonical(x, tf.ones([1, 21], tf.float64)).joints, [joints])
