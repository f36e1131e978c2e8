"""The one train step: what an instance weighs, what is added to a batch, scaled losses; and the checks of a method."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.methods import method, steps
from tests.training import tiny


class Weighted(tiny.TinyModel):
  """Instances weigh what their first pixel says; the batch is learnt from twice, the second time with the weight 0."""

  def extended(self, batch):
    return {name: tf.concat([value, value], axis=0) for name, value in batch.items()}

  def losses(self, batch, outputs, training):
    weights = batch['image'][:, 0, 0, 0]
    half = tf.shape(weights)[0] // 2
    if training:
      weights = tf.where(tf.range(2 * half) < half, weights, 0.)
    per_instance = self.losses_of(batch, outputs)
    return steps.Losses(per_instance, {'twice': 2 * per_instance}, weights)

  def measures(self, batch, outputs):
    return {'first': (batch['image'][:, 0, 0, 0], tf.ones([tf.shape(batch['image'])[0]]))}

  def extra_logs(self, weights, count):
    return {'added': weights[count:]}


def build(kind=Weighted):
  tf.keras.utils.set_random_seed(0)
  model = tiny.build_tiny_model(kind=kind, dropout=0.)
  model.watch(['twice'], ['first'], ['added']) if kind is Weighted else None
  model.compile(optimizer=tf.keras.optimizers.SGD(0.1, jit_compile=False))
  return model


def make_batch():
  return {name: value for name, value in next(iter(tiny.build_tiny_dataset(tiny.TASK, True, 0, 0))).items()
          if name != 'id'}


def test_the_step_is_that_of_the_weighted_mean_over_the_given_instances():
  model, batch = build(), make_batch()
  weights = batch['image'][:, 0, 0, 0]
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(weights * model.losses_of(batch, model(batch['image'], training=True)))
    loss /= tf.reduce_sum(weights)
  expected = [weight - 0.1 * gradient
              for weight, gradient in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables))]
  logs = model.train_step(batch)
  for value, wanted in zip(model.trainable_variables, expected):
    np.testing.assert_allclose(value, wanted, atol=1e-6)
  assert set(logs) == {'loss', 'twice_loss', 'first', 'added'}
  # Logs are of the given instances only, weighted as the loss is.
  np.testing.assert_allclose(logs['loss'], loss, rtol=1e-5)
  np.testing.assert_allclose(logs['twice_loss'], 2 * loss, rtol=1e-5)
  np.testing.assert_allclose(logs['first'], tf.reduce_mean(weights), rtol=1e-5)
  assert float(logs['added']) == 0.


def test_a_batch_that_weighs_nothing_changes_nothing():
  model, batch = build(), make_batch()
  before = model.get_weights()
  logs = model.train_step({**batch, 'image': tf.zeros_like(batch['image'])})
  assert np.isfinite(float(logs['loss']))
  for value, wanted in zip(model.get_weights(), before):
    np.testing.assert_array_equal(value, wanted)


def test_scaled_losses_give_the_same_step():
  ends = []
  for scaled in (False, True):
    model, batch = build(), make_batch()
    if scaled:
      model.compile(optimizer=tf.keras.mixed_precision.LossScaleOptimizer(
          tf.keras.optimizers.SGD(0.1, jit_compile=False), initial_scale=1024.))
    model.train_step(batch)
    ends.append(model.get_weights())
  for one, two in zip(*ends):
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_what_a_method_takes_and_answers_is_checked():
  method.check(build(tiny.TinyModel))

  class Strange(method.Method):
    task = tiny.TASK
    input_specs = {'picture': tf.TensorSpec([None, 4, 4, 3])}
    output_specs = {'values': tf.TensorSpec([None, 21, 2])}
  with pytest.raises(UserError, match='what Strange takes of the task tiny holds picture, which its contract does not'):
    method.check(Strange())
  Strange.input_specs = {'image': tf.TensorSpec([None, 4, 4, 3])}
  Strange.output_specs = {'values': tf.TensorSpec([None, 20, 2])}
  with pytest.raises(UserError, match=r'what Strange answers to the task tiny: values has shape \[\?, 20, 2\]'):
    method.check(Strange())


def test_inputs_that_a_batch_lacks_are_named():
  with pytest.raises(UserError, match='the batch has no image, which the method takes; it has target'):
    method.inputs_of({'target': tf.zeros([1])}, build(tiny.TinyModel).input_specs)


def test_a_method_without_refinement_says_so():
  with pytest.raises(UserError, match='TinyModel has no refinement'):
    build(tiny.TinyModel).refined({}, [1])
