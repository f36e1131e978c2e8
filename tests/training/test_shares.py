"""Weights that take a share of each step, whichever optimizer steps, on one replica and on two."""
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.training import averaging, schedules, shares


def moves(optimizer, share, steps=3):
  """The changes of a slowed and of another variable in each step, the values of the first, and its last average."""
  slow, free = tf.Variable([1., -2.]), tf.Variable([3.])
  shares.slow_down(optimizer, [slow], share)
  averaging.create_state(optimizer, [slow, free])

  @tf.function
  def step(scale):
    optimizer.apply_gradients([(scale * tf.constant([.3, 2.]), slow), (scale * tf.constant([-1.]), free)])
  seen = [(slow.numpy(), free.numpy())]
  for number in range(steps):
    step(tf.constant(1. + number))
    seen.append((slow.numpy(), free.numpy()))
  pairs = averaging.Averages(optimizer, [slow, free]).pairs
  first, second = zip(*seen)
  return np.diff(first, axis=0), np.diff(second, axis=0), first, pairs and pairs[0][1].numpy()


def build(name, decay=0., **options):
  return schedules.build_optimizer(10, lambda steps: schedules.constant_rate(steps, 0.05), name, averaging_decay=decay,
                                   **options)


@pytest.mark.parametrize('name', ['adam', 'sgd', 'rmsprop'])
@pytest.mark.parametrize('decay', [0., 0.8])
def test_only_the_slowed_take_a_share(name, decay):
  plain, slowed = moves(build(name, decay), 1.), moves(build(name, decay), 0.1)
  np.testing.assert_allclose(slowed[0], 0.1 * plain[0], rtol=1e-4, atol=1e-7)
  np.testing.assert_allclose(slowed[1], plain[1], rtol=1e-6)
  assert np.all(plain[0] != 0)


@pytest.mark.parametrize('addons', [True, False])
def test_averages_see_what_results(addons, monkeypatch):
  if addons and not averaging.has_addons():
    pytest.skip('tensorflow-addons ends with Python 3.11')
  monkeypatch.setattr(averaging, 'has_addons', lambda: addons)
  _, _, seen, average = moves(build('adam', 0.8), 0.1)
  expected = seen[0]
  for weights in seen[1:]:
    expected = 0.8 * expected + 0.2 * weights
  np.testing.assert_allclose(average, expected, rtol=1e-6)


def test_under_a_loss_scale():
  optimizer = tf.keras.mixed_precision.LossScaleOptimizer(build('adam'))
  plain = tf.keras.mixed_precision.LossScaleOptimizer(build('adam'))
  np.testing.assert_allclose(moves(optimizer, 0.1)[0], 0.1 * moves(plain, 1.)[0], rtol=1e-4)


@pytest.mark.slow
def test_on_two_replicas():
  """Every copy of a slowed variable moves by the share of a step, every copy of another one by a whole step."""
  code = '''
import dhpe_tf, tensorflow as tf
from dhpe_tf.training import averaging, schedules, shares
tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0],
                                           [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
for decay in (0., .8):
  with strategy.scope():
    slow, free = tf.Variable(1.), tf.Variable(1.)
    optimizer = schedules.build_optimizer(10, schedules.constant_rate, averaging_decay=decay)
    shares.slow_down(optimizer, [slow], .1)
    averaging.create_state(optimizer, [slow, free])
  def step():
    optimizer.apply_gradients([(tf.constant(2.), slow), (tf.constant(2.), free)])
  tf.function(lambda: strategy.run(step))()
  print(*(f'{(1 - float(copy)) * 1e5:.1f}' for variable in (slow, free) for copy in variable.values))
'''
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=300)
  assert done.stdout.split() == ['1.0', '1.0', '10.0', '10.0'] * 2
