"""Hands at rest and in motion, with noise, before the One Euro filters and behind them."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import crops, rotations
from dhpe_tf.hand import anatomy, skeletons
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.networks import hand_layers
from dhpe_tf.tasks.hand import outputs, prediction, results, steady

RATE_HZ, FRAMES = 30., 240
RANDOM = np.random.default_rng(3)
POSE = anatomy.sample_poses(1, 5)[0]
JOINTS_PX = RANDOM.uniform(0, 300, (21, 2))
SHAPE, TURN = RANDOM.normal(0, 1, 10), np.array([0.5, -0.5, -0.5, 0.5])


@pytest.fixture(scope='module')
def layer():
  return hand_layers.PosedHand(load_hand_model())


def noisy(random, moved_px=0.):
  """A hand whose every number is noisy."""
  turn = TURN + random.normal(0, 0.02, 4)
  return steady.Measured(JOINTS_PX + moved_px + random.normal(0, 2, (21, 2)), POSE + random.normal(0, 0.05, 45),
                         SHAPE + random.normal(0, 0.5, 10), turn / np.linalg.norm(turn), 1500. + random.normal(0, 30),
                         1e-3 + random.normal(0, 1e-4))


def jitter(values):
  """Standard deviation of the second differences over the frames."""
  return np.diff(np.asarray(values), 2, axis=0).std()


def smoothed(hands):
  steady_hand = steady.SteadyHand()
  return [steady_hand(hand, frame / RATE_HZ) for frame, hand in enumerate(hands)]


def test_a_hand_at_rest_is_steadier_and_stays_what_it_is():
  random = np.random.default_rng(0)
  hands = [noisy(random) for _ in range(FRAMES)]
  found = smoothed(hands)
  for name, least in (('joints_px', 2.5), ('pose', 2), ('rotation', 2)):
    before, after = ([getattr(hand, name) for hand in given[30:]] for given in (hands, found))
    assert jitter(after) < jitter(before) / least, name
  np.testing.assert_allclose(np.mean([hand.joints_px for hand in found[30:]], axis=0), JOINTS_PX, atol=1.)
  np.testing.assert_allclose(np.mean([hand.pose for hand in found[30:]], axis=0), POSE, atol=0.03)
  np.testing.assert_allclose(np.mean([hand.rotation for hand in found[30:]], axis=0), TURN, atol=0.02)


def test_a_hand_in_fast_motion_is_followed_closely():
  random = np.random.default_rng(0)
  speed_px_s = 900.  # its own size in a third of a second
  hands = [noisy(random, speed_px_s * frame / RATE_HZ) for frame in range(60)]
  late_px = [np.mean(hand.joints_px - given.joints_px) for hand, given in zip(smoothed(hands), hands)]
  assert abs(np.mean(late_px[30:])) < 6.


def test_one_shape_over_a_clip():
  random = np.random.default_rng(0)
  hands = [noisy(random) for _ in range(FRAMES)]
  # A tenth of the frames are badly wrong.
  hands = [hand._replace(shape=hand.shape + 3.) if frame % 10 == 4 else hand for frame, hand in enumerate(hands)]
  shapes = np.array([hand.shape for hand in smoothed(hands)])
  assert np.ptp(shapes[150:], axis=0).max() == 0.
  np.testing.assert_allclose(shapes[-1], SHAPE, atol=0.3)


@pytest.mark.parametrize('closeness', [0., 0.2])
def test_a_hand_is_laid_back_onto_its_own_joints(layer, closeness):
  poses, count = np.float32(anatomy.sample_poses(4, 1)), 4
  shape, rotation = np.float32(RANDOM.normal(0, 1, (count, 10))), rotations.random_rotations(count, 0)
  given = [tf.constant(poses), tf.constant(shape), tf.cast(rotation, tf.float32)]
  scale, near = tf.constant([6., 7., 8., 9.]), tf.fill([count], closeness)
  camera = tf.concat([given[2], scale[:, None], tf.zeros([count, 3])], axis=-1)
  truth = layer(tf.concat([given[0], given[1], camera], axis=-1))
  # The root at a known place, at depth 0.
  moved = tf.constant([[0.2, -0.1, 0.]]) - truth['joints_3d'][:, skeletons.ROOT]
  joints, vertices = (truth[name] + moved[:, None] for name in ('joints_3d', 'vertices'))
  seen = outputs.seen(joints, {'camera_distance': 1 / tf.maximum(near, 1e-6)})[..., :2]
  laid = steady.lay(layer, *given, 1.3 * scale, near, seen)
  np.testing.assert_allclose(laid['units_per_metre'], scale, rtol=5e-3)
  np.testing.assert_allclose(laid['vertices'], vertices, atol=0.01)
  np.testing.assert_allclose(laid['joints_2d'], seen, atol=0.01)
  # Joints, mesh and camera are one hand.
  again = layer(tf.concat([given[0], given[1], laid['camera']], axis=-1))
  for name in ('vertices', 'joints_3d'):
    np.testing.assert_allclose(laid[name], again[name], atol=1e-4)


def test_turns_about_the_view():
  quaternions, angles = np.float32(rotations.random_rotations(5, 1)), np.float32(RANDOM.uniform(-3, 3, 5))
  turned = rotations.quaternion_to_matrix(tf.constant(steady.about_view(angles, quaternions)))
  points = rotations.quaternion_to_matrix(tf.constant(quaternions))
  # Columns of a matrix are points; `crops.turn` takes them as rows.
  expected = crops.turn(tf.transpose(points, [0, 2, 1]), tf.constant(angles))
  np.testing.assert_allclose(tf.transpose(turned, [0, 2, 1]), expected, atol=1e-5)


def test_pixels_and_crop_space_are_inverse():
  points = tf.constant(RANDOM.uniform(-1, 1, (2, 21, 2)), tf.float32)
  place = (crops.Crop(tf.constant([[50., 60.], [300., 20.]]), tf.constant([80., 100.])), tf.constant([True, False]),
           tf.constant([0.4, -1.2]))
  np.testing.assert_allclose(results.from_pixels(results.to_pixels(points, *place), *place), points, atol=1e-5)


def test_points_are_smoothed_where_no_pose_is_known():
  random, hands = np.random.default_rng(0), []
  vertices = random.uniform(0, 300, (8, 2))
  for _ in range(60):
    hands.append(prediction.Hand('right', (0., 0., 300., 300.), 0., None, {
        'joints_2d_px': JOINTS_PX + random.normal(0, 2, (21, 2)), 'vertices_px': vertices + random.normal(0, 2, (8, 2)),
        'joints_3d_m': random.normal(0, 0.002, (21, 3)), 'units_per_metre': np.float32(10.), 'pose': POSE}))
  steady_points = steady.SteadyPoints()
  found = [steady_points(hand, frame / RATE_HZ) for frame, hand in enumerate(hands)]
  for name in ('joints_2d_px', 'vertices_px', 'joints_3d_m'):
    before, after = ([hand.values[name] for hand in given[10:]] for given in (hands, found))
    assert jitter(after) < jitter(before) / 2
  assert 'pose' not in found[-1].values and found[-1].values['units_per_metre'] == 10.
