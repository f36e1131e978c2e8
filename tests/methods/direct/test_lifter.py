import numpy as np
import tensorflow as tf

from dhpe_tf.methods import method
from dhpe_tf.methods.direct import lifter
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK


def test_joints_that_are_seen_stay_and_hidden_ones_are_not_looked_at():
  tf.keras.utils.set_random_seed(0)
  model = lifter.build_lifter(TASK, hidden=(64,))
  method.check(model)
  model.compile(optimizer=tf.keras.optimizers.Adam(3e-3))
  made = example_batch.make_batch(8)
  data = {**{name: value for name, value in made.items() if name != 'id'},
          'visibility': tf.tile(tf.constant([[1.] * 14 + [0.] * 7]), [8, 1])}
  step = tf.function(model.train_step, autograph=False)
  first = float(step(data)['loss'])
  for _ in range(80):
    step(data)
  model.reset_metrics()
  assert float(step(data)['loss']) < 0.5 * first
  answer = model.answer({name: data[name] for name in ('joints_2d', 'visibility')})
  np.testing.assert_array_equal(answer['joints_3d'][:, :14, :2], data['joints_2d'][:, :14])
  moved = tf.concat([data['joints_2d'][:, :14], data['joints_2d'][:, 14:] + 1], axis=1)
  again = model.answer({'joints_2d': moved, 'visibility': data['visibility']})
  np.testing.assert_array_equal(again['joints_3d'], answer['joints_3d'])
  assert np.abs(answer['joints_3d'][:, 14:, :2] - data['joints_2d'][:, 14:]).max() > 0
