import numpy as np
import pytest
from PIL import Image

from dhpe_tf.errors import UserError
from dhpe_tf.visualization import layers, overlay, pictures

# A box whose front face (z = -0.2) covers the left upper part of the crop.
CORNERS = np.array([[x, y, z] for x in (-0.8, -0.2) for y in (-0.6, 0.2) for z in (-0.2, 0.2)])
FACES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6],
                  [0, 6, 4], [1, 5, 7], [1, 7, 3]])
GREY = np.full([40, 40, 3], 0.5, np.float32)


def test_mesh_covers_its_pixels_and_no_others():
  picture = overlay.draw_mesh(GREY, CORNERS, FACES)
  changed = np.abs(picture - GREY).max(-1) > 0.02
  expected = np.zeros([40, 40], bool)
  expected[8:24, 4:16] = True
  np.testing.assert_array_equal(changed, expected)
  assert picture.min() >= 0 and picture.max() <= 1


def test_nothing_is_drawn_of_a_mesh_outside():
  np.testing.assert_allclose(overlay.draw_mesh(GREY, CORNERS + 3., FACES), GREY, atol=1e-6)


def test_the_side_toward_the_light_is_brighter():
  # The light comes from the upper left: of a slab seen edge on, the face turned left is brighter than the right one.
  left = CORNERS * [0.1, 1, 1]
  tilted = [left @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) for c, s in ((.7, .7), (.7, -.7))]
  bright = [overlay.draw_mesh(np.zeros([40, 40, 3], np.float32), mesh, FACES, 1.).max() for mesh in tilted]
  assert abs(bright[0] - bright[1]) > 0.05


def test_skeleton_passes_through_the_joints_in_the_fingers_colors():
  joints = np.zeros([21, 2])
  for finger in range(5):
    for number in range(4):
      joints[1 + 4 * finger + number] = [-0.8 + 0.4 * finger, 0.6 - 0.4 * number]
  joints[0] = [0., 0.9]
  picture = overlay.draw_skeleton(np.zeros([200, 200, 3], np.float32), joints)
  for joint in range(1, 21):
    x, y = ((joints[joint] + 1) * 100).astype(int)
    np.testing.assert_allclose(picture[y, x] * 255, layers.FINGER_COLORS[(joint - 1) // 4], atol=3)


def test_joints_without_label_are_left_out():
  joints = np.random.RandomState(0).uniform(-.9, .9, [21, 2])
  joints[5] = np.nan
  assert np.abs(overlay.draw_skeleton(GREY, joints, np.zeros(21)) - GREY).max() < 0.01
  assert np.isfinite(overlay.draw_skeleton(GREY, joints)).all()


def test_turned_view_shows_the_depth():
  # A slab thin in z, seen from its side: narrow in x, its full height in y.
  drawn = np.abs(overlay.draw_turned(CORNERS * [1, 1, 0.1], FACES, 100) - overlay.BACKGROUND).max(-1) > 0.02
  assert drawn.any(1).sum() == 90 and 3 <= drawn.any(0).sum() <= 6


def test_four_panels_side_by_side(tmp_path):
  panels = overlay.draw_panels(GREY, CORNERS, np.zeros([21, 2]), FACES)
  assert panels.shape == (40, 160, 3) and panels.dtype == np.uint8
  np.testing.assert_array_equal(panels[:, :40], 128)
  pictures.write_png(tmp_path / 'a.png', panels)
  np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'a.png')), panels)
  without_mesh = overlay.draw_panels(GREY, None, np.zeros([21, 2]), FACES)
  np.testing.assert_array_equal(without_mesh, np.concatenate([panels[:, :40], panels[:, 80:120]], axis=1))


def test_a_picture_that_cannot_be_written(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='cannot write'):
    pictures.write_png(tmp_path / 'file' / 'a.png', np.zeros([2, 2, 3], np.uint8))
