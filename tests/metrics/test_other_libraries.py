"""The metrics beside what SciPy and scikit-image answer to the same question."""
import numpy as np
import pytest
from scipy import integrate, linalg, spatial
from skimage import transform

from dhpe_tf.metrics import mesh, pck, pose_error, segmentation

N, K = 6, 21


@pytest.fixture
def points():
  """Truth and predictions [N, K, 3], some nearer to the mirrored truth."""
  random = np.random.default_rng(0)
  truth = random.normal(size=[N, K, 3])
  predictions = truth @ np.linalg.qr(random.normal(size=[N, 3, 3]))[0] * 1.3 + .1 * random.normal(size=[N, K, 3]) + 2.
  predictions[::2, :, 0] *= -1
  return predictions, truth


@pytest.mark.parametrize('scale', [True, False])
def test_procrustes_is_scikit_images_similarity(points, scale):
  kind = transform.SimilarityTransform if scale else transform.EuclideanTransform
  aligned = pose_error.align_procrustes(*points, scale=scale)
  for found, prediction, truth in zip(aligned, *points):
    other = kind(dimensionality=3)
    assert other.estimate(prediction, truth)
    np.testing.assert_allclose(found, other(prediction), atol=1e-9)


def test_mirroring_procrustes_is_scipys(points):
  """`scipy.linalg.orthogonal_procrustes` after bringing both to one norm: what FreiHAND and HO-3D compute."""
  aligned = pose_error.align_procrustes(*points, mirror=True)
  mirrored = 0
  for found, prediction, truth in zip(aligned, *points):
    goal, moved = truth - truth.mean(0), prediction - prediction.mean(0)
    sizes = [np.linalg.norm(array) for array in (goal, moved)]
    rotation, factor = linalg.orthogonal_procrustes(goal / sizes[0], moved / sizes[1])
    np.testing.assert_allclose(found, moved / sizes[1] @ rotation.T * factor * sizes[0] + truth.mean(0), atol=1e-9)
    mirrored += np.linalg.det(rotation) < 0
  assert 0 < mirrored < N


def test_area_under_the_curve_is_the_trapezoid_rule():
  thresholds = np.sort(np.random.default_rng(1).uniform(0, .05, 12))
  curve = np.linspace(.1, .8, 12) ** 2
  expected = integrate.trapezoid(curve, thresholds) / (thresholds[-1] - thresholds[0])
  assert pck.auc(curve, thresholds) == pytest.approx(expected, rel=1e-12)


def test_pck_is_the_distribution_of_the_errors(points):
  """With one keypoint, PCK is the empirical distribution function."""
  errors = np.linalg.norm(points[0] - points[1], axis=-1)[:, :1]
  thresholds = np.linspace(0, errors.max(), 30)
  expected = [np.searchsorted(np.sort(errors[:, 0]), limit, side='right') / N for limit in thresholds]
  np.testing.assert_allclose(pck.pck_curve(errors, None, thresholds), expected)


def test_hand_iou_is_one_minus_jaccards_distance():
  random = np.random.default_rng(2)
  masks = random.uniform(size=[2, 5, 16, 16]) > .5
  expected = [1 - spatial.distance.jaccard(a.ravel(), b.ravel()) for a, b in zip(*masks)]
  np.testing.assert_allclose(segmentation.hand_iou(*masks.astype(np.float32)), expected)


def test_f_score_from_all_pairs():
  random = np.random.default_rng(3)
  predictions, truth = random.uniform(size=[2, 3, 50, 3])
  for found, a, b in zip(mesh.f_score(predictions, truth, .15), predictions, truth):
    distances = spatial.distance.cdist(a, b)
    precision, recall = (distances.min(1) < .15).mean(), (distances.min(0) < .15).mean()
    assert found == pytest.approx(2 * precision * recall / (precision + recall))
