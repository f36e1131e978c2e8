"""A small STB in the exact format on disk: all twelve sequences, few frames."""
import os

import numpy as np
from scipy import io

from data_tools.readers import stb
from dhpe_tf.hand import skeletons
from tests.data_tools.readers import hands

SIZE = (480, 640)
BB = np.array([[822.79041, 0., 318.47345], [0., 822.79041, 250.31296], [0., 0., 1.]])
SK = np.array([[607.92271, 0., 314.78337], [0., 607.88192, 236.42484], [0., 0., 1.]])
_ORDER = [f'{finger}{k}' for finger in skeletons.FINGERS[::-1] for k in (1, 2, 3, 4)]


def palm(hand: hands.Hand) -> np.ndarray:
  """The centre of the palm, `[3]`."""
  return (hand.keypoints_m[0] + hand.keypoints_m[9]) / 2


def sk_depth_from_color(points: np.ndarray) -> np.ndarray:
  """Points `[..., 3]` in millimetres from the SK's colour camera to its depth camera: x_depth = R x_color + t."""
  a, b, c = .00531, -.01196, .00301
  angle = np.sqrt(a * a + b * b + c * c)
  cross = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]]) / angle
  rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
  return points @ rotation.T + [-24.0381, -.4563, -1.2326]


def write(root, frames: int = 3, pictures: bool = True) -> dict:
  """Writes images/ and labels/; returns (sequence, frame) -> Hand in the axes of BB's left or SK's colour camera."""
  truth = {}
  os.makedirs(os.path.join(root, 'labels'))
  for number, sequence in enumerate(stb.SEQUENCES['train'] + stb.SEQUENCES['eval']):
    os.makedirs(os.path.join(root, 'images', sequence))
    labels = []
    for frame in range(frames):
      hand = hands.make('left', seed=100 * number + frame, center_m=(.06, .01, .6))
      truth[sequence, frame] = hand
      rows = [palm(hand)] + [hand.keypoints_m[skeletons.KEYPOINT_NAMES.index(name)] for name in _ORDER]
      labels.append(np.array(rows) * 1000)
      if pictures:
        _write_pictures(os.path.join(root, 'images', sequence), frame, hand)
    bb_mm = np.array(labels)
    for name, joints in (('BB', bb_mm), ('SK', sk_depth_from_color(bb_mm))):
      io.savemat(os.path.join(root, 'labels', f'{sequence}_{name}.mat'), {'handPara': joints.transpose(2, 1, 0)})
  return truth


def _write_pictures(folder: str, frame: int, hand: hands.Hand) -> None:
  """The left and right picture of the stereo camera, and the colour picture of the SK (as if it stood in its place)."""
  right = hands.Hand(hand.side, hand.keypoints_m - [.120054, 0, 0], hand.vertices_m - [.120054, 0, 0], hand.model)
  # The calibration counts pixel centres at whole numbers.
  shift = np.array([[0, 0, .5], [0, 0, .5], [0, 0, 0]])
  for name, shown, intrinsics in (('BB_left', hand, BB), ('BB_right', right, BB), ('SK_color', hand, SK)):
    hands.draw([shown], intrinsics + shift, SIZE, frame).save(os.path.join(folder, f'{name}_{frame}.png'))
