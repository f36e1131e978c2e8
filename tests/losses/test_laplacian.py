import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.losses import laplacian
from tests import gradients

# Uniform Laplacian of a path of four vertices.
DENSE = np.array([[-1., 1, 0, 0], [.5, -1, .5, 0], [0, .5, -1, .5], [0, 0, 1, -1]])
FORMS = {'sparse': tf.sparse.from_dense(DENSE), 'dense': tf.constant(DENSE)}


def _vertices(batch=2):
  return np.random.default_rng(0).normal(size=[batch, 4, 3])


@pytest.mark.parametrize('form', FORMS)
def test_answers(form):
  vertices = _vertices()
  lengths = np.stack([np.linalg.norm(DENSE @ one, axis=-1) for one in vertices])
  run = lambda *args, **kwargs: laplacian.laplacian_loss(tf.constant(vertices), FORMS[form], *args, **kwargs)  # noqa: E731
  np.testing.assert_allclose(run(), lengths.mean(1))
  np.testing.assert_allclose(run(reduction='sum', squared=True), (lengths ** 2).sum(1))
  np.testing.assert_allclose(run(tf.constant(vertices[0]))[0], 0.)
  np.testing.assert_allclose(run(tf.constant(vertices)), [0., 0.])


def test_translation_costs_nothing():
  vertices = tf.constant(_vertices())
  np.testing.assert_allclose(laplacian.laplacian_loss(vertices + 5., FORMS['sparse']),
                             laplacian.laplacian_loss(vertices, FORMS['sparse']))


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('squared', [False, True])
def test_gradients(form, squared):
  gradients.assert_gradients_match(lambda x: laplacian.laplacian_loss(x, FORMS[form], squared=squared), [_vertices()])


def test_gradient_at_the_reference_is_zero():
  vertices = tf.constant(_vertices())
  with tf.GradientTape() as tape:
    tape.watch(vertices)
    loss = laplacian.laplacian_loss(vertices, FORMS['sparse'], vertices + 0.)
  np.testing.assert_array_equal(tape.gradient(loss, vertices), 0.)


@pytest.mark.parametrize('form, jit', [('sparse', False), ('dense', True)])
def test_unknown_batch(form, jit):
  matrix = FORMS[form]
  function = tf.function(lambda x: laplacian.laplacian_loss(x, matrix), jit_compile=jit,
                         input_signature=[tf.TensorSpec([None, 4, 3])])
  vertices = tf.constant(_vertices(3), tf.float32)
  np.testing.assert_allclose(function(vertices), laplacian.laplacian_loss(vertices, matrix), rtol=1e-5)
