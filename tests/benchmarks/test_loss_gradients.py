"""The comparison of loss gradients: known answers, and all terms of a model."""
import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import configuration
from dhpe_tf.methods.dhpe import model as dhpe_model
from tests.benchmarks import loss_gradients
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK


@pytest.fixture(scope='module')
def model():
  configuration.load(['models/tiny.gin'], ['refinement.Consistency.feature = 0.5', 'loss_weights.shape_prior = 0.1'])
  tf.keras.utils.set_random_seed(1)
  yield dhpe_model.build_model(TASK)
  gin.clear_config()


def test_gradients_of_known_terms():
  h = tf.constant([[1., 2.], [0., 1.]])
  found = loss_gradients.gradients(lambda x: {'a': tf.reduce_sum(x**2, 1), 'b': 3 * x[:, 0], 'c': tf.ones([2])}, h)
  np.testing.assert_allclose(found['a'], [[2, 4], [0, 2]])
  np.testing.assert_allclose(found['b'], [[3, 0], [3, 0]])
  np.testing.assert_allclose(found['c'], np.zeros([2, 2]))
  ratio, cosine = loss_gradients.comparison(found['b'], found['a'])
  np.testing.assert_allclose([ratio, cosine], [3 / ((20**.5 + 2) / 2), 1 / 20**.5], rtol=1e-6)
  assert np.isnan(loss_gradients.comparison(found['c'], found['a'])[0])


def test_terms_of_training(model):
  batch = example_batch.make_batch(3)
  far, near = (loss_gradients.measure(model, [batch], steps, refinement=False) for steps in (0, 60))
  assert set(near.terms) == {'articulation', 'shape', 'laplacian', 'shape_prior'}
  assert near.distance_px.mean() < 0.3 * far.distance_px.mean()
  moved = loss_gradients.measure(model, [batch], 60, refinement=False, noise=5.)
  assert near.distance_px.mean() < moved.distance_px.mean() < far.distance_px.mean()
  # The gate is closed far off and open near by.
  assert not np.any(far.terms['shape']) and np.any(near.terms['shape'])
  lines = loss_gradients.table(far, 'articulation').splitlines()
  assert lines[2].startswith('| articulation, length | 100% |') and '| shape | 0% | - | - |' in '\n'.join(lines)


def test_terms_of_refinement(model):
  found = loss_gradients.measure(model, [example_batch.make_batch(2)], 3, refinement=True)
  assert {'joints', 'feature', 'laplacian', 'stay'} <= set(found.terms)
  # Though training holds the masked branch fixed, the mask moves here.
  assert np.all(np.any(found.terms['feature'], axis=1))
