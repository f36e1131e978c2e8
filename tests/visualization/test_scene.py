import numpy as np
import pytest

from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.visualization import layers, scene
from tests.benchmarks import rendering_views

RED, GREEN = (0.8, 0.05, 0.05), (0.05, 0.8, 0.05)
PICTURE = np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)


def _hand(extent_px, center_px, depth=0., seed=3, color=layers.MESH_COLOR):
  """The built-in hand, `extent_px` large and centred at `center_px`; its depth is in pixels, around `depth`."""
  vertices = rendering_views.project(*rendering_views.poses_and_cameras(1, seed), 0, extent_px)[0]
  vertices -= (vertices.min(0) + vertices.max(0)) / 2
  points = vertices[:, :2] + center_px
  return scene.DrawnHand(points[::37][:21], points, vertices[:, 2] + depth, load_hand_model().faces, color=color)


def _mirrored(hand, width):
  """A hand's mirror image, a left hand, in a picture of `width` pixels."""
  mirror = np.array([-1, 1]), np.array([width, 0])
  return hand._replace(joints_px=hand.joints_px * mirror[0] + mirror[1],
                       vertices_px=hand.vertices_px * mirror[0] + mirror[1], faces=hand.faces[:, ::-1])


def _changed(drawn, picture=PICTURE):
  assert drawn.dtype == np.uint8 and drawn.shape == picture.shape
  return (drawn != picture).any(-1)


def test_only_the_pixels_of_the_hand_change_and_the_picture_stays():
  before = PICTURE.copy()
  hand = _hand(60, (90, 50))
  changed = _changed(scene.draw_hands(PICTURE, [hand]))
  np.testing.assert_array_equal(PICTURE, before)
  assert not changed[:18].any() and not changed[82:].any() and not changed[:, :58].any() and not changed[:, 122:].any()
  mesh = _changed(scene.draw_hands(PICTURE, [hand], skeleton=False))
  columns, rows = hand.vertices_px.astype(int).T
  assert mesh[rows, columns].mean() > 0.9
  assert 0.15 < mesh[20:80, 60:120].mean() < 0.9
  skeleton = _changed(scene.draw_hands(PICTURE, [hand], mesh=False))
  assert 0 < skeleton.mean() < 0.6 * mesh.mean()
  assert not _changed(scene.draw_hands(PICTURE, [hand], mesh=False, skeleton=False)).any()
  assert not _changed(scene.draw_hands(PICTURE, [])).any()


def test_a_hand_cut_by_the_picture_is_the_cut_of_a_whole_one():
  large = np.tile(PICTURE, (3, 3, 1))
  hand = _hand(80, (205, 235))
  whole = scene.draw_hands(large, [hand])
  cut = scene.draw_hands(large[120:240, 200:400], [hand._replace(
      joints_px=hand.joints_px - [200, 120], vertices_px=hand.vertices_px - [200, 120])])
  assert _changed(cut, large[120:240, 200:400]).mean() > 0.02
  difference = np.abs(whole[120:240, 200:400].astype(int) - cut)
  assert np.mean(difference > 8) < 1e-3, 'where the skeleton begins inside its own canvas, its pixels are rounded'


@pytest.mark.parametrize('center', [(-200, 50), (90, 900), (1e7, 1e7)])
def test_a_hand_outside_draws_nothing(center):
  assert not _changed(scene.draw_hands(PICTURE, [_hand(60, center)])).any()


def test_nearer_hands_hide_farther_ones_in_any_order():
  far, near = _hand(70, (90, 60), depth=500, color=RED), _hand(70, (95, 60), depth=0, color=GREEN)
  alone = scene.draw_hands(PICTURE, [near], skeleton=False, opacity=1.)
  both = [scene.draw_hands(PICTURE, hands, skeleton=False, opacity=1.) for hands in ([far, near], [near, far])]
  np.testing.assert_array_equal(both[0], both[1])
  # Inside the near hand nothing of the far one is seen; a pixel at its rim shows both.
  layer, = layers.mesh_layers([layers.Surface(near.vertices_px, near.vertices_depth, near.faces)], (120, 200), 1.)
  inside = np.zeros([120, 200], bool)
  height, width = layer.rgba.shape[:2]
  inside[layer.top:layer.top + height, layer.left:layer.left + width] = layer.rgba[..., 3] == 255
  assert inside.sum() > 500
  assert np.abs(both[0].astype(int) - alone)[inside].max() <= 2
  assert (_changed(both[0]) & ~_changed(alone)).sum() > 50, 'the far hand is seen beside the near one'


def test_surfaces_far_apart_have_layers_of_their_own():
  hands = [_hand(40, center) for center in ((30, 30), (170, 90), (55, 45), (300, 50))]
  surfaces = [layers.Surface(hand.vertices_px, hand.vertices_depth, hand.faces) for hand in hands]
  drawn = layers.mesh_layers(surfaces, PICTURE.shape[:2], 1.)
  assert len(drawn) == 2
  assert {(layer.left < 100, layer.rgba.shape[1] > 50) for layer in drawn} == {(True, True), (False, False)}


def test_a_box_that_joins_two_groups_makes_them_one():
  boxes = [layers._Box(0, 0, 4, 4), layers._Box(8, 0, 12, 4), layers._Box(20, 0, 22, 4), layers._Box(3, 0, 9, 4)]
  assert sorted(map(sorted, layers._overlapping(boxes))) == [[0, 1, 3], [2]]
  # Two boxes that touch at an edge share no pixel.
  assert len(layers._overlapping([layers._Box(0, 0, 4, 4), layers._Box(4, 0, 8, 4)])) == 2


def test_what_is_not_finite_is_left_out():
  hand = _hand(60, (90, 60))
  joints = hand.joints_px.copy()
  joints[[0, 7]] = np.nan
  joints[9] = np.inf
  assert _changed(scene.draw_hands(PICTURE, [hand._replace(joints_px=joints)], mesh=False)).any()
  no_joints = hand._replace(joints_px=np.full([21, 2], np.nan))
  np.testing.assert_array_equal(scene.draw_hands(PICTURE, [no_joints]),
                                scene.draw_hands(PICTURE, [hand], skeleton=False))
  for name, value in (('vertices_px', np.nan), ('vertices_px', 1e30), ('vertices_depth', np.inf)):
    broken = getattr(hand, name).copy()
    broken[5] = value
    np.testing.assert_array_equal(scene.draw_hands(PICTURE, [hand._replace(**{name: broken})]),
                                  scene.draw_hands(PICTURE, [hand], mesh=False))
  without = scene.DrawnHand(hand.joints_px)
  np.testing.assert_array_equal(scene.draw_hands(PICTURE, [without]), scene.draw_hands(PICTURE, [hand], mesh=False))


@pytest.mark.parametrize('extent', [0.01, 1, 3])
def test_tiny_hands_change_few_pixels(extent):
  changed = _changed(scene.draw_hands(PICTURE, [_hand(extent, (90.3, 60.4))]))
  assert changed.sum() <= (extent + 8)**2
  if extent == 3:
    assert changed.sum() > 4


def test_a_giant_hand_is_drawn_coarser_and_looks_the_same():
  picture = np.full([700, 900, 3], 128, np.uint8)
  hand = _hand(1200, (450, 350))
  # The same hand at a third of the size, enlarged.
  small = scene.draw_hands(picture[:234, :300], [hand._replace(
      joints_px=hand.joints_px / 3, vertices_px=hand.vertices_px / 3)], skeleton=False, opacity=1.)
  large = scene.draw_hands(picture, [hand], skeleton=False, opacity=1.)
  shown = large[1:700:3, 1:900:3]
  difference = np.abs(shown.astype(int) - small[:shown.shape[0], :shown.shape[1]]).max(-1)
  assert np.median(difference) <= 2 and np.mean(difference > 20) < 0.05
  assert 0.2 < _changed(large, picture).mean() < 0.99


def test_as_many_points_as_in_videos_are_coarser_and_look_the_same():
  picture = np.full([300, 300, 3], 128, np.uint8)
  fine, coarse = (scene.draw_hands(picture, [_hand(260, (150, 150))], skeleton=False, most_points=points)
                  for points in (None, 400))
  difference = np.abs(fine.astype(int) - coarse).max(-1)
  assert difference.any() and np.mean(difference > 40) < 0.01
  assert np.mean(_changed(fine, picture) != _changed(coarse, picture)) < 0.02


def test_a_left_hand_with_faces_reversed_covers_the_mirror_image():
  hand = _hand(60, (90, 60))
  grey = np.full_like(PICTURE, 128)
  right, left = (scene.draw_hands(grey, [one], skeleton=False) for one in (hand, _mirrored(hand, 200)))
  differs = _changed(right, grey) != _changed(left, grey)[:, ::-1]
  assert _changed(right, grey).sum() > 500 and differs.sum() < 20


def test_the_unit_of_depth_does_not_matter():
  hand = _hand(60, (90, 60))
  in_metres = hand._replace(vertices_depth=0.5 + hand.vertices_depth / 900)
  drawn = [scene.draw_hands(PICTURE, [one], skeleton=False).astype(int) for one in (hand, in_metres)]
  assert np.abs(drawn[0] - drawn[1]).max() <= 2
  known = scene.draw_hands(PICTURE, [in_metres._replace(px_per_depth=900.)], skeleton=False)
  # The estimate is near the truth for a hand in any rotation.
  assert np.abs(drawn[0] - known).mean() < 2
  for seed in range(20):
    other = _hand(60, (90, 60), seed=seed)
    assert 0.7 < layers.estimated_px_per_depth(other.vertices_px, other.vertices_depth, other.faces) < 1.4
  flat = layers.estimated_px_per_depth(hand.vertices_px, np.zeros(len(hand.vertices_depth)), hand.faces)
  assert flat == 1


def test_the_skeleton_has_the_fingers_colors_and_its_width():
  joints = np.zeros([21, 2])
  for finger in range(5):
    joints[1 + 4 * finger:5 + 4 * finger] = [[30 + 30 * finger, y] for y in (90, 70, 50, 30)]
  joints[0] = [90, 110]
  drawn = scene.draw_hands(np.zeros_like(PICTURE), [scene.DrawnHand(joints)], bone_width=1 / 30)
  for finger, color in enumerate(layers.FINGER_COLORS):
    np.testing.assert_allclose(drawn[60, 30 + 30 * finger], color, atol=2)
    row = drawn[60, 15 + 30 * finger:45 + 30 * finger].max(-1) / max(color)
    assert abs(row.sum() - 120 / 30) < 1


@pytest.mark.parametrize('center', [(90, 60), (5, 5), (198, 118)])
def test_a_label_is_above_the_hand_and_in_the_picture(center):
  hand = _hand(40, center)
  plain, named = (scene.draw_hands(PICTURE, [one]) for one in (hand, hand._replace(label='left 0.93')))
  rows, columns = np.nonzero(_changed(named, plain))
  assert len(rows) > 300 and np.ptp(rows) < 25 and np.ptp(columns) < 90
  if center == (90, 60):
    assert rows.max() < 60 - 19 and 60 < columns.min() < 75


def test_a_label_without_room_or_place_is_left_out():
  hand = _hand(40, (90, 60))._replace(label='left ' * 40)
  np.testing.assert_array_equal(scene.draw_hands(PICTURE, [hand]), scene.draw_hands(PICTURE, [hand._replace(label='')]))
  for nowhere in (scene.DrawnHand(np.full([21, 2], np.nan)), _hand(40, (-100, 60)), _hand(40, (90, 1e6))):
    assert not _changed(scene.draw_hands(PICTURE, [nowhere._replace(label='left')])).any()
