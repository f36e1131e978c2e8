import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.training import schedules


def test_constant_rate():
  rate = schedules.constant_rate(100, learning_rate=0.25)
  np.testing.assert_allclose([rate(step) for step in (0, 1, 50, 100, 1000)], 0.25, rtol=1e-6)


def test_gin_sets_the_constant_rate():
  gin.parse_config(['build_optimizer.schedule = @constant_rate', 'constant_rate.learning_rate = 0.125'])
  try:
    assert float(schedules.build_optimizer(10).learning_rate) == 0.125
  finally:
    gin.clear_config()


def test_cosine_rises_peaks_and_ends():
  rate = schedules.cosine(110, learning_rate=2., warmup_fraction=10 / 110, final_fraction=0.1)
  expected = {0: 0.2, 4: 1., 9: 2., 10: 2., 60: 2. * 0.55, 110: 0.2, 500: 0.2}
  np.testing.assert_allclose([rate(step) for step in expected], list(expected.values()), rtol=1e-5)


def test_schedule_is_rebuilt_from_its_config():
  rate = schedules.cosine(50)
  again = schedules.Cosine.from_config(rate.get_config())
  assert float(again(17)) == float(rate(17))


@pytest.mark.parametrize('name', ['adam', 'sgd', 'rmsprop'])
def test_optimizers_clip_and_decay(name):
  optimizer = schedules.build_optimizer(10, lambda steps: schedules.constant_rate(steps, 0.1), name, clip_norm=1.,
                                        weight_decay=0.5)
  variable = tf.Variable([2.])
  optimizer.apply_gradients([(tf.constant([1e6]), variable)])
  assert 0. < float(variable[0]) < 2. and abs(float(variable[0]) - 1.9) < 0.4


def test_unknown_optimizer():
  with pytest.raises(UserError, match="name is 'adamant'"):
    schedules.build_optimizer(10, name='adamant')
