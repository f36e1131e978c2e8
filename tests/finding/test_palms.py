import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.finding import palms as palms_of
from dhpe_tf.geometry import crops


def answers(views):
  return np.full((views, 2016), -200., np.float32), np.zeros((views, 2016, 18), np.float32)


def test_decode_known_answers():
  scores, boxes = answers(2)
  scores[0, 2], scores[1, 1152 + 6] = 0., 1e6  # anchors at (12, 4) and (24, 8)
  boxes[0, 2] = [1, 2, 30, 20] + [5, 6] + [0] * 10 + [-12, -4]
  boxes[1, 1152 + 6] = [72, 88, 48, 48] + [0] * 14
  views = crops.Crop(tf.constant([[96., 96.], [50., 10.]]), tf.constant([192., 96.]))
  palms = palms_of.decode(scores, boxes, views)
  assert palms.score.shape == (4032,)
  np.testing.assert_allclose(palms.score.numpy()[[0, 2, 2016 + 1158]], [0, 0.5, 1], atol=1e-6)
  # The first view shows the picture as it is.
  np.testing.assert_allclose(palms.center_px[2], [13, 6])
  np.testing.assert_allclose(palms.size_px[2], [30, 20])
  np.testing.assert_allclose(palms.points_px[2, :2], [[17, 10], [12, 4]])
  np.testing.assert_allclose(palms.points_px[2, 6], [0, 0])
  # The second shows half the pixels about (50, 10): its middle, (96, 96), is there, and lengths halve.
  np.testing.assert_allclose(palms.center_px[2016 + 1158], [50, 10])
  np.testing.assert_allclose(palms.size_px[2016 + 1158], [24, 24])
  np.testing.assert_allclose(palms.points_px[2016 + 1158, 0], [50 - 36, 10 - 44])


def random_palms(count, seed, spread_px=60.):
  rng = np.random.default_rng(seed)
  values = (rng.uniform(0.2, 1, count), rng.uniform(0, spread_px, (count, 2)), rng.uniform(10, 40, (count, 2)),
            rng.uniform(0, spread_px, (count, 7, 2)))
  return palms_of.Palms(*(tf.constant(value, tf.float32) for value in values))


def overlap(a, b, palms):
  """Intersection over union of palms a and b, by the definition."""
  (xa, ya), (wa, ha), (xb, yb), (wb, hb) = (values[k].numpy() for k in (a, b) for values in palms[1:3])
  width = min(xa + wa / 2, xb + wb / 2) - max(xa - wa / 2, xb - wb / 2)
  height = min(ya + ha / 2, yb + hb / 2) - max(ya - ha / 2, yb - hb / 2)
  shared = max(width, 0) * max(height, 0)
  return shared / (wa * ha + wb * hb - shared)


def merged_one_by_one(palms, least_score, most_overlap):
  """Weighted suppression by lists: scores, centres, sizes and keypoints of the groups."""
  score = palms.score.numpy()
  left = [k for k in np.argsort(-score) if score[k] >= least_score]
  groups = []
  while left:
    group = [k for k in left if k == left[0] or overlap(left[0], k, palms) > most_overlap]
    means = [np.average(values.numpy()[group], axis=0, weights=score[group]) for values in palms[1:]]
    groups.append((score[left[0]], *means))
    left = [k for k in left if k not in group]
  return [np.stack(values) for values in zip(*groups)]


@pytest.mark.parametrize('seed', range(4))
def test_merge_against_lists(seed):
  palms = random_palms(40, seed)
  expected = merged_one_by_one(palms, 0.5, 0.3)
  assert 3 < len(expected[0]) < np.sum(palms.score.numpy() >= 0.5), 'some must merge and some must stay'
  found = palms_of.merge(palms, 0.5, 40)
  for value, wanted in zip(found, expected):
    np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-4)


def test_merge_keeps_the_best_few():
  palms = random_palms(40, 0)
  every, few = palms_of.merge(palms, 0.5, 40), palms_of.merge(palms, 0.5, 3)
  for value, wanted in zip(few, every):
    np.testing.assert_allclose(value, wanted[:3])


def test_merge_nothing_and_boxes_without_area():
  palms = random_palms(5, 1)
  none = palms_of.merge(palms, 1.1, 4)
  assert none.score.shape == (0,) and none.points_px.shape == (0, 7, 2)
  flat = palms_of.merge(palms._replace(size_px=tf.zeros([5, 2])), 0., 5)
  np.testing.assert_allclose(flat.score, np.sort(palms.score)[::-1])
