import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.losses import shape
from tests import gradients

PX = 2 / 224  # One pixel of a 224 px crop, in crop space.


def _gate(errors_px, weights=None, **kwargs):
  """The gate of one instance whose joint k lies errors_px[k] to the right of the truth."""
  target = np.random.default_rng(0).uniform(-.5, .5, [1, 21, 2])
  joints = target.copy()
  joints[0, :, 0] += np.asarray(errors_px) * PX
  weights = np.ones([1, 21]) if weights is None else np.asarray(weights)[None]
  return float(shape.shape_gate(tf.constant(joints), tf.constant(target), tf.constant(weights), **kwargs)[0])


def test_gate_opens_at_the_threshold():
  assert _gate([14.99] * 21) == 1
  assert _gate([15.01] * 21) == 0
  assert _gate([7.51] * 21, threshold_px=7.5) == 0
  # 15 px of 224 are 30 px of 448.
  assert _gate([15.01] * 21, threshold_px=30.03, crop_size_px=448.) == 1


def test_gate_norms():
  one_far = [0.] * 20 + [100.]
  assert _gate(one_far) == 1
  assert _gate(one_far, distance='max') == 0
  assert _gate([14.] * 21, distance='max') == 1
  with pytest.raises(ValueError, match='distance'):
    _gate(one_far, distance='median')


def test_gate_weighs_joints():
  one_far = [0.] * 20 + [400.]
  assert _gate(one_far) == 0
  assert _gate(one_far, [1.] * 20 + [0.]) == 1
  assert _gate([0.] * 20 + [np.nan], [1.] * 20 + [0.]) == 1
  assert _gate([0.] * 21, [0.] * 21) == 0
  assert _gate([np.nan] * 21) == 0


def test_shape_loss_answers():
  mask, target = tf.constant([[[1., 0.5]], [[0., 1.]]]), tf.constant([[[0., 0.5]], [[0., 0.]]])
  np.testing.assert_allclose(shape.shape_loss(mask, target), [.5, .5])
  np.testing.assert_allclose(shape.shape_loss(mask, target, tf.constant([0., .5])), [0., .25])
  np.testing.assert_allclose(shape.shape_loss(mask, target, tf.constant([1., 2.]), reduction='sum'), [1., 2.])


def test_gradients():
  mask, target = np.random.default_rng(0).uniform(size=[2, 3, 4, 5])
  gradients.assert_gradients_match(shape.shape_loss, [mask, target, np.array([1., 0., .5])],
                                   check=[True, False, False])


def test_closed_gate_silences_its_instance_alone():
  """Loss and gradient of the mask are exactly zero for the instance behind the gate, and untouched for the other."""
  joints = tf.Variable(np.random.default_rng(0).uniform(-.5, .5, [2, 21, 2]))
  target = joints + np.array([1., 200.])[:, None, None] * PX
  true_mask = tf.constant(np.stack([np.zeros([4, 4]), np.full([4, 4], np.nan)]))
  with tf.GradientTape(persistent=True) as tape:
    mask = tf.sigmoid(joints[:, :16, 0] + joints[:, :16, 1])
    mask = tf.reshape(mask, [2, 4, 4])
    gate = shape.shape_gate(joints, target, tf.ones([2, 21], tf.float64))
    loss = shape.shape_loss(mask, true_mask, gate)
  np.testing.assert_array_equal(gate, [1., 0.])
  assert float(loss[0]) > 0 and float(loss[1]) == 0
  gradient = tape.gradient(loss, joints).numpy()
  assert np.abs(gradient[0]).max() > 0
  np.testing.assert_array_equal(gradient[1], 0.)
  assert tape.gradient(gate, joints) is None
  with tf.GradientTape() as alone:
    plain = shape.shape_loss(tf.reshape(tf.sigmoid(joints[:1, :16, 0] + joints[:1, :16, 1]), [1, 4, 4]), true_mask[:1])
  np.testing.assert_array_equal(tf.convert_to_tensor(alone.gradient(plain, joints))[0], gradient[0])
