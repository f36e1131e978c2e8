import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import cameras, crops, root_depth
from tests.gradients import assert_gradients_match

BONE = (0, 9)
# Usual, wide and long cameras; pixels that are not square; principal points out of the middle; skew.
CAMERAS = {'usual': [[600., 0, 320], [0, 600, 240], [0, 0, 1]], 'wide': [[250., 0, 300], [0, 250, 260], [0, 0, 1]],
           'long': [[2500., 0, 320], [0, 2500, 240], [0, 0, 1]],
           'not square': [[610., 0, 100], [0, 480, 400], [0, 0, 1]],
           'skewed': [[600., 9, 320], [0, 600, 240], [0, 0, 1]]}


def scene(camera='usual', count=20, dtype=np.float64, seed=0):
  """Hands 0.25 to 0.9 m away, their crops, turned, and the bone's length: (joints in bones, seen, intrinsics, ..)."""
  random = np.random.default_rng(seed)
  centre = np.concatenate([random.uniform(-.1, .1, [count, 1, 2]), random.uniform(.25, .9, [count, 1, 1])], -1)
  joints = centre + random.uniform(-.08, .08, [count, 21, 3])
  across = random.normal(size=[count, 2])
  across /= np.linalg.norm(across, axis=1, keepdims=True)
  tilt = random.uniform(-1, 1, [count, 1])  # radians out of the plane of the picture
  bone = np.concatenate([np.cos(tilt) * across, np.sin(tilt)], axis=1) * random.uniform(.07, .11, [count, 1])
  joints[:, 0] = joints[:, 9] + bone
  joints = tf.constant(joints, dtype)
  intrinsics = tf.constant(np.tile(CAMERAS[camera], [count, 1, 1]), dtype)
  crop = crops.crop_from_joints(cameras.project_pinhole(joints, intrinsics))
  turn = tf.constant(random.uniform(-3, 3, [count]), dtype)
  in_crop = crops.to_crop(cameras.project_pinhole(joints, intrinsics), crop, turn)
  length = tf.norm(joints[:, 0] - joints[:, 9], axis=-1)
  turned = crops.turn(joints, turn) / length[:, None, None]
  return turned, in_crop, intrinsics, crop, turn


@pytest.mark.parametrize('camera', CAMERAS)
def test_exact_labels_give_the_exact_depth_and_hand(camera):
  hands, in_crop, intrinsics, crop, turn = scene(camera)
  seen = root_depth.rays(in_crop, intrinsics, crop, turn)
  np.testing.assert_allclose(seen, hands[..., :2] / hands[..., 2:], atol=1e-12)
  relative = hands[..., 2] - hands[:, 9, None, 2]
  depth = root_depth.solve(seen, relative, BONE)
  np.testing.assert_allclose(depth, hands[:, 9, 2], rtol=1e-9)
  np.testing.assert_allclose(root_depth.place(seen, relative, depth), hands, atol=1e-8)


def test_in_float32_as_well():
  hands, in_crop, intrinsics, crop, turn = scene('usual', dtype=np.float32)
  seen = root_depth.rays(in_crop, intrinsics, crop, turn)
  depth = root_depth.solve(seen, hands[..., 2] - hands[:, 9, None, 2], BONE)
  np.testing.assert_allclose(depth, hands[:, 9, 2], rtol=1e-3)


def test_depth_by_hand():
  # A bone of length 1 in the plane of the picture, 4 away: it spans a quarter at depth 1.
  seen, relative = tf.constant([[[0.1, 0.], [0.35, 0.]]]), tf.zeros([1, 2])
  np.testing.assert_allclose(root_depth.solve(seen, relative, (0, 1)), [4.], rtol=1e-6)
  # From (0, 0, 4) to (0.6, 0, 4.8); the root is the first, then the second.
  seen = tf.constant([[[0., 0.], [0.125, 0.]]])
  np.testing.assert_allclose(root_depth.solve(seen, tf.constant([[0., .8]]), (0, 1)), [4.], rtol=1e-5)
  np.testing.assert_allclose(root_depth.solve(seen, tf.constant([[-.8, 0.]]), (1, 0)), [4.8], rtol=1e-5)


def test_of_two_depths_the_farther_one():
  # Toward the camera by 0.99, outward by 0.1: the image of the far end lies inside that of the near end.
  near, step = np.array([1., 0., 5.]), np.array([np.sqrt(1 - .99 ** 2), 0., .99])
  ends = np.stack([near, near + step])
  seen, relative = tf.constant(ends[None, :, :2] / ends[None, :, 2:]), tf.constant([[0., .99]], tf.float64)
  assert seen[0, 1, 0] < seen[0, 0, 0] and step[0] > 0, 'the image runs against the bone'
  found = float(root_depth.solve(seen, relative, (0, 1))[0])
  assert found > 5.01
  for depth in (5., found):
    placed = root_depth.place(seen, relative, tf.constant([depth], tf.float64))[0].numpy()
    np.testing.assert_allclose(np.linalg.norm(placed[1] - placed[0]), 1, rtol=1e-9)


def with_gradients(seen, relative):
  seen, relative = tf.constant(seen), tf.constant(relative)
  with tf.GradientTape() as tape:
    tape.watch([seen, relative])
    depth = root_depth.solve(seen, relative, (0, 1))
  return depth.numpy(), [gradient.numpy() for gradient in tape.gradient(depth, [seen, relative])]


@pytest.mark.parametrize('seen, relative, expected', [
    ([[.1, .2], [.1, .2]], [1., 0.], 100.),  # in the view ray: its image is a point
    ([[0., 0.], [0., 0.]], [0., 0.], 100.),  # all in one place
    ([[0., 0.], [1e-4, 0.]], [.9, 0.], 100.),  # nearly so
    ([[.0, 0.], [.25, 0.]], [1.5, 0.], 1.),  # deeper than the bone is long
    ([[0., 0.], [.125, 0.]], [-1., 0.], None),  # as deep: the root of the discriminant is 0
    ([[0., 0.], [8., 0.]], [0., 0.], 1.)])  # nearer than the nearest
def test_without_a_depth_result_and_gradients_are_finite(seen, relative, expected):
  depth, gradients = with_gradients(np.array([seen], np.float32), np.array([relative], np.float32))
  assert np.isfinite(depth).all() and all(np.isfinite(gradient).all() for gradient in gradients)
  assert 1 <= depth[0] <= 100
  if expected is not None:
    np.testing.assert_allclose(depth, [expected])


def test_gradients_are_those_of_the_formula():
  hands, in_crop, intrinsics, crop, turn = scene(count=4)
  relative = (hands[..., 2] - hands[:, 9, None, 2]).numpy()

  def depth(joints, relative):
    return root_depth.solve(root_depth.rays(joints, intrinsics, crop, turn), relative, BONE)
  assert_gradients_match(depth, [in_crop.numpy(), relative])


def test_a_camera_that_is_not_known_stands_before_the_crop():
  crop = crops.Crop(tf.constant([[100., 50.], [10., 20.]]), tf.constant([80., 40.]))
  known = tf.constant(CAMERAS['usual'], tf.float32)
  found = root_depth.camera_or_assumed(tf.stack([known, tf.zeros([3, 3])]), crop, 5.)
  np.testing.assert_array_equal(found[0], known)
  np.testing.assert_allclose(found[1], [[100, 0, 10], [0, 100, 20], [0, 0, 1]])
  corner = root_depth.rays(tf.constant([[[1., -1.]]] * 2), found, crop, tf.zeros([2]))
  np.testing.assert_allclose(corner[1, 0], [.2, -.2], rtol=1e-6)
