import numpy as np

from dhpe_tf.hand.gestures import gesture_pose
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.visualization import hand_sheet, overlay, pictures


def test_rows_of_hands_each_from_both_sides():
  model = load_hand_model()
  poses = np.stack([gesture_pose(name) for name in ('flat', 'fist', 'point')])
  sheet = hand_sheet.draw_hands(model, poses, np.zeros([3, 10]), tile=64, columns=2)
  assert sheet.shape == (128, 256, 3) and sheet.dtype == np.uint8
  ground = pictures.to_bytes(np.array(overlay.BACKGROUND))
  covered = (sheet != ground).any(-1).reshape(2, 64, 4, 64).mean(axis=(1, 3))
  assert (covered.ravel()[:6] > 0.08).all() and (covered[1, 2:] == 0).all()
  assert covered[0, 0] > 1.2 * covered[0, 2], 'a fist covers less than a flat hand'
