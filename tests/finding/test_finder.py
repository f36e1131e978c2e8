"""The finder on rendered hands, and on photographs where there are some."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.finding import finder
from dhpe_tf.geometry import crops
from dhpe_tf.networks import landmark_net
from dhpe_tf.tasks.hand import view
from tests.finding import photographs
from tests.finding.hands import GROUND, SIDE
from tests.finding.hands import rendered as rendered_hands

WRIST, MIDDLE = 0, 9


@pytest.fixture(scope='module')
def hand_finder():
  return finder.HandFinder()


@pytest.fixture(scope='module')
def both_finder(hand_finder):
  return finder.HandFinder(hand_finder.landmark_net, hand_finder.palm_net, both_views=True)


@pytest.fixture(scope='module')
def rendered():
  return rendered_hands()


@pytest.fixture(scope='module')
def clear(rendered, hand_finder):
  """The picture whose hand is found with the highest presence, and what is found in it."""
  found = [(picture, hand_finder.find(picture)[0]) for picture in rendered[0]]
  return max(found, key=lambda pair: max(pair[1].presence, default=0.))


def size_px(joints_px):
  return np.ptp(joints_px, axis=0).max()


def away(hands, joints_px):
  """Mean distance of each hand's landmarks [N, 21, 2] from joints [21, 2], over the hand's size."""
  return np.linalg.norm(hands.joints_px.numpy() - joints_px, axis=-1).mean(axis=-1) / size_px(np.asarray(joints_px))


def box_around(joints_px):
  return np.concatenate([joints_px.min(0), np.ptp(joints_px, axis=0)])


def turned_joints(hands, turns):
  """The first hand's landmarks after so many quarter turns of the square picture, from +x toward +y."""
  x, y = np.moveaxis(hands.joints_px[0].numpy(), -1, 0)
  for _ in range(turns):
    x, y = SIDE - y, x
  return np.stack([x, y], axis=-1)


def placed(picture, height, width, top, left):
  """A picture on a larger plain ground."""
  ground = np.full((height, width, 3), GROUND, np.uint8)
  ground[top:top + picture.shape[0], left:left + picture.shape[1]] = picture
  return ground


def pointing(hands, number):
  """From wrist to middle knuckle in what `view.cut` shows of a hand, in crop space."""
  crop = crops.Crop(hands.crop.center_px[number], hands.crop.side_px[number])
  left, rotation = bool(hands.is_left[number]), hands.rotation[number]
  points = crops.to_crop(hands.joints_px[number], crop, -rotation if left else rotation)
  points = crops.mirror_points(points) if left else points
  return (points[MIDDLE] - points[WRIST]).numpy()


def test_finds_rendered_hands(hand_finder, rendered):
  sides = []
  for picture, joints_px in zip(*rendered):
    hands, rejected = hand_finder.find(picture)
    assert away(hands, joints_px).tolist() == pytest.approx([0.], abs=0.15)
    assert hands.presence[0] >= 0.5 and 0 <= rejected < 0.5
    assert hands.is_left[0] == (hands.is_left_probability[0] >= 0.5)
    sides.append(bool(hands.is_left[0]))
  assert sum(sides) <= 1, 'the network may take one back of a hand for a palm'


def test_fingers_point_up_in_the_view_of_either_side(hand_finder, clear):
  picture, _ = clear
  for shown in (picture, picture[:, ::-1], np.rot90(picture), np.rot90(picture)[:, ::-1]):
    x, y = pointing(hand_finder.find(shown)[0], 0)
    assert y < -0.3 and abs(x) < 0.35 * abs(y)


def test_a_left_hand_is_shown_as_its_mirror_image_is(hand_finder, clear):
  # Says nothing of the landmarks: the picture that view.cut makes is the same for both.
  whole = crops.Crop(tf.fill([2], SIDE / 2), tf.constant(float(SIDE)))
  turn = 0.7 - float(clear[1].rotation[0])
  picture = np.uint8(255 * crops.extract(tf.constant(clear[0]), whole, SIDE, turn, fill=GROUND / 255).numpy())
  mirrored = np.ascontiguousarray(picture[:, ::-1])
  (right, _), (left, _) = hand_finder.find(picture), hand_finder.find(mirrored)
  assert left.is_left[0] and not right.is_left[0]
  shown = [view.cut(tf.constant(source), crops.Crop(hands.crop.center_px[0], hands.crop.side_px[0]), hands.is_left[0],
                    96, hands.rotation[0], fill=0.).numpy() for source, hands in ((picture, right), (mirrored, left))]
  assert np.abs(shown[0] - shown[1]).mean() < 0.2 * np.abs(shown[0] - shown[1][:, ::-1]).mean()


@pytest.mark.parametrize('mirrored', [False, True])
def test_both_views_are_what_the_network_says_of_the_square(hand_finder, both_finder, clear, mirrored):
  picture = np.ascontiguousarray(clear[0][:, ::-1]) if mirrored else clear[0]
  hands, _ = both_finder.find(tf.constant(picture))
  assert bool(hands.is_left[0]) == mirrored
  crop = crops.Crop(hands.crop.center_px[0], hands.crop.side_px[0])
  for named in (hands, hands.sided(tf.constant(not mirrored))):
    shown = view.cut(tf.constant(picture), crop, named.is_left[0], landmark_net.SIZE_PX, named.rotation[0], fill=0.)
    for said, images in zip(named.views, (shown[None], crops.mirror_image(shown[None]))):
      wanted = hand_finder.landmark_net(images)
      np.testing.assert_allclose(said['joints_2d_px'][:1], wanted['joints_2d_px'], atol=.5)
      np.testing.assert_allclose(said['world_joints_m'][:1], wanted['world_joints_m'], atol=1e-3)
  alone, _ = hand_finder.find(tf.constant(picture))
  assert away(hands, alone.joints_px[0].numpy())[0] < 0.1
  assert both_finder.find(tf.zeros([64, 64, 3], tf.uint8))[0].views[1]['presence'].shape == [0]


def test_mirrored_picture_gives_the_other_side(hand_finder, clear):
  picture, hands = clear
  mirrored, _ = hand_finder.find(picture[:, ::-1])
  assert len(mirrored.is_left) == 1 and mirrored.is_left[0]
  assert away(mirrored, crops.mirror_points(hands.joints_px[0], float(SIDE)))[0] < 0.06


def test_turned_picture_gives_the_hand_turned(hand_finder, clear):
  picture, hands = clear
  turned, _ = hand_finder.find(np.rot90(picture, -1))  # clockwise: from +x toward +y
  assert not turned.is_left[0]
  assert away(turned, turned_joints(hands, 1))[0] < 0.06
  assert np.cos(turned.rotation[0] - (hands.rotation[0] - np.pi / 2)) > 0.98
  np.testing.assert_allclose(turned.crop.side_px[0], hands.crop.side_px[0], rtol=0.1)


def test_small_hand_in_a_large_picture(hand_finder, clear):
  picture, hands = clear
  found, _ = hand_finder.find(placed(picture, 1500, 2000, 1100, 300))
  assert away(found, hands.joints_px[0] + [300., 1100.]).tolist() == pytest.approx([0.], abs=0.06)


def test_hand_that_fills_the_picture(hand_finder, clear):
  picture, hands = clear
  joints = hands.joints_px[0].numpy()
  left, top = np.floor(joints.min(0)).astype(int)
  right, bottom = np.ceil(joints.max(0)).astype(int)
  found, _ = hand_finder.find(picture[top:bottom, left:right])
  assert away(found, joints - [left, top]).tolist() == pytest.approx([0.], abs=0.1)


def test_two_hands_best_first(hand_finder, clear):
  picture, hands = clear
  both = np.concatenate([picture, picture[:, ::-1]], axis=1)
  found, _ = hand_finder.find(both)
  assert sorted(found.is_left.numpy()) == [False, True] and found.presence[0] >= found.presence[1]
  right = int(found.is_left[0])
  assert away(found, hands.joints_px[0])[right] < 0.06
  assert away(found, crops.mirror_points(hands.joints_px[0], 2. * SIDE))[1 - right] < 0.06


@pytest.mark.parametrize('size', [(1, 1), (480, 640), (30, 900)])
@pytest.mark.parametrize('noise', [False, True])
def test_no_hand(hand_finder, size, noise):
  picture = np.random.default_rng(0).integers(0, 256 if noise else 1, (*size, 3)).astype(np.uint8)
  hands, rejected = hand_finder.find(picture)
  assert hands.crop.center_px.shape == (0, 2) and hands.joints_px.shape == (0, 21, 2)
  assert 0 <= rejected < 0.5
  assert hand_finder.follow(picture, hands).presence.shape == (0,)


def test_follow_goes_with_the_hand_and_drops_what_is_gone(hand_finder, clear):
  picture, hands = clear
  moved = np.roll(picture, (8, -12), axis=(0, 1))
  followed = hand_finder.follow(moved, hands)
  assert away(followed, hands.joints_px[0] + [-12., 8.]).tolist() == pytest.approx([0.], abs=0.06)
  assert hand_finder.follow(np.full_like(picture, GROUND), hands).presence.shape == (0,)


def test_follow_takes_left_hands_too(hand_finder, clear):
  mirrored = clear[0][:, ::-1]
  hands, _ = hand_finder.find(mirrored)
  followed = hand_finder.follow(mirrored, hands)
  assert followed.is_left.numpy().tolist() == [True]
  assert away(followed, hands.joints_px[0])[0] < 0.06


def test_follow_merges_hands_that_have_become_one(hand_finder, clear):
  picture, hands = clear
  twice = tf.nest.map_structure(lambda value: tf.concat([value, value], axis=0), hands)
  twice = twice._replace(crop=crops.Crop(twice.crop.center_px + [[0., 0.], [3., 2.]], twice.crop.side_px))
  assert hand_finder.follow(picture, twice).presence.shape == (1,)


@pytest.mark.parametrize('turns', range(4))
def test_hand_in_a_box(hand_finder, clear, turns):
  picture, hands = clear
  joints = turned_joints(hands, turns)
  found = hand_finder.at(np.rot90(picture, -turns), box_around(joints))
  assert away(found, joints).tolist() == pytest.approx([0.], abs=0.06)


@pytest.fixture(scope='module')
def other_finder():
  """A finder of one hand that never takes a palm for one."""
  return finder.HandFinder(palm_threshold=1.1, max_hands=1)


@pytest.mark.parametrize('turns', range(4))
def test_box_without_palm_is_looked_at_in_four_turns(other_finder, clear, turns):
  picture, hands = clear
  joints = turned_joints(hands, turns)
  found = other_finder.at(np.rot90(picture, -turns), box_around(joints))
  assert away(found, joints).tolist() == pytest.approx([0.], abs=0.1)


def test_no_more_hands_than_wanted(hand_finder, other_finder, clear):
  both = np.concatenate([clear[0], clear[0][:, ::-1]], axis=1)
  hands, _ = hand_finder.find(both)
  assert len(hands.presence) == 2
  followed = other_finder.follow(both, hands)
  assert followed.joints_px.shape == (1, 21, 2) and followed.presence[0] >= 0.9


def test_box_chooses_the_hand(hand_finder, clear):
  picture, hands = clear
  both = np.concatenate([picture, picture[:, ::-1]], axis=1)
  for joints in (hands.joints_px[0], crops.mirror_points(hands.joints_px[0], 2. * SIDE)):
    joints = joints.numpy()
    found = hand_finder.at(both, box_around(joints))
    assert away(found, joints)[0] < 0.06


def test_box_without_hand_gives_one_that_is_hardly_there(hand_finder):
  hands = hand_finder.at(np.full((90, 120, 3), GROUND, np.uint8), [30., 20., 40., 50.])
  assert hands.presence.shape == (1,) and hands.presence[0] < 0.5
  assert hands.crop.side_px[0] > 0 and np.isfinite(hands.joints_px).all()


@photographs.needed
def test_finds_hands_of_photographs(hand_finder):
  labels = photographs.labels()[::60]
  found, sides = 0, 0
  for label in labels:
    hands, _ = hand_finder.find(photographs.read(label))
    distances = away(hands, label['joints_2d_px'])
    if len(distances) and distances.min() < 0.25:
      found += 1
      sides += bool(hands.is_left[distances.argmin()]) == (label['hand'] == 'left')
  assert found >= 0.95 * len(labels) and sides >= 0.95 * found
