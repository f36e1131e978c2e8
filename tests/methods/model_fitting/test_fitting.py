import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.hand import anatomy
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.methods.model_fitting import fitting, hand_space
from dhpe_tf.metrics import segmentation
from dhpe_tf.optimization import least_squares
from tests.methods.model_fitting import hands


def distance(found, true):
  return np.linalg.norm(np.asarray(found) - np.asarray(true), axis=-1)


def test_levenberg_marquardt_returns_from_a_near_start():
  """From a start beside it the known hand's 2D joints are met to 1e-3 without any prior."""
  space, z, hand, evidence = hands.known(dtype='float64')
  target = tf.cast(evidence.joints_2d, tf.float64)

  def residuals(x):
    return tf.reshape(space.joints(x)[..., :2] - tf.repeat(target, tf.shape(x)[0] // 3, axis=0), [-1, 42])
  start = z + np.random.default_rng(0).normal(0, 0.1, z.shape)
  found = tf.function(lambda x: least_squares.minimise(residuals, x, iterations=15), autograph=False)(start)
  assert distance(space.joints(start)[..., :2], target).max() > 0.03
  assert distance(space.joints(found.best)[..., :2], target).max() < 1e-3


def test_levenberg_marquardt_from_its_own_starts():
  _, _, hand, evidence = hands.known()
  found = fitting.levenberg_marquardt(load_hand_model())(evidence._replace(mask=None, mask_weight=None))
  assert distance(found['joints_2d'], hand['joints_2d']).mean() < 0.01
  assert found['mask'].shape == (3, 64, 64) and found['parameters'].shape == (3, 63)
  # Priors keep the angles near what a hand can do.
  assert anatomy.limit_penalty(found['pose']).numpy().max() < 0.05
  assert np.isfinite(found['cost']).all()


def test_what_is_not_known_does_not_count():
  _, _, _, evidence = hands.known(2)
  weights = np.ones([2, 21], np.float32)
  weights[:, 8] = 0
  fit = fitting.levenberg_marquardt(load_hand_model(), fitting.VIEWS[:1], scouting=1)
  joints = evidence.joints_2d.numpy()
  answers = []
  for value in (0.5, np.nan):
    joints[:, 8] = value
    answers.append(fit(fitting.Evidence(tf.constant(joints), tf.constant(weights)))['joints_3d'])
  np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize('with_mask', [False, True])
def test_particle_swarm_recovers_a_known_hand(with_mask):
  _, _, hand, evidence = hands.known(2)
  evidence = evidence if with_mask else evidence._replace(mask=None, mask_weight=None)
  found = fitting.particle_swarm(load_hand_model(), particles=48)(evidence)
  error = distance(found['joints_2d'], hand['joints_2d']).mean()
  assert error < 0.06
  assert anatomy.limit_penalty(found['pose']).numpy().max() < 1e-8
  if with_mask:
    assert segmentation.hand_iou(found['mask'].numpy(), hand['mask'].numpy()).min() > 0.7


def test_the_mask_counts():
  """Without joints the swarm brings the hand over the mask."""
  _, _, hand, evidence = hands.known(1)
  blind = evidence._replace(joints_weight=tf.zeros([1, 21]))
  model = load_hand_model()
  iou = [segmentation.hand_iou(fitting.particle_swarm(model, particles=32, mask=weight)(blind)['mask'].numpy(),
                               hand['mask'].numpy())[0] for weight in (0.0, 1.0)]
  assert iou[1] > iou[0] + 0.1, iou


def test_space_is_as_large_as_said():
  assert hand_space.SIZE == 42 and hand_space.NUM_ANGLES == 26
