import numpy as np
import tensorflow as tf

from dhpe_tf.hand import skeletons
from dhpe_tf.methods.dhpe.landmarks import evidence
from dhpe_tf.networks import landmark_net


def answers(count=2, seed=0):
  random = np.random.default_rng(seed)
  return {'joints_2d_px': tf.constant(random.uniform(0, 224, [count, 21, 2]), tf.float32),
          'joints_depth_px': tf.constant(random.normal(size=[count, 21]), tf.float32),
          'world_joints_m': tf.constant(random.normal(size=[count, 21, 3]), tf.float32)}


def test_corners_of_the_crop_and_depth_below_the_wrist():
  given = answers()
  corners = tf.constant([[[0., 0.]] * 20 + [[224., 112.]]] * 2)
  found = evidence.from_answers({**given, 'joints_2d_px': corners}, depth_factor=2.)
  np.testing.assert_allclose(found.joints_2d[0, 0], [-1., -1.])
  np.testing.assert_allclose(found.joints_2d[0, 20], [1., 0.])
  np.testing.assert_allclose(found.depth[:, 0], 0., atol=1e-7)
  depth = given['joints_depth_px'].numpy()
  np.testing.assert_allclose(found.depth, (depth - depth[:, :1]) * 2 / 112, atol=1e-6)
  np.testing.assert_allclose(tf.reduce_mean(found.world_m, axis=1), np.zeros([2, 3]), atol=1e-6)


def test_packing_keeps_everything():
  given = evidence.from_answers(answers())._replace(spread=tf.ones([2, 21]))
  for part, wanted in zip(evidence.unpack(given.pack()), given):
    np.testing.assert_array_equal(part, wanted)


def test_tips_move_to_the_ends_of_the_fingers():
  # Straight fingers whose tips lie a quarter of the last bone inside.
  given = answers()
  found = evidence.from_answers(given)._replace(spread=tf.ones([2, 21]))
  ends = found.joints_2d.numpy()
  seen = ends.copy()
  seen[:, skeletons.TIPS] -= .25 * (ends[:, skeletons.TIPS] - ends[:, np.array(skeletons.TIPS) - 1])
  moved = evidence.to_fingertips(found._replace(joints_2d=tf.constant(seen)), inside=.25)
  np.testing.assert_allclose(moved.joints_2d, ends, atol=1e-5)
  others = [joint for joint in range(21) if joint not in skeletons.TIPS]
  np.testing.assert_array_equal(tf.gather(moved.depth, others, axis=1), tf.gather(found.depth, others, axis=1))
  np.testing.assert_allclose(moved.spread[:, skeletons.TIPS[0]], [4 / 3] * 2, rtol=1e-6)
  np.testing.assert_allclose(tf.reduce_mean(moved.world_m, axis=1), np.zeros([2, 3]), atol=1e-6)
  # The mean moves, so distances between other joints are compared.
  between = [np.diff(part.world_m.numpy()[:, [0, 2, 5]], axis=1) for part in (moved, found)]
  np.testing.assert_allclose(*between, atol=1e-6)
  for part, same in zip(evidence.to_fingertips(found, inside=0.), found):
    np.testing.assert_allclose(part, same, atol=1e-6)


def test_a_mirrored_crop_gives_the_mirrored_evidence():
  network = landmark_net.landmark_net()
  images = tf.random.stateless_uniform([2, 224, 224, 3], [0, 1])
  one, presence = evidence.of_images(network, images, mirrored=True)
  other, mirrored_presence = evidence.of_images(network, images[:, :, ::-1], mirrored=True)
  flip = np.array([-1., 1.])
  np.testing.assert_allclose(other.joints_2d, one.joints_2d * flip, atol=1e-4)
  np.testing.assert_allclose(other.world_m, one.world_m * [-1., 1., 1.], atol=1e-5)
  np.testing.assert_allclose(other.spread, one.spread, atol=1e-4)
  np.testing.assert_allclose(other.depth, one.depth, atol=1e-4)
  np.testing.assert_allclose(mirrored_presence, presence, atol=1e-5)
  # Noise is no hand, so the two looks differ; a single look does not know that.
  assert float(tf.reduce_min(tf.reduce_max(one.spread, axis=1))) > 0.01
  assert not np.any(evidence.of_images(network, images, mirrored=False)[0].spread)
