"""Which hand of a frame is which hand of the frames before it, and whether it is a left one."""
import dataclasses
from typing import NamedTuple, Optional

import gin
import numpy as np
from scipy.optimize import linear_sum_assignment

_FAR = 1e6  # a cost that no match has


class Seen(NamedTuple):
  """M hands in a frame, in any order.

  Attributes:
    joints_px: [M, 21, 2] landmarks (x, y) in px of the picture.
    presence: [M] probability that there is a hand.
    is_left_probability: [M]; None where only the landmarks were looked at.
  """

  joints_px: np.ndarray
  presence: np.ndarray
  is_left_probability: Optional[np.ndarray] = None


@dataclasses.dataclass
class Track:
  """A hand over the frames.

  Attributes:
    number: its identity, from 1 in the order of appearance.
    joints_px: [21, 2] where it was last seen.
    time_s: when that was.
    is_left: its side.
    is_live: whether it was there when hands were last looked for.
    velocity_px_s: [2] smoothed velocity of its centre, px/s.
    evidence_s: seconds for which it looked like a left hand less those for which it looked like a right one, bounded.
    votes: how often its side was judged.
    voted_s: when that was last, or None.
  """

  number: int
  joints_px: np.ndarray
  time_s: float
  is_left: bool
  is_live: bool = True
  velocity_px_s: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))
  evidence_s: float = 0.
  votes: int = 0
  voted_s: Optional[float] = None

  @property
  def size_px(self) -> float:
    """The longer side of the box around its joints, px."""
    return size_px(self.joints_px)


@gin.configurable(module='tracking')
class Tracker:
  """Keeps the identities and sides of hands.

  Hands of a frame are matched to tracks so that the sum of the costs is least:

    mean distance of the landmarks from where the track's velocity leads / size of the hand + side_cost |p - is_left|.

  A track that is not seen keeps its number for a while. Its side is the one with more evidence in its first few
  judgements; after that it changes only against long evidence.
  """

  def __init__(self, memory_s: float = 0.5, reach: float = 1., side_cost: float = 0.3, same_hand: float = 0.33,
               presence_threshold: float = 0.5, first_votes: int = 5, most_evidence_s: float = 3.,
               turning_evidence_s: float = 1., longest_vote_s: float = 0.5):
    """Starts without tracks.

    Args:
      memory_s: how long a hand that is not seen keeps its number, seconds.
      reach: largest distance from a track at which a hand can be it, in sizes of the hand.
      side_cost: what the wrong side costs in a match, in sizes of the hand.
      same_hand: two hands are one if their landmarks are closer than this share of the larger hand, on average.
      presence_threshold: hands of a lower presence do not count.
      first_votes: number of judgements after which a side changes only against `turning_evidence_s`.
      most_evidence_s: bound of the evidence for a side, seconds.
      turning_evidence_s: evidence for the other side from which the side changes, seconds.
      longest_vote_s: the most that one judgement counts for, seconds.
    """
    self._memory_s, self._reach, self._side_cost, self._same_hand = memory_s, reach, side_cost, same_hand
    self._presence_threshold = presence_threshold
    self._first_votes, self._most_evidence_s = first_votes, most_evidence_s
    self._turning_evidence_s, self._longest_vote_s = turning_evidence_s, longest_vote_s
    self._tracks: list[Track] = []
    self._count = 0

  @property
  def live(self) -> list[Track]:
    """The tracks of the hands that are there, in the order of their numbers."""
    return [track for track in self._tracks if track.is_live]

  @property
  def misses_some(self) -> bool:
    """Whether there is a track that is not seen but may come back."""
    return len(self.live) < len(self._tracks)

  @property
  def is_undecided(self) -> bool:
    """Whether there is a live track whose side is not settled."""
    return any(track.votes < self._first_votes for track in self.live)

  def find(self, seen: Seen, time_s: float) -> list[Optional[int]]:
    """Takes the hands of a whole frame: new ones become tracks. A track that is not among them stays as it was.

    Args:
      seen: the hands, with their sides.
      time_s: of the frame, not before that of the last one.

    Returns:
      For each hand the number of its track, or None for one that does not count.
    """
    return self._take(seen, time_s, starts=True)

  def follow(self, seen: Seen, time_s: float) -> list[Optional[int]]:
    """Takes what has become of the live tracks: those that are not seen are live no longer, and none is new.

    Args and the result are those of `find`; the sides may be missing.
    """
    numbers = self._take(seen, time_s, starts=False)
    for track in self.live:
      track.is_live = track.number in numbers
    return numbers

  def _take(self, seen: Seen, time_s: float, starts: bool) -> list[Optional[int]]:
    """Matches hands to tracks and updates these; `starts` makes tracks of those that match none."""
    self._tracks = [track for track in self._tracks if track.is_live or time_s - track.time_s <= self._memory_s]
    numbers: list[Optional[int]] = [None] * len(seen.presence)
    counting = self._distinct(seen)
    matches = self._matches(seen, counting, time_s)
    for row in counting:
      track = matches.get(row)
      if track is None and starts:
        track = self._start(seen, row, time_s)
      if track is not None:
        self._update(track, seen, row, time_s)
        numbers[row] = track.number
    return numbers

  def _distinct(self, seen: Seen) -> list[int]:
    """The rows of the hands that count: present, and no better one is the same."""
    counting: list[int] = []
    for row in np.argsort(-np.asarray(seen.presence), kind='stable'):
      same = [other for other in counting if self._are_same(seen.joints_px[row], seen.joints_px[other])]
      if seen.presence[row] >= self._presence_threshold and not same:
        counting.append(int(row))
    return counting

  def _are_same(self, first_px: np.ndarray, second_px: np.ndarray) -> bool:
    """Whether two sets of landmarks [21, 2] are of one hand."""
    distance_px = np.linalg.norm(first_px - second_px, axis=-1).mean()
    return bool(distance_px < self._same_hand * max(size_px(first_px), size_px(second_px)))

  def _matches(self, seen: Seen, rows: list[int], time_s: float) -> dict[int, Track]:
    """The tracks of those rows that match one, at the least cost in all."""
    costs = np.full([len(rows), len(self._tracks)], _FAR)
    for column, track in enumerate(self._tracks):
      expected_px = track.joints_px + track.velocity_px_s * (time_s - track.time_s)
      for number, row in enumerate(rows):
        distance = np.linalg.norm(seen.joints_px[row] - expected_px, axis=-1).mean() / track.size_px
        if distance <= self._reach:
          costs[number, column] = distance + self._side_cost * _side_error(seen, row, track)
    pairs = zip(*linear_sum_assignment(costs))
    return {rows[number]: self._tracks[column] for number, column in pairs if costs[number, column] < _FAR}

  def _start(self, seen: Seen, row: int, time_s: float) -> Track:
    """A new track for a hand."""
    self._count += 1
    track = Track(self._count, seen.joints_px[row], time_s, bool(seen.is_left_probability[row] >= 0.5))
    self._tracks.append(track)
    return track

  def _update(self, track: Track, seen: Seen, row: int, time_s: float) -> None:
    """Moves a track to where its hand was seen."""
    joints_px, elapsed_s = seen.joints_px[row], time_s - track.time_s
    if elapsed_s > 0:
      velocity_px_s = (joints_px - track.joints_px).mean(axis=0) / elapsed_s
      track.velocity_px_s = (track.velocity_px_s + velocity_px_s) / 2
    track.joints_px, track.time_s, track.is_live = joints_px, time_s, True
    if seen.is_left_probability is not None:
      self._vote(track, float(seen.is_left_probability[row]), time_s)

  def _vote(self, track: Track, is_left_probability: float, time_s: float) -> None:
    """Counts a judgement of a track's side: the first few alike, later ones for the time since the last one."""
    if track.votes < self._first_votes:
      weight_s = self._longest_vote_s / self._first_votes
    else:
      weight_s = min(time_s - track.voted_s, self._longest_vote_s)
    evidence_s = track.evidence_s + weight_s * (2 * is_left_probability - 1)
    track.evidence_s = float(np.clip(evidence_s, -self._most_evidence_s, self._most_evidence_s))
    track.votes, track.voted_s = track.votes + 1, time_s
    needed_s = 0. if track.votes <= self._first_votes else self._turning_evidence_s
    if abs(track.evidence_s) > needed_s:
      track.is_left = track.evidence_s > 0


def size_px(joints_px: np.ndarray) -> float:
  """The longer side of the box around joints [21, 2], at least one pixel."""
  return max(float(np.ptp(joints_px, axis=0).max()), 1.)


def _side_error(seen: Seen, row: int, track: Track) -> float:
  """How unlikely a hand's side is that of a track, 0..1; 0 where the side is not known."""
  if seen.is_left_probability is None:
    return 0.
  return abs(float(seen.is_left_probability[row]) - track.is_left)
