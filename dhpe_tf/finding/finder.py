"""Finds hands in a picture, follows them from picture to picture, or takes the one in a given box.

The way is that of Zhang et al., MediaPipe Hands: On-device Real-time Hand Tracking, 2020: a network finds palms, a
second one finds the landmarks in a turned square around each palm, and the landmarks give the square for the next look.
Thresholds are those of MediaPipe's published graphs of 0.10.21.
"""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

import gin
import tensorflow as tf

from dhpe_tf.finding import palms as palms_of
from dhpe_tf.finding import regions as regions_of
from dhpe_tf.finding import windows
from dhpe_tf.geometry import crops
from dhpe_tf.networks import at_rest, landmark_net, palm_net

# Called from several places, a function would be copied into each, and optimized there again at the first run.
_ONCE = {'_noinline': True}
LEFT_FROM = 0.5  # probability from which a hand is a left one

Tensors = Mapping[str, tf.Tensor]


class Hands(NamedTuple):
  """N hands in a picture, best first.

  Attributes:
    crop: the square around each hand in the unmirrored picture that the landmark network likes: centre [N, 2], side
      [N], px, float32.
    rotation: [N] float32, radians in -pi .. pi: `view.cut(picture, crop, is_left, size, rotation)` shows the hand with
      its fingers up. It is the turn of the mirrored content for a left hand.
    is_left: [N] bool.
    presence: [N] float32, probability that the square shows a hand.
    is_left_probability: [N] float32.
    joints_px: [N, 21, 2] float32, landmarks (x, y) in px of the picture, in this package's order.
    views: what the landmark network said of the two views of each square, if the finder looks at both; else empty. In
      the first view the hand is a right one, and the second one is its mirror image.
  """

  crop: crops.Crop
  rotation: tf.Tensor
  is_left: tf.Tensor
  presence: tf.Tensor
  is_left_probability: tf.Tensor
  joints_px: tf.Tensor
  views: tuple[Tensors, ...] = ()

  def sided(self, is_left: tf.Tensor) -> 'Hands':
    """The same hands, all left or all right ones as the scalar says."""
    wanted = tf.fill(tf.shape(self.is_left), is_left)
    same = wanted == self.is_left
    # The turn of a mirrored crop has the opposite sense.
    return self._replace(is_left=wanted, rotation=tf.where(same, 1., -1.) * self.rotation,
                         views=_exchanged(self.views, ~same))

  def around_landmarks(self) -> 'Hands':
    """The same hands in squares around their landmarks that are not turned, as most methods see hands."""
    return self._replace(crop=crops.crop_from_joints(self.joints_px), rotation=tf.zeros_like(self.rotation), views=())


class _Looks(NamedTuple):
  """What the landmark network says of N regions; as in `Hands`, but the first view is not mirrored for left hands."""

  presence: tf.Tensor
  is_left_probability: tf.Tensor
  joints_px: tf.Tensor
  regions: regions_of.Regions
  views: tuple[Tensors, ...]


PICTURE = tf.TensorSpec([None, None, 3], tf.uint8, 'picture')
BOX = tf.TensorSpec([4], tf.float32, 'box_xywh')
CROPS = crops.Crop(tf.TensorSpec([None, 2], tf.float32, 'center_px'), tf.TensorSpec([None], tf.float32, 'side_px'))
SCORE = tf.TensorSpec([], tf.float32, 'least_score')
REGIONS = regions_of.Regions(CROPS, tf.TensorSpec([None], tf.float32, 'turn'))
HANDS = Hands(
    CROPS, tf.TensorSpec([None], tf.float32, 'rotation'), tf.TensorSpec([None], tf.bool, 'is_left'),
    tf.TensorSpec([None], tf.float32, 'presence'), tf.TensorSpec([None], tf.float32, 'is_left_probability'),
    tf.TensorSpec([None, landmark_net.JOINTS, 2], tf.float32, 'joints_px'))


@gin.configurable(module='finding', denylist=['landmarks', 'palms', 'both_views'])
class HandFinder(tf.Module):
  """Finds the hands of one picture; each method is one graph without Python state."""

  def __init__(self, landmarks: Optional[Callable] = None, palms: Optional[Callable] = None,
               palm_threshold: float = 0.5, further_palm_threshold: float = 0.3, presence_threshold: float = 0.5,
               sure_presence: float = 0.9, max_hands: int = 8, same_hand: float = 0.33,
               box_scales: tuple = (1.5, 2.5), box_margin: float = 1.5, both_views: bool = False):
    """Builds the two networks.

    Args:
      landmarks: a `landmark_net` that is there already, or a function like it; None builds one.
      palms: a `palm_net` that is there already, or a function like it; None builds one.
      palm_threshold: palms of a lower score do not count.
      further_palm_threshold: the same for the squares that are searched if no hand is sure.
      presence_threshold: hands of a lower presence do not count.
      sure_presence: a hand of this presence ends the search; below it more squares of the picture are searched.
      max_hands: largest number of hands.
      same_hand: two hands are one if their landmarks are closer than this share of the larger hand, on average.
      box_scales: squares around a given box in which `at` looks for a palm, in units of its longer side.
      box_margin: side of the square in which `at` looks for landmarks otherwise, in the same units.
      both_views: whether to look at the mirror image of each square too and average, for those who can use what was
        seen: hands then come with `views`, and with the squares that were looked at in the place of the next ones.
    """
    super().__init__(name='hand_finder')
    self.palm_net, self.landmark_net = palms or palm_net.palm_net(), landmarks or landmark_net.landmark_net()
    self._palm_threshold, self._further_palm_threshold = palm_threshold, further_palm_threshold
    self._presence_threshold, self._sure_presence = presence_threshold, sure_presence
    self._max_hands, self._same_hand = max_hands, same_hand
    self._box_scales, self._box_margin = box_scales, box_margin
    self._both_views = both_views

  def settings(self) -> dict[str, Any]:
    """The numbers with which it was built, by name."""
    return {'palm_threshold': self._palm_threshold, 'further_palm_threshold': self._further_palm_threshold,
            'presence_threshold': self._presence_threshold, 'sure_presence': self._sure_presence,
            'max_hands': self._max_hands, 'same_hand': self._same_hand, 'box_scales': list(self._box_scales),
            'box_margin': self._box_margin}

  @tf.function(input_signature=[PICTURE], autograph=False)
  def find(self, picture: tf.Tensor) -> tuple[Hands, tf.Tensor]:
    """Finds all hands of a picture.

    Args:
      picture: [H, W, 3] uint8, RGB.

    Returns:
      The hands, none if no palm's region shows one; and the highest score of a palm or presence of a hand that was not
      enough, scalar float32 in 0..1.
    """
    height_width = tf.cast(tf.shape(picture)[:2], tf.float32)
    looks, rejected = self._search(picture, windows.usual_views(height_width), self._palm_threshold)

    def search_more():
      """Searches the other squares too; no hand is sure so far."""
      more, also_rejected = self._search(picture, windows.further_views(height_width), self._further_palm_threshold)
      return _joined(looks, more), tf.maximum(rejected, also_rejected)

    sure = tf.reduce_any(looks.presence >= self._sure_presence)
    looks, rejected = tf.cond(sure, lambda: (looks, rejected), search_more)
    return _seen(self._distinct(looks)), rejected

  @tf.function(input_signature=[PICTURE, HANDS], autograph=False)
  def follow(self, picture: tf.Tensor, hands: Hands) -> Hands:
    """Looks at the squares of the last picture's hands in the next picture.

    Args:
      picture: [H, W, 3] uint8, RGB.
      hands: the last picture's.

    Returns:
      Those hands that are still there, with new squares; one of those that have become the same hand.
    """
    turn = tf.where(hands.is_left, -hands.rotation, hands.rotation)
    looks = self._look(picture, regions_of.Regions(hands.crop, turn))
    return _seen(self._distinct(_pick(looks, looks.presence >= self._presence_threshold)))

  @tf.function(input_signature=[PICTURE, BOX], autograph=False)
  def at(self, picture: tf.Tensor, box_xywh: tf.Tensor) -> Hands:
    """Looks at the hand in a given box, however it is turned.

    The region is that of the best palm in the box. If it shows no sure hand, the box's four turns are tried too.

    Args:
      picture: [H, W, 3] uint8, RGB.
      box_xywh: [4] left, top, width, height, px; sizes above zero. The box should hold the hand and little else.

    Returns:
      Exactly one hand; its presence says whether there is one.
    """
    box = crops.crop_from_box(box_xywh)
    palms, _ = self._palms(picture, windows.around(box, self._box_scales), self._palm_threshold)
    inside = tf.reduce_all(tf.abs(palms.center_px - box.center_px) <= box_xywh[2:] / 2, axis=-1)
    looks = self._look(picture, regions_of.from_palms(palms_of.take(palms, tf.where(inside)[:1, 0])))

    def look_in_turns():
      """Looks at the box in its four turns too."""
      square = crops.Crop(box.center_px, self._box_margin * box.side_px)
      return _joined(looks, self._look(picture, regions_of.quarter_turns(square)))

    sure = tf.reduce_any(looks.presence >= self._sure_presence)
    looks = tf.cond(sure, lambda: looks, look_in_turns)
    best = _pick(looks, tf.argmax(looks.presence)[None])
    return _seen(self._look(picture, regions_of.from_joints(best.joints_px)))

  # This and the two below are functions of their own, so that the networks are built into the graph once.
  @tf.function(input_signature=[PICTURE, CROPS, SCORE], autograph=False, experimental_attributes=_ONCE)
  def _search(self, picture: tf.Tensor, views: crops.Crop, least_score: tf.Tensor) -> tuple[_Looks, tf.Tensor]:
    """`find` in some squares of the picture; a hand may be found more than once."""
    palms, rejected_palm = self._palms(picture, views, least_score)
    looks = self._look(picture, regions_of.from_palms(palms))
    present = looks.presence >= self._presence_threshold
    rejected = tf.concat([rejected_palm[None], tf.boolean_mask(looks.presence, ~present)], axis=0)
    return _pick(looks, present), tf.reduce_max(rejected)

  @tf.function(input_signature=[PICTURE, CROPS, SCORE], autograph=False, experimental_attributes=_ONCE)
  def _palms(self, picture: tf.Tensor, views: crops.Crop, least_score: tf.Tensor) -> tuple[palms_of.Palms, tf.Tensor]:
    """The palms in one or more squares of the picture, and the highest score that was not enough."""
    answers = self.palm_net(_cut(picture, regions_of.Regions(views, tf.zeros_like(views.side_px)), palm_net.SIZE_PX))
    palms = palms_of.decode(answers['scores'], answers['boxes'], views)
    rejected = tf.reduce_max(tf.where(palms.score < least_score, palms.score, 0.))
    return palms_of.merge(palms, least_score, self._max_hands), rejected

  @tf.function(input_signature=[PICTURE, REGIONS], autograph=False, experimental_attributes=_ONCE)
  def _look(self, picture: tf.Tensor, regions: regions_of.Regions) -> _Looks:
    """Runs the landmark network on regions [N] of the picture; N may be 0, which convolutions refuse."""

    def look():
      """At least one region."""
      views = self._views(_cut(picture, regions, landmark_net.SIZE_PX))
      said = [views[0], *map(_of_mirror_image, views[1:])]
      mean = {name: tf.reduce_mean([each[name] for each in said], axis=0)
              for name in ('presence', 'is_left', 'joints_2d_px')}
      joints = mean['joints_2d_px'] * (2 / landmark_net.SIZE_PX) - 1
      return _Looks(mean['presence'], mean['is_left'], crops.from_crop(joints, regions.crop, regions.turn), regions,
                    views if self._both_views else ())

    def nothing():
      views = ({name: tf.zeros([0, *shape]) for name, shape in landmark_net.ANSWERS.items()},) * 2
      return _Looks(tf.zeros([0]), tf.zeros([0]), tf.zeros([0, landmark_net.JOINTS, 2]), regions,
                    views if self._both_views else ())

    return tf.cond(tf.size(regions.turn) > 0, look, nothing)

  def _views(self, squares: tf.Tensor) -> tuple[Tensors, ...]:
    """What the landmark network says of squares [N, S, S, 3], and of their mirror images if it looks at these."""
    if not self._both_views:
      return (self.landmark_net(squares),)
    # One call for both views: a network of TensorFlow Lite shares the rows out to its threads.
    answers = self.landmark_net(tf.concat([squares, crops.mirror_image(squares)], axis=0))
    halves = {name: tf.split(answers[name], 2) for name in landmark_net.ANSWERS}
    return tuple({name: half[number] for name, half in halves.items()} for number in range(2))

  def _distinct(self, looks: _Looks) -> _Looks:
    """Sorts hands by presence, drops those that are the same as a better one, and keeps the best few."""
    looks = _pick(looks, tf.argsort(looks.presence, direction='DESCENDING', stable=True))
    joints_px = looks.joints_px
    size_px = tf.reduce_max(tf.reduce_max(joints_px, axis=1) - tf.reduce_min(joints_px, axis=1), axis=-1)
    distance_px = tf.reduce_mean(tf.norm(joints_px[:, None] - joints_px, axis=-1), axis=-1)
    same = distance_px < self._same_hand * tf.maximum(size_px[:, None], size_px)
    number = tf.range(tf.size(size_px))
    again = tf.reduce_any(same & (number < number[:, None]), axis=1)
    return _pick(looks, tf.where(~again)[:self._max_hands, 0])


def for_export() -> HandFinder:
  """A finder whose networks rest in float16, which loses nothing of the published weights."""
  return HandFinder(at_rest.copy(landmark_net.landmark_net()), at_rest.copy(palm_net.palm_net()))


def from_landmarks(presence: tf.Tensor, is_left_probability: tf.Tensor, joints_px: tf.Tensor) -> Hands:
  """Hands [N] as they were seen, each with the square for the next look; the arguments are those of `Hands`."""
  return _in_regions(regions_of.from_joints(joints_px), presence, is_left_probability, joints_px)


def _seen(looks: _Looks) -> Hands:
  """The hands [N] that were looked at."""
  if not looks.views:
    return from_landmarks(looks.presence, looks.is_left_probability, looks.joints_px)
  hands = _in_regions(looks.regions, looks.presence, looks.is_left_probability, looks.joints_px)
  return hands._replace(views=_exchanged(looks.views, hands.is_left))


def _in_regions(regions: regions_of.Regions, presence: tf.Tensor, is_left_probability: tf.Tensor,
                joints_px: tf.Tensor) -> Hands:
  """Hands [N] in given squares."""
  is_left = is_left_probability >= LEFT_FROM
  # The content of a left hand's square is mirrored, and so is the turn's sense.
  rotation = tf.where(is_left, -regions.turn, regions.turn)
  return Hands(regions.crop, rotation, is_left, presence, is_left_probability, joints_px)


def _exchanged(views: tuple[Tensors, ...], where: tf.Tensor) -> tuple[Tensors, ...]:
  """Both views, or none, with the first in the place of the second in those rows that a mask [N] names."""
  def choose(chosen: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.reshape(where, [-1, *[1] * (len(chosen.shape) - 1)]), other, chosen)

  return tuple(tf.nest.map_structure(choose, view, other) for view, other in zip(views, views[::-1]))


def _of_mirror_image(said: Tensors) -> Tensors:
  """What the landmark network said of a square's mirror image, as if it were of the square itself."""
  return {'presence': said['presence'], 'is_left': 1. - said['is_left'],
          'joints_2d_px': crops.mirror_points(said['joints_2d_px'], float(landmark_net.SIZE_PX))}


def _joined(some: NamedTuple, others: NamedTuple) -> NamedTuple:
  """All of two batches of hands or looks."""
  return tf.nest.map_structure(lambda *values: tf.concat(values, axis=0), some, others)


def _pick(values: NamedTuple, which: tf.Tensor) -> NamedTuple:
  """Takes those of N hands or looks that a mask [N] or indices [M] name."""
  indices = tf.where(which)[:, 0] if which.dtype == tf.bool else which
  return tf.nest.map_structure(lambda value: tf.gather(value, indices), values)


def _cut(picture: tf.Tensor, regions: regions_of.Regions, size: int) -> tf.Tensor:
  """Cuts regions [N], at least one, out of a picture: [N, size, size, 3] float32 in 0..1, black outside."""
  return tf.map_fn(lambda region: crops.extract(picture, region.crop, size, region.turn, fill=0.), regions,
                   fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32))
