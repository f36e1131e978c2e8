import numpy as np
import pytest

from dhpe_tf.metrics import segmentation


def test_by_hand():
  """Ten pixels: six background of which one is called hand, four hand of which one is called background."""
  truth = np.array([0] * 6 + [1] * 4)
  predictions = np.array([0] * 5 + [1] + [1] * 3 + [0])
  counts = segmentation.confusion(predictions, truth)
  np.testing.assert_array_equal(counts, [[5, 1], [1, 3]])
  scores = segmentation.scores(counts)
  expected = {'pixel_accuracy': .8, 'mean_accuracy': (5 / 6 + 3 / 4) / 2, 'mean_iou': (5 / 7 + 3 / 5) / 2,
              'frequency_weighted_iou': (6 * 5 / 7 + 4 * 3 / 5) / 10}
  assert scores == pytest.approx(expected)


def test_perfect_scores_exactly_one():
  mask = np.random.default_rng(0).uniform(size=[3, 8, 9]) > .7
  assert set(segmentation.scores(segmentation.confusion(mask, mask)).values()) == {1.}
  np.testing.assert_array_equal(segmentation.hand_iou(mask, mask), 1.)


def test_absent_class_is_left_out():
  assert segmentation.scores(segmentation.confusion(np.zeros(5, int), np.zeros(5, int)))['mean_iou'] == 1.


def test_hand_iou():
  truth, predictions = np.zeros([3, 2, 4]), np.zeros([3, 2, 4])
  truth[0, 0, :3], predictions[0, 0, 1:] = 1, .6
  predictions[1, 0, 0] = 1
  np.testing.assert_allclose(segmentation.hand_iou(predictions, truth), [.5, 0., 1.])


def test_soft_masks_are_cut_at_one_half():
  counts = segmentation.confusion(np.array([.5, .51, 1.]), np.array([0., 1., 0.]))
  np.testing.assert_array_equal(counts, [[1, 1], [0, 1]])


def test_pixels_that_do_not_count():
  counts = segmentation.confusion(np.array([1, 1, 0]), np.array([1, 0, 0]), valid=np.array([1, 0, 1]))
  np.testing.assert_array_equal(counts, [[1, 0], [0, 1]])


def test_more_classes_against_brute_force():
  rng = np.random.default_rng(0)
  truth, predictions = rng.integers(0, 4, [2, 2, 6, 7])
  counts = segmentation.confusion(predictions, truth, classes=4)
  for i in range(4):
    for j in range(4):
      assert counts[i, j] == ((truth == i) & (predictions == j)).sum()


@pytest.mark.parametrize('predictions, truth', [([0, 1], [0]), ([0, 2], [0, 1]), ([0, -1], [0, 1])])
def test_bad_masks(predictions, truth):
  with pytest.raises(ValueError, match='mask'):
    segmentation.confusion(np.array(predictions), np.array(truth))
  with pytest.raises(ValueError, match='no pixel'):
    segmentation.scores(np.zeros([2, 2]))
