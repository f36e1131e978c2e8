import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.optimization import descent

TARGETS = np.array([[1., -2., 0.5], [0., 0., 0.], [30., 1., -4.]], np.float32)


def bowl(variables):
  return tf.reduce_sum(tf.square(variables - tf.constant(TARGETS)[:tf.shape(variables)[0]]), axis=-1)


@pytest.mark.parametrize('method, rates', [('gradient', [0.2] * 3), ('adam', [0.3] * 3)])
def test_reaches_the_minimum_of_a_bowl(method, rates):
  found = descent.descend(bowl, tf.zeros([2, 3]), 200, rates, method=method, patience=60)
  np.testing.assert_allclose(found.best, TARGETS[:2], atol=2e-2)


def test_one_gradient_step_is_the_analytic_one():
  start = tf.constant([[2., 0., 0.]])
  found = descent.descend(bowl, start, 1, [0.1, 0.1, 0.1], method='gradient')
  np.testing.assert_allclose(found.best, start - 0.1 * 2 * (start - TARGETS[:1]), rtol=1e-6)
  np.testing.assert_allclose(found.objectives[0, 0], bowl(start)[0], rtol=1e-6)


def test_never_ends_worse_than_it_began():
  # The step is far too long: the objective explodes, and the start is the best point.
  found = descent.descend(bowl, tf.constant(TARGETS) + 0.1, 20, [5.] * 3, method='gradient')
  np.testing.assert_allclose(found.best, TARGETS + 0.1, rtol=1e-6)
  assert np.all(found.objectives[:, -1] >= found.best_objective)


def test_instances_do_not_touch_each_other():
  start = tf.constant([[0., 0., 0.], [5., 5., 5.], [-3., 2., 9.]])
  together = descent.descend(bowl, start, 30, [0.2] * 3)
  first = descent.descend(bowl, start[:1], 30, [0.2] * 3)
  np.testing.assert_allclose(together.best[:1], first.best, atol=1e-6)
  np.testing.assert_allclose(together.objectives[:1], first.objectives, atol=1e-5)


def test_an_instance_at_its_minimum_stops_while_others_go_on():
  start = tf.constant([[0., 0., 0.], [0., 0., 0.]])
  found = descent.descend(bowl, start, 60, [0.05] * 3, patience=5)
  steps_taken = found.steps_taken.numpy()
  assert steps_taken[1] < 10 < steps_taken[0]
  assert np.all(found.objectives.numpy()[1, 10:] == found.objectives.numpy()[1, -1])


def test_best_by_step_is_what_fewer_steps_find():
  start = tf.constant([[0., 0., 0.], [5., 5., 5.], [-3., 2., 9.]])
  # Steps this long overshoot, so that the best is not always the last; a short patience stops some early.
  options = {'rates': [2.] * 3, 'patience': 4}
  long = descent.descend(bowl, start, 30, **options)
  assert long.best_by_step.shape == (3, 31, 3)
  for steps in (0, 1, 7, 20, 30):
    np.testing.assert_allclose(long.best_by_step[:, steps], descent.descend(bowl, start, steps, **options).best,
                               rtol=1e-6)


def test_what_is_not_finite_stops_there_and_is_not_returned():
  def objective(variables):
    x = variables[:, 0]
    return tf.where(x > 1., float('nan'), -x)
  found = descent.descend(objective, tf.zeros([1, 1]), 50, [0.3], method='gradient')
  assert found.best[0, 0] <= 1. and found.best_objective[0] < -0.8
  broken = descent.descend(lambda v: v[:, 0] * float('nan'), tf.ones([1, 1]), 5, [0.1])
  np.testing.assert_array_equal(broken.best, [[1.]])


@pytest.mark.parametrize('steps', [0, 1, 7])
def test_number_of_steps_may_be_a_tensor(steps):
  run = tf.function(lambda s, n: descent.descend(bowl, s, n, [0.1] * 3),
                    input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([], tf.int32)])
  found = run(tf.zeros([2, 3]), steps)
  assert found.objectives.shape == (2, steps + 1)
  np.testing.assert_allclose(found.objectives[:, 0], bowl(tf.zeros([2, 3])), rtol=1e-6)


def test_unknown_method_is_named():
  with pytest.raises(ValueError, match='newton'):
    descent.descend(bowl, tf.zeros([2, 3]), 1, [0.1] * 3, method='newton')
