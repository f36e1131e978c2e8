import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import cameras, rotations
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.synthesis import hand_renderer as synthesis
from dhpe_tf.synthesis import objects

SIZE, BATCH, THICKNESS_M = 64, 6, 0.02


@pytest.fixture(scope='module')
def renderer():
  return synthesis.HandRenderer(load_hand_model(), SIZE, BATCH, focal=(0.6, 2.5), fill=(0.5, 0.6), shift=0.1,
                                nearest_m=0.15, skin_thickness_m=THICKNESS_M)


@pytest.fixture(scope='module')
def skins():
  return np.full((2, load_hand_model().num_vertices, 3), 0.4, np.float32)


@pytest.fixture(scope='module')
def sample(renderer, skins):
  return renderer.sample(5, skins)


def test_hand_fills_the_share_of_the_picture_asked_for(sample):
  scenes, pictures = sample
  np.testing.assert_allclose(pictures.joints_px, cameras.project_pinhole(scenes.keypoints_m, scenes.intrinsics),
                             atol=1e-3)
  low, high = pictures.joints_px.min(1), pictures.joints_px.max(1)
  nearest = scenes.vertices_m.numpy()[..., 2].min(1)
  assert nearest.min() > 0.149
  share = (high - low).max(-1) / SIZE
  assert share.max() < 0.62
  assert (share > 0.48)[nearest > 0.16].all()
  assert np.abs((low + high) / 2 - SIZE / 2).max() < 0.1 * SIZE + 1


def test_picture_shows_the_hand_where_its_labels_say(sample):
  scenes, pictures = sample
  pixels = cameras.project_pinhole(scenes.vertices_m, scenes.intrinsics).numpy()
  for alpha, vertices in zip(pictures.alpha, pixels):
    at = np.floor(vertices).astype(int)
    at = at[((at > 0) & (at < SIZE - 1)).all(-1)]
    around = np.max([alpha[at[:, 1] + dy, at[:, 0] + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
    assert around.min() > 0
    inside = np.stack(np.nonzero(alpha > 0), -1)[:, ::-1] + 0.5
    distance = np.linalg.norm(inside[:, None] - vertices[None], axis=-1).min(1)
    assert distance.max() < 5  # no pixel of the hand is far from every vertex


def surface_depth(point, vertices, faces):
  """Depth at which the ray from the camera through `point` first meets the mesh, by brute force; inf if it does not."""
  ray = point / point[2]
  a, b, c = (vertices[faces[:, k]] for k in range(3))
  solution = np.linalg.solve(np.stack([b - a, c - a, np.broadcast_to(-ray, a.shape)], -1), -a[..., None])[..., 0]
  hits = (solution[:, 0] >= 0) & (solution[:, 1] >= 0) & (solution[:, 0] + solution[:, 1] <= 1) & (solution[:, 2] > 0)
  return solution[hits, 2].min(initial=np.inf)


def test_seen_joints_are_those_close_behind_the_visible_surface(sample):
  scenes, pictures = sample
  faces, judged = load_hand_model().closed_faces, []
  for number in range(BATCH):
    vertices = scenes.vertices_m[number].numpy().astype(float)
    for point, seen in zip(scenes.keypoints_m[number].numpy().astype(float), pictures.seen[number]):
      behind = point[2] - surface_depth(point, vertices, faces)
      # Pixels are coarse: at rims and near the limit either answer may be right.
      if np.isfinite(behind) and abs(behind - THICKNESS_M) > 0.008:
        judged.append(seen == (behind < THICKNESS_M))
  assert len(judged) > 60 and np.mean(judged) > 0.95


def test_the_same_seed_gives_the_same_hands(renderer, skins, sample):
  again, other = renderer.sample(5, skins), renderer.sample(6, skins)
  np.testing.assert_array_equal(sample[1].rgb, again[1].rgb)
  np.testing.assert_array_equal(sample[0].pose, again[0].pose)
  assert not np.allclose(sample[0].pose, other[0].pose)


def test_views():
  everywhere = rotations.quaternion_to_matrix(synthesis.sample_views(400, 1)).numpy()
  back = everywhere[:, :, 1]  # where the hand's back (+y) faces
  assert np.abs(back.mean(0)).max() < 0.12
  frontal = synthesis.sample_views(400, 1, spread_deg=15.)
  np.testing.assert_allclose(tf.norm(frontal, axis=-1), 1, atol=1e-6)
  matrices = rotations.quaternion_to_matrix(frontal).numpy()
  tilt = np.rad2deg(np.arccos(np.clip(np.abs(matrices[:, 2, 1]), 0, 1)))
  assert np.sqrt((tilt ** 2).mean()) == pytest.approx(15, rel=0.15)
  assert 0.4 < (matrices[:, 2, 1] > 0).mean() < 0.6  # as many palms as backs
  fingers = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])
  assert np.histogram(fingers, 4, (-np.pi, np.pi))[0].min() > 70


def test_objects_hide_what_lies_behind_them(renderer, skins):
  hands = synthesis.Hands(*(np.repeat(part, BATCH, 0) for part in (
      np.zeros([1, 45], np.float32), np.zeros([1, 10]), synthesis.sample_upright(1, 0).numpy())))
  kind = np.array(['none', 'sphere', 'box', 'cylinder', 'sphere', 'box'])
  made = objects.build(kind, objects.sample_sizes(kind, 2), 3)
  alone = renderer.render(hands, objects.build(np.full(BATCH, 'none'), np.zeros([BATCH, 3]), 3), 4, skins)[1]
  scenes, pictures = renderer.render(hands, made, 4, skins)
  np.testing.assert_array_equal(alone.hand_alpha, alone.alpha)
  np.testing.assert_array_equal(pictures.alpha[0], alone.alpha[0])
  assert (pictures.hand_alpha <= pictures.alpha).all() and (pictures.hand_alpha <= alone.alpha + 1e-6).all()
  hidden = (alone.alpha - pictures.hand_alpha).sum((1, 2))
  assert hidden[0] == 0 and (hidden > 1).sum() >= 3
  assert not (pictures.seen & ~alone.seen).any() and pictures.seen.sum() < alone.seen.sum()
  assert np.isfinite(scenes.vertices_m).all()


def test_objects_in_the_hand_touch_the_palm():
  hand = load_hand_model().rest_keypoints[None].astype(np.float32) + [[[0, 0, 0.5]]]
  draws = np.zeros([1, 8], np.float32)
  draws[:, 2] = 0.5  # not turned
  centre, turn = synthesis.place_objects(tf.constant(hand, tf.float32), tf.constant([[0.02, 0.02, 0.05]]),
                                         tf.constant(draws), tf.constant([8]))
  # The built-in hand's palm faces -y; the object's third axis runs from the little to the index finger.
  assert centre[0, 1] < hand[0, [5, 9, 13, 17], 1].mean() - 0.02
  across = hand[0, 5] - hand[0, 17]
  assert np.dot(turn[0, :, 2], across) / np.linalg.norm(across) > 0.95
  np.testing.assert_allclose(np.linalg.det(turn[0]), 1, atol=1e-5)
