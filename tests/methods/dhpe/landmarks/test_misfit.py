import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.methods.dhpe.landmarks import misfit
from dhpe_tf.optimization import least_squares
from tests.methods.dhpe.landmarks import hands


def test_each_deviation_is_what_it_says():
  state = hands.state()
  evidence = hands.truth().evidence()
  x, base = state.start(evidence)
  joints = state.joints(x, base)
  depth = joints.crop[..., 2] - joints.crop[:, :1, 2]
  exact = evidence._replace(joints_2d=joints.joints_2d, depth=depth, world_m=joints.metres)
  fit = misfit.Misfit(state, joints=0.01, depth=0.2, world=0.015, spread=2.)
  for part in fit.to_evidence(x, base, exact):
    np.testing.assert_allclose(part, 0., atol=1e-4)
  off = exact._replace(joints_2d=exact.joints_2d + 0.01, depth=exact.depth - 0.2, world_m=exact.world_m + 0.03)
  for part, wanted in zip(fit.to_evidence(x, base, off), (-1., 1., -2.)):
    np.testing.assert_allclose(part, wanted, atol=1e-3)
  # A joint about which the looks disagree counts less.
  unsure = off._replace(spread=tf.fill(off.spread.shape, 0.01 * 3 ** 0.5 / 2))
  np.testing.assert_allclose(fit.to_evidence(x, base, unsure)[0], -0.5, atol=1e-3)


def test_priors_vanish_at_a_start_within_the_limits_only():
  state = hands.state()
  mean = tf.constant(np.append(state.space.mean, state.closeness)[None], tf.float32)
  fit = misfit.Misfit(state, limit=0.1, angle=0.5)
  for part in fit.to_priors(mean, mean):
    np.testing.assert_allclose(part, 0., atol=1e-6)
  bent = mean + tf.one_hot([0], mean.shape[1]) * 4.
  angles, beyond, shape, closeness = fit.to_priors(bent, mean)
  np.testing.assert_allclose(angles[0, 0], 8., rtol=1e-6)
  np.testing.assert_allclose(beyond[0, 0], (float(bent[0, 0]) - state.space.high[0]) / 0.1, rtol=1e-5)
  assert not np.any(shape) and not np.any(closeness)


def test_levenberg_marquardt_finds_random_hands_from_their_joints():
  state, truth = hands.state(), hands.truth(8)
  evidence = truth.evidence()
  start, base = state.start(evidence)
  fit = misfit.Misfit(state, joints=0.002, depth=0.02, world=0.001, angle=0.5, shape=1., closeness=0.08)
  found = least_squares.minimise_squares(lambda x: fit.linearised(x, start, base, evidence), start, 30)
  joints = state.joints(found.best, base)
  error_mm = 1000 * tf.reduce_mean(tf.norm(joints.metres - truth.joints_3d_m, axis=-1), axis=1).numpy()
  error_2d = tf.reduce_mean(tf.norm(joints.joints_2d - truth.joints_2d, axis=-1), axis=1).numpy()
  # A single hand may end in another valley: the start is the mean hand.
  assert np.quantile(error_mm, 0.75) < 1. and np.quantile(error_2d, 0.75) < 0.01


@pytest.mark.parametrize('closeness', [0.1, 8.])
def test_linearised_is_the_derivative(closeness):
  """Also where joints pass the camera, and where angles pass the limits."""
  state, fit = hands.state(), misfit.Misfit(hands.state())
  evidence = hands.truth(3).evidence()
  start, base = state.start(evidence)
  noise = np.random.default_rng(0).normal(0, 0.3, start.shape)
  x = start + tf.constant(noise, tf.float32)
  x = tf.concat([x[:, :-1], tf.fill([3, 1], closeness)], axis=1)
  assert np.any(state.space.beyond(x[:, :26]) > 0)
  values, jacobian = fit.linearised(x, start, base, evidence)
  expected, by_tape = least_squares.values_and_jacobian(lambda rows: fit.residuals(rows, start, base, evidence), x)
  np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-3)
  np.testing.assert_allclose(jacobian, by_tape, rtol=1e-3, atol=2e-3)
