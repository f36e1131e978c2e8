import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.methods.cross_modal_vae import modalities
from tests.gradients import assert_gradients_match
from tests.methods.dhpe import example_batch

ROOT, WRIST = 9, 0


def batch(count=3):
  made = example_batch.make_batch(count)
  return {**{name: value for name, value in made.items() if name != 'id'}, 'visibility': tf.ones([count, 21])}


def test_canonical_hands_have_neither_place_nor_size():
  joints, weights = batch()['joints_3d_m'], tf.ones([3, 21])
  found = modalities.canonical(joints, weights)
  np.testing.assert_allclose(found.joints[:, ROOT], 0, atol=1e-6)
  np.testing.assert_allclose(tf.norm(found.joints[:, WRIST], axis=-1), 1, rtol=1e-5)
  np.testing.assert_allclose(found.bone_m, np.linalg.norm(joints[:, ROOT] - joints[:, WRIST], axis=-1), rtol=1e-5)
  again = modalities.canonical(2.5 * joints + [0.1, -0.2, 0.5], weights)
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
    found = modalities.canonical(joints, tf.constant(weights))
  np.testing.assert_array_equal(found.known, [1, 0, 0])
  np.testing.assert_array_equal(found.weights.numpy().sum(1), [20, 0, 0])
  assert np.isfinite(found.joints).all() and not np.any(found.joints[1:]) and not np.any(found.joints[0, 5])
  assert np.isfinite(tape.gradient(found.joints, joints)).all()


def test_size_of_decoded_hands_is_that_of_the_palm():
  true = modalities.canonical(batch()['joints_3d_m'], tf.ones([3, 21])).joints
  np.testing.assert_allclose(modalities.missized(true), 0, atol=1e-5)
  np.testing.assert_allclose(modalities.missized(1.5 * true), 0.5, rtol=1e-4)
  np.testing.assert_allclose(modalities.missized(0.2 * true), 0.8, rtol=1e-4)
  assert_gradients_match(modalities.missized, [1.3 * true.numpy().astype(np.float64)])
  with tf.GradientTape() as tape:
    none = tf.zeros([1, 21, 3])
    tape.watch(none)
    off = modalities.missized(none)
  assert np.isfinite(tape.gradient(off, none)).all()


def test_gradients_of_the_canonical_frame():
  joints = batch(1)['joints_3d_m'].numpy().astype(np.float64)
  assert_gradients_match(lambda x: modalities.canonical(x, tf.ones([1, 21], tf.float64)).joints, [joints])


def test_errors_are_zero_for_the_truth_and_count_labelled_joints_only():
  data = batch()
  true = modalities.canonical(data['joints_3d_m'], data['joints_3d_weight'])
  for name, answer in (('joints_2d', data['joints_2d']), ('joints_3d', true.joints), ('image', data['image'])):
    values, weights = modalities.MODALITIES[name].error(data, answer)
    np.testing.assert_allclose(values, 0, atol=1e-8)
    np.testing.assert_array_equal(weights, 1)
    off, _ = modalities.MODALITIES[name].error(data, answer + 0.1)
    np.testing.assert_allclose(off, answer.shape[-1] * 0.01, rtol=1e-3)
  half = {**data, 'joints_2d_weight': tf.constant([[1.] * 10 + [0.] * 11] * 2 + [[0.] * 21])}
  answer = tf.concat([data['joints_2d'][:, :10], data['joints_2d'][:, 10:] + 5], axis=1)
  values, weights = modalities.MODALITIES['joints_2d'].error(half, answer)
  np.testing.assert_allclose(values, 0, atol=1e-8)
  np.testing.assert_array_equal(weights, [1, 1, 0])


@pytest.mark.parametrize('name, entry', [('image', 'image'), ('joints_2d', 'visibility'),
                                         ('joints_3d', 'joints_3d_weight')])
def test_an_absent_modality_is_not_present(name, entry):
  data = batch()
  np.testing.assert_array_equal(modalities.MODALITIES[name].present(data), 1)
  mask = tf.reshape(tf.constant([1., 0., 1.]), [3] + [1] * (len(data[entry].shape) - 1))
  np.testing.assert_array_equal(modalities.MODALITIES[name].present({**data, entry: mask * data[entry]}), [1, 0, 1])
