import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.losses import articulation, keypoints
from tests import gradients

MIXED = np.array([[1., 0., .5] + [0.] * 18, [0.] * 21, [1.] * 21])


def _numpy_answer(values, target, weights, reduction):
  """Weighted squared error of `[B, 21, C]`, entry by entry."""
  result = []
  for one, truth, weight in zip(values, target, weights):
    squares = [[(one[k, c] - truth[k, c]) ** 2 for c in range(one.shape[1])] for k in range(21)]
    total = sum(weight[k] * sum(squares[k]) for k in range(21))
    count = sum(weight) * one.shape[1]
    result.append(total if reduction == 'sum' else total / count if count else 0.)
  return result


@pytest.mark.parametrize('weights', [np.zeros([3, 21]), np.ones([3, 21]), MIXED], ids=['zero', 'one', 'mixed'])
@pytest.mark.parametrize('reduction', ['mean', 'sum'])
def test_answers(weights, reduction):
  rng = np.random.default_rng(0)
  values, target = rng.normal(size=[2, 3, 21, 3])
  flat = values[..., :2], target[..., :2]
  expected = _numpy_answer(*flat, weights, reduction)
  arguments = [tf.constant(flat[0])] * 3, tf.constant(flat[1]), tf.constant(weights), reduction
  np.testing.assert_allclose(keypoints.refiner_loss(*arguments), np.multiply(3, expected))
  np.testing.assert_allclose(keypoints.refiner_loss(*arguments, last_only=True), expected)
  maps, true_maps = rng.normal(size=[2, 3, 4, 4, 21])
  by_joint = [np.moveaxis(x, 3, 1).reshape(3, 21, 16) for x in (maps, true_maps)]
  np.testing.assert_allclose(
      keypoints.heatmap_loss([tf.constant(maps)], tf.constant(true_maps), tf.constant(weights), reduction),
      _numpy_answer(*by_joint, weights, reduction))
  relative = values.copy()
  relative[..., 2] -= values[:, 9:10, 2]
  loss = articulation.articulation_loss(*map(tf.constant, (values, target, weights[..., None])), reduction)
  np.testing.assert_allclose(loss, _numpy_answer(relative, target, weights, reduction))


def test_articulation_weighs_coordinates_apart():
  """Labels without depth: x and y count alone."""
  joints, target = np.zeros([1, 21, 3]), np.ones([1, 21, 3]) * [1., 2., 50.]
  weights = np.tile([1., 1., 0.], [1, 21, 1])
  loss = articulation.articulation_loss(*map(tf.constant, (joints, target, weights)))
  np.testing.assert_allclose(loss, [2.5])


def test_articulation_does_not_see_where_the_hand_is_in_depth():
  joints, target = np.random.default_rng(0).normal(size=[2, 1, 21, 3])
  moved = joints + [0., 0., 3.]
  weights = tf.ones([1, 21, 3], tf.float64)
  loss = [articulation.articulation_loss(tf.constant(x), tf.constant(target), weights) for x in (joints, moved)]
  np.testing.assert_allclose(*loss)


LOSSES = {
    'heatmap': (lambda x, y, w: keypoints.heatmap_loss([x, 2 * x], y, w), (3, 4, 4, 21), MIXED),
    'refinement': (lambda x, y, w: keypoints.refiner_loss([x, 2 * x], y, w), (3, 21, 2), MIXED),
    'articulation': (articulation.articulation_loss, (3, 21, 3), np.tile(MIXED[..., None], [1, 1, 3])),
}


@pytest.mark.parametrize('name', LOSSES)
def test_gradients(name):
  function, shape, weights = LOSSES[name]
  values, target = np.random.default_rng(0).normal(size=(2, *shape))
  gradients.assert_gradients_match(function, [values, target, weights], check=[True, False, False])


@pytest.mark.parametrize('garbage', [1e30, np.nan, np.inf])
@pytest.mark.parametrize('name', LOSSES)
def test_unlabelled_entries_give_nothing(name, garbage):
  function, shape, weights = LOSSES[name]
  values, target = np.random.default_rng(0).normal(size=(2, *shape))
  full = np.broadcast_to(weights[:, None, None] if name == 'heatmap' else
                         weights[..., None] if name == 'refinement' else weights, shape)
  spoilt = np.where(full > 0, target, garbage)
  x = tf.constant(values)
  results = []
  for truth in (target, spoilt):
    with tf.GradientTape() as tape:
      tape.watch(x)
      loss = function(x, tf.constant(truth), tf.constant(weights))
    results.append((loss, tape.gradient(loss, x)))
  np.testing.assert_array_equal(results[0][0], results[1][0])
  np.testing.assert_array_equal(results[0][1], results[1][1])
  zero = full == 0
  if name == 'articulation':  # The root's depth is part of every joint's.
    zero = zero & ~((np.arange(21) == 9)[:, None] & (np.arange(3) == 2))
  np.testing.assert_array_equal(results[1][1].numpy()[zero], 0.)
  assert float(results[1][0][1]) == 0.


@pytest.mark.parametrize('jit', [False, True])
def test_unknown_batch_and_xla(jit):
  function = tf.function(
      lambda x, y, w: keypoints.refiner_loss([x], y, w), jit_compile=jit,
      input_signature=[tf.TensorSpec([None, 21, 2]), tf.TensorSpec([None, 21, 2]), tf.TensorSpec([None, 21])])
  np.testing.assert_allclose(function(tf.ones([2, 21, 2]), tf.zeros([2, 21, 2]), tf.ones([2, 21])), 1.)


def test_unknown_reduction():
  with pytest.raises(ValueError, match='reduction must be one of mean, sum'):
    keypoints.refiner_loss([tf.ones([1, 21, 2])], tf.ones([1, 21, 2]), tf.ones([1, 21]), reduction='max')
