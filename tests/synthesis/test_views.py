import numpy as np

from dhpe_tf.geometry import rotations
from dhpe_tf.synthesis import hand_renderer as synthesis


def test_upright_hands_point_up_within_the_limits():
  matrices = rotations.quaternion_to_matrix(synthesis.sample_upright(200, 3, turn_deg=20, tilt_deg=30)).numpy()
  fingers = matrices @ [-1.0, 0.0, 0.0]  # in the hand's frame
  up = np.array([0.0, -1.0, 0.0])
  assert np.all(fingers @ up > np.cos(np.deg2rad(20 + 30)) - 1e-6)
  assert np.abs(np.arctan2(fingers[:, 2], np.hypot(fingers[:, 0], fingers[:, 1]))).max() <= np.deg2rad(30) + 1e-6
  # Palms and backs, from any side.
  backs = (matrices @ [0.0, 1.0, 0.0])[:, 2]
  assert (backs < -0.5).mean() > 0.15 and (backs > 0.5).mean() > 0.15


def test_no_turn_and_no_tilt_leaves_fingers_straight_up():
  matrices = rotations.quaternion_to_matrix(synthesis.sample_upright(20, 3, turn_deg=0, tilt_deg=0)).numpy()
  np.testing.assert_allclose(matrices @ [-1.0, 0.0, 0.0], np.tile([0.0, -1.0, 0.0], (20, 1)), atol=1e-6)

