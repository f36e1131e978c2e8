import gin
import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from dhpe_tf.geometry import smoothing

RATE_HZ = 30.
FILTERS = (smoothing.OneEuro, smoothing.OneEuroRotations)


def _share(cutoff_hz):
  ratio = 2 * np.pi * cutoff_hz / RATE_HZ
  return ratio / (1 + ratio)


def _run(smoother, values, times=None):
  times = np.arange(len(values)) / RATE_HZ if times is None else times
  return np.array([smoother(value, time_s) for value, time_s in zip(values, times)])


def _quaternions(angles, axis=(0., 0., 1.)):
  """Turns by angles [T] in radians about an axis: [T, 4] (w, x, y, z)."""
  axis = np.asarray(axis) / np.linalg.norm(axis)
  return np.column_stack([np.cos(angles / 2), np.sin(angles / 2)[:, np.newaxis] * axis])


def _angles(quaternions):
  """The angles [T] of turns about z."""
  return 2 * np.arctan2(quaternions[:, 3], quaternions[:, 0])


@pytest.mark.parametrize('make', FILTERS)
def test_a_constant_passes(make):
  value = np.random.default_rng(0).normal(size=(21, 4))
  value /= np.linalg.norm(value, axis=-1, keepdims=True)
  smoothed = _run(make(), np.tile(value, (10, 1, 1)))
  np.testing.assert_allclose(smoothed, np.tile(value, (10, 1, 1)), atol=1e-12)


def test_a_step_is_followed_as_the_low_pass_does():
  values = np.r_[0., np.ones(400)][:, np.newaxis]
  smoothed = _run(smoothing.OneEuro(1.2, 0., 1.), values)[:, 0]
  np.testing.assert_allclose(1 - smoothed, (1 - _share(1.2))**np.arange(401), atol=1e-12)
  # With a speed coefficient it arrives sooner, and at the same place.
  faster = _run(smoothing.OneEuro(1.2, 1., 1.), values)[:, 0]
  assert (faster[1:50] > smoothed[1:50]).all() and abs(faster[-1] - 1) < 1e-6


@pytest.mark.parametrize('cutoff_hz', [0.5, 2., 8.])
def test_white_noise_keeps_the_analytic_part_of_its_variance(cutoff_hz):
  noise = np.random.default_rng(0).normal(size=(10_000, 3))
  smoothed = _run(smoothing.OneEuro(cutoff_hz, 0., 1.), noise)[500:]
  share = _share(cutoff_hz)
  np.testing.assert_allclose(smoothed.var() / noise.var(), share / (2 - share), rtol=0.1)
  turns = Rotation.from_rotvec(0.02 * noise[:3000]).as_quat()[:, [3, 0, 1, 2]]
  smoothed = _run(smoothing.OneEuroRotations(cutoff_hz, 0., 1.), turns)[500:]
  left = Rotation.from_quat(smoothed[:, [1, 2, 3, 0]]).as_rotvec().var() / (0.02 * noise[:3000]).var()
  np.testing.assert_allclose(left, share / (2 - share), rtol=0.25)


@pytest.mark.parametrize('speed', [0.1, 2.])
@pytest.mark.parametrize('coefficient', [0., 0.7])
def test_the_lag_at_constant_speed(speed, coefficient):
  path = speed * np.arange(600) / RATE_HZ
  lag = speed / (2 * np.pi * (1.5 + coefficient * speed))
  direction = np.array([2., -1., 2.]) / 3
  smoothed = _run(smoothing.OneEuro(1.5, coefficient, 1.), path[:, np.newaxis] * direction)
  np.testing.assert_allclose(path[-1] - smoothed[-1] @ direction, lag, rtol=1e-6)
  turns = _run(smoothing.OneEuroRotations(1.5, coefficient, 1.), _quaternions(path))
  behind = (path - _angles(turns) + np.pi) % (2 * np.pi) - np.pi
  np.testing.assert_allclose(behind[-1], lag, rtol=1e-6)


def test_the_rate_of_frames_may_change():
  # At constant speed the lag v / (2 pi f) depends on the cutoff alone, whatever the times of the frames.
  times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.05, 500))
  smoothed = _run(smoothing.OneEuro(1., 0., 1.), 3. * times[:, np.newaxis], times)[:, 0]
  np.testing.assert_allclose((3 * times - smoothed)[-100:], 3 / (2 * np.pi), rtol=1e-6)


def test_the_axes_do_not_matter():
  random = np.random.default_rng(0)
  values = np.cumsum(random.normal(size=(50, 21, 3)), axis=0) / 100
  turn = Rotation.from_rotvec([0.3, -1., 0.5]).as_matrix()
  np.testing.assert_allclose(_run(smoothing.OneEuro(), values @ turn), _run(smoothing.OneEuro(), values) @ turn,
                             atol=1e-12)
  # Joints are independent of each other.
  np.testing.assert_allclose(_run(smoothing.OneEuro(), values[:, 4]), _run(smoothing.OneEuro(), values)[:, 4])


def test_a_scalar():
  np.testing.assert_allclose(_run(smoothing.OneEuro(), np.arange(5.)),
                             _run(smoothing.OneEuro(), np.arange(5.)[:, np.newaxis])[:, 0])


def test_both_quaternions_of_a_rotation_are_the_same():
  random = np.random.default_rng(0)
  angles = np.cumsum(random.uniform(0, 0.6, 60))  # several circles
  turns = _quaternions(angles, (1., 2., 3.))
  flipped = turns * random.choice([-1., 1.], 60)[:, np.newaxis] * random.uniform(0.5, 2., 60)[:, np.newaxis]
  flipped[0] = turns[0]
  smoothed = _run(smoothing.OneEuroRotations(), turns)
  np.testing.assert_allclose(_run(smoothing.OneEuroRotations(), flipped), smoothed, atol=1e-12)
  np.testing.assert_allclose(np.linalg.norm(smoothed, axis=-1), 1)
  assert (np.sum(smoothed[1:] * smoothed[:-1], axis=-1) > 0.8).all(), 'no jump from q to -q'


def test_rotations_move_along_the_shortest_turn():
  first, second = Rotation.from_rotvec([[0.2, 0.1, -0.4], [1.3, -0.6, 0.9]])
  start, end = (turn.as_quat()[[3, 0, 1, 2]] for turn in (first, second))
  smoother = smoothing.OneEuroRotations(2., 0., 1.)
  smoother(start, 0.)
  expected = Slerp([0, 1], Rotation.concatenate([first, second]))(_share(2.))
  moved = Rotation.from_quat(smoother(end, 1 / RATE_HZ)[[1, 2, 3, 0]])
  assert (moved * expected.inv()).magnitude() < 1e-12


@pytest.mark.parametrize('make', FILTERS)
@pytest.mark.parametrize('time_s', [1., 0.5, np.nan, np.inf])
def test_times_must_increase(make, time_s):
  smoother = make()
  smoother(np.ones(4), 1.)
  with pytest.raises(ValueError, match='order of their times'):
    smoother(np.ones(4), time_s)
  smoother.reset()
  np.testing.assert_allclose(smoother(np.array([0., 1, 0, 0]), 0.5), [0, 1, 0, 0])


@pytest.mark.parametrize('make', FILTERS)
def test_missing_frames_are_bridged(make):
  value, missing = np.array([[0.6, 0.8, 0, 0]]), np.array([[np.nan, 0.8, 0, 0]])
  smoother = make()
  assert np.isnan(smoother(missing, 0.)).any()
  smoother(value, 1.)
  np.testing.assert_allclose(smoother(missing, 1.1), value)
  # The frame behind the gap counts as one after the whole gap.
  other, plain = np.array([[0.8, 0.6, 0, 0]]), make()
  plain(value, 1.)
  np.testing.assert_allclose(smoother(other, 1.2), plain(other, 1.2))


@pytest.mark.parametrize('make', FILTERS)
def test_what_is_given_and_returned_belongs_to_the_caller(make):
  given = np.array([0.6, 0.8, 0, 0])
  smoother = make()
  smoother(given, 0.)[:] = 7
  given[:] = 9
  np.testing.assert_allclose(smoother(np.array([0.6, 0.8, 0, 0]), 1.), [0.6, 0.8, 0, 0])


def test_values_and_settings_that_make_no_sense():
  smoother = smoothing.OneEuro()
  smoother(np.zeros(3), 0.)
  with pytest.raises(ValueError, match='expected shape'):
    smoother(np.zeros(4), 1.)
  for value in (np.zeros(4), np.ones(3)):
    with pytest.raises(ValueError, match='expected quaternions'):
      smoothing.OneEuroRotations()(value, 0.)
  for settings in ((0., 1., 1.), (1., -1., 1.), (1., 1., 0.)):
    with pytest.raises(ValueError, match='cutoffs'):
      smoothing.OneEuro(*settings)


def test_gin_sets_the_defaults():
  with gin.unlock_config():
    gin.parse_config('smoothing.OneEuro.min_cutoff_hz = 8.\nsmoothing.OneEuro.speed_coefficient = 0.')
  try:
    smoothed = _run(smoothing.OneEuro(), np.array([[0.], [1.]]))
  finally:
    gin.clear_config()
  np.testing.assert_allclose(smoothed[1], _share(8.))
