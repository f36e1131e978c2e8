"""The finder as functions of a SavedModel, and back: tensors by name in the place of tuples."""
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from dhpe_tf.finding.finder import BOX, HANDS, PICTURE, HandFinder, Hands
from dhpe_tf.geometry import crops

FIND, AT, FOLLOW = 'find_hands', 'hand_at', 'follow_hands'
_REJECTED = 'best_rejected'
# Meaning, unit and axes of what goes in and comes out, for the model card.
ABOUT = {
    'picture': 'RGB, the whole photograph', 'box_xywh': 'left, top, width, height of the box to look in, pixels',
    'center_px': '(x, y) of the middle of the square around each hand, pixels', 'side_px': 'of the square, pixels',
    'rotation': 'radians by which the content of the square is turned, after left hands are mirrored, so that the hand '
                'points up',
    'is_left': 'whether it is a left hand', 'presence': 'probability that the square shows a hand',
    'is_left_probability': 'probability that it is a left hand',
    'joints_px': '(x, y) of the 21 keypoints in pixels of the picture',
    _REJECTED: 'highest score of a palm, or presence of a hand, that was not enough; 0..1',
}


class Function(NamedTuple):
  """A function of tensors by name, the specifications of its arguments, and those that have one row for each hand."""

  function: Callable[..., dict[str, tf.Tensor]]
  specs: dict[str, tf.TensorSpec]
  rows: Sequence[str] = ()


def functions(finder: HandFinder) -> dict[str, Function]:
  """The functions of a SavedModel, by name."""

  def find(picture: tf.Tensor) -> dict[str, tf.Tensor]:
    hands, rejected = finder.find(picture)
    return {**by_name(hands), _REJECTED: rejected}

  def hand_at(picture: tf.Tensor, box_xywh: tf.Tensor) -> dict[str, tf.Tensor]:
    return by_name(finder.at(picture, box_xywh))

  def follow(picture: tf.Tensor, **hands: tf.Tensor) -> dict[str, tf.Tensor]:
    return by_name(finder.follow(picture, from_names(hands)))

  return {FIND: Function(find, {'picture': PICTURE}), AT: Function(hand_at, {'picture': PICTURE, 'box_xywh': BOX}),
          FOLLOW: Function(follow, {'picture': PICTURE, **by_name(HANDS)}, tuple(by_name(HANDS)))}


def by_name(hands: Hands) -> dict[str, Any]:
  """The parts of hands by name; the crop as center_px and side_px, and no views."""
  parts = {**hands._asdict(), **hands.crop._asdict()}
  del parts['crop'], parts['views']
  return parts


def from_names(parts: Mapping[str, Any]) -> Hands:
  """The inverse of `by_name`; other names are left out."""
  fields = {name: parts[name] for name in Hands._fields if name not in ('crop', 'views')}
  return Hands(crop=crops.Crop(parts['center_px'], parts['side_px']), **fields)


class ServedFinder:
  """A finder whose functions come from a SavedModel; see `HandFinder` for what they do."""

  def __init__(self, signatures: Mapping[str, Callable[..., dict[str, tf.Tensor]]]):
    """Keeps the functions, by the names of `functions`."""
    self._signatures = signatures

  def find(self, picture: tf.Tensor) -> tuple[Hands, tf.Tensor]:
    """The hands of a picture, and the best score that was not enough."""
    found = self._signatures[FIND](picture=picture)
    return from_names(found), found[_REJECTED]

  def at(self, picture: tf.Tensor, box_xywh: tf.Tensor) -> Hands:
    """The hand in a box."""
    return from_names(self._signatures[AT](picture=picture, box_xywh=box_xywh))

  def follow(self, picture: tf.Tensor, hands: Hands) -> Hands:
    """The last picture's hands in the next picture."""
    return from_names(self._signatures[FOLLOW](picture=picture, **by_name(hands)))
