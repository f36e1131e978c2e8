import numpy as np
import tensorflow as tf

from dhpe_tf.methods import method
from dhpe_tf.methods.lifting import pose_prior
from tests.methods.model_fitting import hands
from tests.tasks.hand.hands import TASK


def batch(count=16):
  hand = hands.known(count, tilt=1.0)[2]
  joints = hand['joints_3d'] / hand['camera'][:, 4, None, None] + [0.1, 0.0, 0.6]
  return {'joints_2d': hand['joints_2d'], 'joints_2d_weight': tf.ones([count, 21]), 'joints_3d_m': joints,
          'joints_3d_weight': tf.ones([count, 21]), 'joints_3d': hand['joints_3d']}


def small():
  tf.keras.utils.set_random_seed(0)
  model = pose_prior.pose_prior(TASK, hand_widths=(16, 32), hand_dense=(128,), view_widths=(16, 32), view_dense=(128,),
                                dropout=0.0)
  model.compile(optimizer=tf.keras.optimizers.Adam(2e-3))
  return model


def test_overfits_sixteen_hands():
  data, model = batch(), small()
  step = tf.function(model.train_step)
  first = float(step(data)['error_3d_mm'])
  for _ in range(250):
    step(data)
  model.reset_metrics()
  found = {name: float(value) for name, value in model.test_step(data).items()}
  assert first > 40 and found['error_3d_mm'] < 5 and found['viewpoint_loss'] < 0.02


def test_outputs_belong_together():
  data, model = batch(4), small()
  outputs = model(method.inputs_of(data, model.input_specs))
  assert {name: tuple(value.shape) for name, value in outputs.items()} == {
      'canonical': (4, 21, 3), 'rotation': (4, 3, 3), 'lifted': (4, 21, 3)}
  np.testing.assert_allclose(tf.matmul(outputs['lifted'], outputs['rotation'], transpose_b=True),
                             outputs['canonical'], atol=1e-6)


def test_what_is_not_labelled_does_not_count():
  data, model = batch(4), small()
  outputs = model(method.inputs_of(data, model.input_specs))
  clean = model.losses(data, outputs, training=False).terms
  weight, points = np.ones([4, 21], np.float32), data['joints_3d_m'].numpy()
  weight[0, 5] = 0  # no index finger, no frame
  points[0, 5] = np.nan
  weight[1, 20] = 0  # a tip
  points[1, 20] = np.nan
  spoilt = {**data, 'joints_3d_m': tf.constant(points), 'joints_3d_weight': tf.constant(weight)}
  with tf.GradientTape() as tape:
    total, terms, counts = model.losses(spoilt, model(method.inputs_of(data, model.input_specs)), training=True)
    total = tf.reduce_sum(counts * total)
  np.testing.assert_array_equal(counts, [0, 1, 1, 1])
  np.testing.assert_allclose(terms['viewpoint'][1:], clean['viewpoint'][1:], rtol=1e-5)
  assert all(np.isfinite(gradient).all() for gradient in tape.gradient(total, model.trainable_variables))
  assert all(np.isfinite(value) for value in model.test_step(spoilt).values())


def test_an_unseen_joint_is_not_looked_at():
  data, model = batch(2), small()
  seen = np.ones([2, 21], np.float32)
  seen[:, 4] = 0
  joints = data['joints_2d'].numpy()
  answers = []
  for value in (0.2, np.nan):
    joints[:, 4] = value
    answers.append(model({'joints_2d': tf.constant(joints), 'joints_2d_weight': tf.constant(seen)})['lifted'])
  np.testing.assert_array_equal(*answers)


def test_place_is_the_inverse_of_moving_and_scaling():
  data = batch(3)
  lifted = 4.0 * data['joints_3d'] + [1.0, -3.0, 2.0]
  np.testing.assert_allclose(pose_prior.place(lifted, data['joints_2d'], data['joints_2d_weight']), data['joints_3d'],
                             atol=1e-5)


def test_the_answer_lies_over_the_2d_joints_and_has_the_mean_hands_index_bone():
  data, model = batch(3), small()
  method.check(model)
  found = model.answer(method.inputs_of(data, model.input_specs))
  middle = [tf.reduce_mean(joints, axis=1) for joints in (found['joints_3d'][..., :2], data['joints_2d'])]
  np.testing.assert_allclose(*middle, atol=1e-4)
  bones_m = [np.linalg.norm(joints[:, 6] - joints[:, 5], axis=-1) for joints in (
      found['joints_3d'] / found['units_per_metre'][:, None, None], TASK.hand_model.rest_keypoints[None])]
  np.testing.assert_allclose(bones_m[0], np.repeat(bones_m[1], 3), rtol=1e-5)
