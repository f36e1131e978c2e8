import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.hand import canonical_hand
from dhpe_tf.methods.cross_modal_vae import modalities
from tests.methods.dhpe import example_batch


def batch(count=3):
  made = example_batch.make_batch(count)
  return {**{name: value for name, value in made.items() if name != 'id'}, 'visibility': tf.ones([count, 21])}


def test_errors_are_zero_for_the_truth_and_count_labelled_joints_only():
  data = batch()
  true = canonical_hand.canonical(data['joints_3d_m'], data['joints_3d_weight'])
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
