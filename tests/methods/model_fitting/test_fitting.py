import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.hand import anatomy, hand_space
from dhpe_tf.methods import method
from dhpe_tf.methods.model_fitting import fitting
from dhpe_tf.metrics import segmentation
from dhpe_tf.optimization import least_squares
from tests.methods.model_fitting import hands
from tests.tasks.hand.hands import TASK


def levenberg_marquardt(given, **settings):
  fit = fitting.levenberg_marquardt(TASK, **settings)
  return fit.answer({name: given[name] for name in fit.input_specs})


def distance(found, true):
  return np.linalg.norm(np.asarray(found) - np.asarray(true), axis=-1)


@pytest.mark.slow
def test_levenberg_marquardt_returns_from_a_near_start():
  """From a start beside it the known hand's 2D joints are met to 1e-3 without any prior."""
  space, z, hand, evidence = hands.known(dtype='float64')
  target = tf.cast(evidence['joints_2d'], tf.float64)

  def residuals(x):
    return tf.reshape(space.joints(x)[..., :2] - tf.repeat(target, tf.shape(x)[0] // 3, axis=0), [-1, 42])
  start = z + np.random.default_rng(0).normal(0, 0.1, z.shape)
  linearised = least_squares.by_tape(residuals)
  found = tf.function(lambda x: least_squares.minimise_squares(linearised, x, iterations=15), autograph=False)(start)
  assert distance(space.joints(start)[..., :2], target).max() > 0.03
  assert distance(space.joints(found.best)[..., :2], target).max() < 1e-3


def test_levenberg_marquardt_from_its_own_starts():
  _, _, hand, evidence = hands.known()
  found = levenberg_marquardt(evidence)
  assert distance(found['joints_2d'], hand['joints_2d']).mean() < 0.01
  assert found['mask'].shape == (3, 64, 64) and found['parameters'].shape == (3, 63)
  # Priors keep the angles near what a hand can do.
  assert anatomy.limit_penalty(found['pose']).numpy().max() < 0.05
  assert np.isfinite(found['cost']).all()


@pytest.mark.slow
def test_what_is_not_known_does_not_count():
  _, _, _, evidence = hands.known(2)
  weights = np.ones([2, 21], np.float32)
  weights[:, 8] = 0
  joints = evidence['joints_2d'].numpy()
  answers = []
  for value in (0.5, np.nan):
    joints[:, 8] = value
    given = {'joints_2d': tf.constant(joints), 'joints_2d_weight': tf.constant(weights)}
    answers.append(levenberg_marquardt(given, views=fitting.VIEWS[:1], scouting=1)['joints_3d'])
  np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize('with_mask', [False, True])
def test_particle_swarm_recovers_a_known_hand(with_mask):
  _, _, hand, evidence = hands.known(2)
  evidence = {**evidence, 'mask_weight': tf.ones([2]) * with_mask}
  found = fitting.particle_swarm(TASK, particles=48).answer(evidence)
  error = distance(found['joints_2d'], hand['joints_2d']).mean()
  assert error < 0.06
  assert anatomy.limit_penalty(found['pose']).numpy().max() < 1e-8
  if with_mask:
    assert segmentation.hand_iou(found['mask'].numpy(), hand['mask'].numpy()).min() > 0.7


def test_the_mask_counts():
  """Without joints the swarm brings the hand over the mask."""
  _, _, hand, evidence = hands.known(1)
  blind = {**evidence, 'joints_2d_weight': tf.zeros([1, 21])}
  masks = [fitting.particle_swarm(TASK, particles=32, mask=weight).answer(blind)['mask'] for weight in (0.0, 1.0)]
  iou = [segmentation.hand_iou(mask.numpy(), hand['mask'].numpy())[0] for mask in masks]
  assert iou[1] > iou[0] + 0.1, iou


def test_space_is_as_large_as_said():
  assert hand_space.SIZE == 42 and hand_space.NUM_ANGLES == 26


def test_fits_keep_the_contracts_of_the_task():
  for fit in (fitting.levenberg_marquardt(TASK), fitting.particle_swarm(TASK)):
    method.check(fit)
    assert not isinstance(fit, tf.keras.Model) and not fit.can_refine
