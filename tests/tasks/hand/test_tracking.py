"""Identities and sides of made-up hands."""
import numpy as np
import pytest

from dhpe_tf.tasks.hand import tracking

RATE_HZ = 30.
SHAPE_PX = np.random.default_rng(0).uniform(-50, 50, (21, 2))
LEFT, RIGHT = 0.95, 0.05


def seen(centers_px, sides=None, presence=None):
  """Hands of one shape at several places."""
  joints_px = SHAPE_PX + np.asarray(centers_px, float).reshape(-1, 1, 2)
  return tracking.Seen(joints_px, np.ones(len(joints_px)) if presence is None else np.asarray(presence),
                       None if sides is None else np.asarray(sides))


@pytest.mark.parametrize('sides', [(LEFT, RIGHT), (RIGHT, RIGHT)])
@pytest.mark.parametrize('look', ['find', 'follow'])
def test_numbers_survive_a_crossing(sides, look):
  tracker = tracking.Tracker()
  tracker.find(seen([(0, 0), (600, 60)], sides), 0.)
  # The hands come in a random order, as finders sort them by how sure they are.
  random = np.random.default_rng(1)
  for frame in range(1, 60):
    centers = np.array([(10. * frame, 0), (600 - 10. * frame, 60)])
    order = random.permutation(2)
    numbers = getattr(tracker, look)(seen(centers[order], np.array(sides)[order]), frame / RATE_HZ)
    assert [numbers[list(order).index(k)] for k in (0, 1)] == [1, 2], frame


def test_a_hand_hidden_by_another_at_a_crossing_gets_its_number_back():
  tracker = tracking.Tracker()
  tracker.find(seen([(0, 0), (600, 0)], (LEFT, RIGHT)), 0.)
  for frame in range(1, 60):
    centers, sides = np.array([(10. * frame, 0), (600 - 10. * frame, 0)]), np.array([LEFT, RIGHT])
    hidden = abs(centers[0, 0] - centers[1, 0]) < 100
    shown = [0] if hidden else [0, 1]
    numbers = tracker.find(seen(centers[shown], sides[shown]), frame / RATE_HZ)
    assert numbers == [k + 1 for k in shown], frame


@pytest.mark.parametrize('gap_s, number', [(0.3, 1), (0.7, 2)])
def test_a_hand_that_comes_back_soon_keeps_its_number(gap_s, number):
  tracker = tracking.Tracker()
  assert tracker.find(seen([(100, 100)], [RIGHT]), 0.) == [1]
  tracker.follow(seen(np.zeros([0, 2]), []), 0.1)
  assert not tracker.live and tracker.misses_some
  assert tracker.find(seen([(120, 100)], [RIGHT]), gap_s) == [number]
  assert [track.number for track in tracker.live] == [number]


def test_a_hand_that_comes_back_far_away_is_another():
  tracker = tracking.Tracker()
  tracker.find(seen([(100, 100)], [RIGHT]), 0.)
  tracker.follow(seen(np.zeros([0, 2]), []), 0.1)
  assert tracker.find(seen([(900, 100)], [RIGHT]), 0.2) == [2]


def test_only_a_search_of_the_whole_frame_makes_tracks_and_only_following_ends_them():
  tracker = tracking.Tracker()
  assert tracker.follow(seen([(0, 0)], [RIGHT]), 0.) == [None]
  tracker.find(seen([(0, 0), (500, 0)], [RIGHT, LEFT]), 0.1)
  tracker.find(seen([(0, 0)], [RIGHT]), 0.2)
  assert [track.number for track in tracker.live] == [1, 2]
  tracker.follow(seen([(500, 0)]), 0.3)
  assert [track.number for track in tracker.live] == [2]


def test_two_looks_at_one_hand_and_what_is_no_hand_do_not_count():
  tracker = tracking.Tracker()
  assert tracker.find(seen([(0, 0), (4, 0), (500, 0)], [RIGHT] * 3, [0.8, 0.9, 0.3]), 0.) == [None, 1, None]


def sides_of(votes, rate_hz=RATE_HZ):
  """The side of a hand at rest after each judgement: whether it is a left one."""
  tracker, found = tracking.Tracker(), []
  for frame, vote in enumerate(votes):
    tracker.find(seen([(0, 0)], [vote]), frame / rate_hz)
    found.append(tracker.live[0].is_left)
  return found


def test_the_side_is_that_of_most_looks():
  # A wrong first look is soon corrected, and half a second of wrong looks later changes nothing.
  found = sides_of([LEFT] + [RIGHT] * 60 + [LEFT] * 15 + [RIGHT] * 30)
  assert found[0] and not any(found[3:])


def test_long_evidence_changes_the_side():
  found = sides_of([RIGHT] * 300 + [LEFT] * 300)
  turned = found.index(True)
  # Three seconds of right are forgotten, and one of left is needed.
  assert 300 + 3.5 * RATE_HZ < turned < 300 + 5.5 * RATE_HZ and all(found[turned:])
