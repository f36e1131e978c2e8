"""Palms from the answers of the palm network: decoded to px of the picture, and one for each palm.

Facts from MediaPipe's published graphs of 0.10.21 and from Zhang et al., MediaPipe Hands: On-device Real-time Hand
Tracking, 2020.
"""
from typing import NamedTuple

import gin
import tensorflow as tf

from dhpe_tf.finding import anchors
from dhpe_tf.geometry import crops
from dhpe_tf.networks import palm_net

# Keypoints of a palm.
WRIST, INDEX, MIDDLE, RING, LITTLE, THUMB_CMC, THUMB_MCP = range(7)
NUM_POINTS = 7
LARGEST_LOGIT = 100.  # as in the graph; beyond it the sigmoid is 0 or 1 anyway


class Palms(NamedTuple):
  """N palms in a picture.

  Attributes:
    score: [N] probability of a palm, float32.
    center_px, size_px: [N, 2] float32, centre (x, y) and size (width, height) of the upright box around the palm.
    points_px: [N, 7, 2] float32, keypoints in the order of this module's constants.
  """

  score: tf.Tensor
  center_px: tf.Tensor
  size_px: tf.Tensor
  points_px: tf.Tensor


def decode(scores: tf.Tensor, boxes: tf.Tensor, views: crops.Crop) -> Palms:
  """Takes the palm network's answers for several views of one picture to px of that picture.

  Args:
    scores: [V, 2016] logits.
    boxes: [V, 2016, 18] px of the network's picture, as `palm_net` answers.
    views: the squares [V] of the picture that the network was shown.

  Returns:
    V * 2016 palms, most of them with a score near zero.
  """
  centers = anchors.anchor_centers_px()
  scale = views.side_px[:, None, None] / palm_net.SIZE_PX
  points = tf.reshape(boxes, [-1, len(centers), 2 + NUM_POINTS, 2])
  # Entry 1 is the size; the others are places relative to the anchor.
  places = tf.concat([points[:, :, :1], points[:, :, 2:]], axis=2) + centers[:, None]
  places = places - palm_net.SIZE_PX / 2
  places = places * scale[..., None] + views.center_px[:, None, None]
  places = tf.reshape(places, [-1, 1 + NUM_POINTS, 2])
  score = tf.sigmoid(tf.clip_by_value(scores, -LARGEST_LOGIT, LARGEST_LOGIT))
  return Palms(tf.reshape(score, [-1]), places[:, 0], tf.reshape(points[:, :, 1] * scale, [-1, 2]), places[:, 1:])


@gin.configurable(module='finding', denylist=['palms', 'least_score', 'most_palms'])
def merge(palms: Palms, least_score: float, most_palms: int, most_overlap: float = 0.3, candidates: int = 128) -> Palms:
  """Weighted non-maximum suppression: one palm for each group of palms that overlap.

  The best palm and all that overlap it by more than `most_overlap` become one, and so on with those that are left.
  A group's box and keypoints are the means of its members', weighted by their scores; its score is the best one's.

  Args:
    palms: any number of palms.
    least_score: palms below it do not count.
    most_palms: largest number of groups.
    most_overlap: largest intersection over union of the boxes of two palms that both stay.
    candidates: only so many of the best palms are looked at.

  Returns:
    At most `most_palms` palms, best first.
  """
  palms = take(palms, tf.math.top_k(palms.score, tf.minimum(candidates, tf.size(palms.score))).indices)
  overlap = overlaps(palms)
  left = tf.where(palms.score >= least_score, palms.score, 0.)
  best, weights = [], []
  for _ in range(most_palms):
    index = tf.argmax(left)
    # A box without area overlaps nothing, not even itself.
    group = (overlap[index] > most_overlap) | tf.one_hot(index, tf.size(left), True, False)
    best.append(left[index])
    weights.append(tf.where(group, left, 0.))
    left = tf.where(group, 0., left)
  score, weights = tf.stack(best), tf.stack(weights)
  weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=1, keepdims=True))
  center_px, size_px, points_px = (tf.einsum('gn,n...->g...', weights, value) for value in palms[1:])
  return take(Palms(score, center_px, size_px, points_px), tf.where(score > 0.)[:, 0])


def overlaps(palms: Palms) -> tf.Tensor:
  """Intersection over union of the boxes of each two of N palms: [N, N] float32, 0 where both boxes have no area."""
  low, high = palms.center_px - palms.size_px / 2, palms.center_px + palms.size_px / 2
  shared = tf.minimum(high[:, None], high) - tf.maximum(low[:, None], low)
  shared = tf.reduce_prod(tf.maximum(shared, 0.), axis=-1)
  area = tf.reduce_prod(palms.size_px, axis=-1)
  return tf.math.divide_no_nan(shared, area[:, None] + area - shared)


def take(palms: Palms, indices: tf.Tensor) -> Palms:
  """The palms at `indices` [M]."""
  return Palms(*(tf.gather(value, indices) for value in palms))
