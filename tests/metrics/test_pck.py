import numpy as np
import pytest

from dhpe_tf.metrics import pck

# Two keypoints over three samples; the second keypoint is labelled twice.
ERRORS = np.array([[.01, .02], [.03, 9.], [.05, .04]])
VALID = np.array([[1, 1], [1, 0], [1, 1]])


def test_by_hand():
  curve = pck.pck_curve(ERRORS, VALID, np.array([0., .01, .02, .03, .05]))
  np.testing.assert_allclose(curve, [0., 1 / 6, (1 / 3 + 1 / 2) / 2, (2 / 3 + 1 / 2) / 2, 1.])


def test_mean_is_over_keypoints_not_entries():
  errors, valid = np.array([[1., 0.], [1., 9.], [1., 9.]]), np.array([[1, 1], [1, 0], [1, 0]])
  assert pck.pck(errors, valid, .5) == 0.5


def test_error_at_the_threshold_counts():
  assert pck.pck(np.array([[.02]]), None, .02) == 1.


def test_auc_by_hand():
  np.testing.assert_allclose(pck.auc([0., 1., 1.], [0., 1., 3.]), (.5 + 2.) / 3)


@pytest.mark.parametrize('name', pck.THRESHOLDS_M)
@pytest.mark.parametrize('samples', [1, 7])
def test_perfect_scores_exactly_one(name, samples):
  thresholds = pck.THRESHOLDS_M[name]
  assert pck.auc(pck.pck_curve(np.zeros([samples, 21]), None, thresholds), thresholds) == 1.
  assert pck.auc(pck.pck_curve(np.full([samples, 21], .06), None, thresholds), thresholds) == 0.


def test_ranges():
  zb = pck.THRESHOLDS_M['zb']
  assert len(zb) == 12
  np.testing.assert_allclose([zb[0], zb[-1]], [.05 * 8 / 19, .05])
  np.testing.assert_allclose(pck.THRESHOLDS_M['std'], np.arange(20, 51) / 1000)
  assert len(pck.THRESHOLDS_M['full']) == 100


def test_agrees_with_numpy_trapezoid():
  trapezoid = getattr(np, 'trapezoid', None) or np.trapz
  thresholds = np.sort(np.random.default_rng(0).uniform(size=9))
  curve = np.random.default_rng(1).uniform(size=9)
  np.testing.assert_allclose(pck.auc(curve, thresholds),
                             trapezoid(curve, thresholds) / trapezoid(np.ones(9), thresholds))


def test_inputs_unchanged_and_nan_where_not_valid():
  errors, valid = ERRORS.copy(), VALID.copy()
  errors[1, 1] = np.nan
  kept = errors.copy()
  np.testing.assert_allclose(pck.pck_curve(errors, valid, [.02]), pck.pck_curve(ERRORS, VALID, [.02]))
  np.testing.assert_array_equal(errors, kept)
  np.testing.assert_array_equal(valid, VALID)


def test_keypoint_never_labelled_is_left_out():
  assert pck.pck(np.array([[0., 9.]]), np.array([[1, 0]]), .1) == 1.


@pytest.mark.parametrize('errors, valid', [(ERRORS, np.zeros([3, 2])), (ERRORS[0], None), (ERRORS, VALID[:2])])
def test_nothing_to_measure(errors, valid):
  with pytest.raises(ValueError):
    pck.pck_curve(errors, valid, [.02])
