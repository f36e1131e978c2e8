import functools

import numpy as np
import pytest
from scipy import spatial

from dhpe_tf.metrics import pose_error


def _hands(count=4, seed=0):
  return np.random.default_rng(seed).normal(size=[count, 21, 3]) * .05


def _similar(points, seed=1):
  """The points after a random scale, rotation and translation each."""
  rng = np.random.default_rng(seed)
  rotations = spatial.transform.Rotation.random(len(points), random_state=seed).as_matrix()
  return (rng.uniform(.5, 2, [len(points), 1, 1]) * points @ rotations + rng.normal(size=[len(points), 1, 3]),
          rotations)


ALIGNMENTS = {
    'root': pose_error.align_root,
    'root_bone': pose_error.align_root_bone,
    'root_scale': pose_error.align_root_scale,
    'centroid': pose_error.align_centroid,
    'centroid_scale': functools.partial(pose_error.align_centroid, scale=True),
    'procrustes': pose_error.align_procrustes,
}


def test_end_point_error_by_hand():
  errors = np.array([[1., 10.], [2., 999.], [6., 30.]])
  valid = np.array([[1, 1], [1, 0], [1, 1]])
  assert pose_error.end_point_error(errors, valid) == ((3 + 20) / 2, (2 + 20) / 2)
  assert pose_error.end_point_error(errors, valid, per_keypoint=False) == (49 / 5, 6.)
  with pytest.raises(ValueError):
    pose_error.end_point_error(errors, np.zeros([3, 2]))


def test_joint_errors():
  np.testing.assert_allclose(pose_error.joint_errors(np.array([[[3., 4.]]]), np.zeros([1, 1, 2])), [[5.]])


@pytest.mark.parametrize('name', ALIGNMENTS)
def test_perfect_stays_perfect_and_inputs_unchanged(name):
  truth = _hands().astype(np.float32)
  kept = truth.copy()
  aligned = ALIGNMENTS[name](truth, truth)
  np.testing.assert_allclose(aligned, truth, atol=1e-12)
  np.testing.assert_array_equal(truth, kept)


def test_root_alignment_is_exactly_zero_on_perfect():
  truth = _hands()
  for align in (pose_error.align_root, pose_error.align_root_bone):
    assert pose_error.joint_errors(align(truth, truth), truth).max() < 1e-16


@pytest.mark.parametrize('name', ['root_bone', 'root_scale', 'centroid_scale', 'procrustes'])
def test_undoes_scale_and_translation(name):
  truth = _hands()
  np.testing.assert_allclose(ALIGNMENTS[name](2.5 * truth + [.1, .2, .3], truth), truth, atol=1e-12)


def test_root_alone_keeps_scale():
  truth = _hands()
  errors = pose_error.joint_errors(pose_error.align_root(2 * truth + 1, truth), truth)
  np.testing.assert_allclose(errors, np.linalg.norm(truth - truth[:, 9:10], axis=-1))


def test_centroid_alone_keeps_scale():
  truth = _hands()
  errors = pose_error.joint_errors(pose_error.align_centroid(2 * truth + 1, truth), truth)
  np.testing.assert_allclose(errors, np.linalg.norm(truth - truth.mean(1, keepdims=True), axis=-1))


def test_root_scale_is_least_squares():
  truth, predictions = _hands(seed=0), _hands(seed=1)
  best = ((pose_error.align_root_scale(predictions, truth) - truth) ** 2).sum((1, 2))
  moved, goal = predictions - predictions[:, 9:10], truth - truth[:, 9:10]
  for factor in np.linspace(1e-3, 2, 200):
    assert (((factor * moved - goal) ** 2).sum((1, 2)) >= best - 1e-9)[best < (goal ** 2).sum((1, 2))].all()


def test_bone_has_its_true_length():
  truth, predictions = _hands(seed=0), _hands(seed=1)
  aligned = pose_error.align_root_bone(predictions, truth, root=0, bone=(11, 12))
  np.testing.assert_allclose(*(np.linalg.norm(x[:, 11] - x[:, 12], axis=-1) for x in (aligned, truth)))
  np.testing.assert_allclose(aligned[:, 0], truth[:, 0])


def test_procrustes_undoes_similarity():
  truth = _hands()
  np.testing.assert_allclose(pose_error.align_procrustes(_similar(truth)[0], truth), truth, atol=1e-10)


def test_procrustes_agrees_with_scipy():
  """scipy's disparity allows mirroring, so it is the answer where the best transform does not mirror."""
  truth = _hands(seed=0)
  predictions = _similar(truth + .3 * _hands(seed=2))[0]
  aligned = pose_error.align_procrustes(predictions, truth)
  for one, goal, prediction in zip(aligned, truth, predictions):
    size = ((goal - goal.mean(0)) ** 2).sum()
    np.testing.assert_allclose(((one - goal) ** 2).sum() / size, spatial.procrustes(goal, prediction)[2], rtol=1e-9)


def test_procrustes_without_scale_agrees_with_kabsch():
  truth, predictions = _hands(seed=0), _hands(seed=0) + .3 * _hands(seed=2)
  aligned = pose_error.align_procrustes(predictions, truth, scale=False)
  for one, goal, prediction in zip(aligned, truth, predictions):
    _, residual = spatial.transform.Rotation.align_vectors(goal - goal.mean(0), prediction - prediction.mean(0))
    np.testing.assert_allclose(np.sqrt(((one - goal) ** 2).sum()), residual, rtol=1e-9)


def test_procrustes_does_not_mirror():
  truth = _hands()
  aligned = pose_error.align_procrustes(truth * [-1., 1., 1.], truth)
  assert pose_error.joint_errors(aligned, truth).mean() > .01
  distances = [spatial.distance.pdist(x) for x in (aligned[0], truth[0])]
  np.testing.assert_allclose(np.corrcoef(*distances)[0, 1], 1.)


@pytest.mark.parametrize('name', ['root_scale', 'centroid_scale', 'procrustes'])
def test_labels_that_do_not_count_may_be_nan(name):
  truth = _hands()
  predictions = 2 * truth + 1
  valid = np.ones([4, 21])
  valid[1, 3:8] = 0
  spoilt = np.where(valid[..., None] > 0, truth, np.nan)
  aligned = ALIGNMENTS[name](predictions, spoilt, valid=valid)
  np.testing.assert_allclose(aligned, truth, atol=1e-10)


@pytest.mark.parametrize('name', ALIGNMENTS)
def test_collapsed_prediction_stays_finite(name):
  assert np.isfinite(ALIGNMENTS[name](np.zeros([2, 21, 3]), _hands(2))).all()


def test_acceleration():
  time = np.arange(5.)[:, None, None]
  truth = np.zeros([5, 2, 3])
  predictions = .5 * 3 * time ** 2 * [1., 0., 0.] + 7 * time
  np.testing.assert_allclose(pose_error.acceleration_error(np.broadcast_to(predictions, [5, 2, 3]), truth), 3.)
  np.testing.assert_allclose(
      pose_error.acceleration_error(np.broadcast_to(predictions, [5, 2, 3]), truth, frames_per_second=10.), 300.)
  assert pose_error.acceleration_error(truth, truth) == 0.
  with pytest.raises(ValueError, match='three frames'):
    pose_error.acceleration_error(truth[:2], truth[:2])
