"""A small RHD in the exact format on disk."""
import os
import pickle

import numpy as np

from dhpe_tf.hand import skeletons
from tests.data_tools.readers import hands

SIZE = (320, 320)
# Mask numbers of a finger's joints 1 to 3, from the tip to the palm: thumb 2, 3, 4 and so on; palm 17; right hand +16.
_PART = {name: 2 + 3 * skeletons.FINGERS.index(name[:-1]) + 3 - int(name[-1])
         for name in skeletons.MANO_JOINT_NAMES[1:]}
_PART['wrist'] = 17
# First the left hand, wrist and then each finger from its tip to its base, then the right one.
_ORDER = ['wrist'] + [f'{finger}{k}' for finger in skeletons.FINGERS for k in (4, 3, 2, 1)]


def intrinsics(seed: int) -> np.ndarray:
  """Each picture has a camera of its own."""
  return np.array([[283. + 5 * seed, 0., 160.], [0., 283. + 5 * seed, 160.], [0., 0., 1.]])


def part_ids(hand: hands.Hand) -> np.ndarray:
  """Mask numbers `[F]` of a hand's faces."""
  names = np.array([_PART[name] for name in skeletons.MANO_JOINT_NAMES])
  return names[hand.face_joints()] + (16 if hand.side == 'right' else 0)


def write(root, splits=(('training', 2), ('evaluation', 2)), near=None) -> dict:
  """Writes RHD_published_v2 below `root`.

  Args:
    root: its parent folder.
    splits: names and numbers of pictures.
    near: the side of the nearer hand, by picture number; left for odd numbers where None.

  Returns:
    (split, number) -> {side: Hand}.
  """
  truth = {}
  for folder, count in splits:
    annotations = {}
    for name in ('color', 'mask'):
      os.makedirs(os.path.join(root, 'RHD_published_v2', folder, name), exist_ok=True)
    for i in range(count):
      front = near[i] if near else ('right', 'left')[i % 2]
      pair = {side: hands.make(side, seed=2 * i, center_m=(.12 if side == 'right' else -.12, .02,
                                                           .5 if side == front else .8)) for side in ('left', 'right')}
      truth[folder, i] = pair
      annotations[i] = _annotation(pair, intrinsics(i))
      _write_pictures(os.path.join(root, 'RHD_published_v2', folder), i, list(pair.values()))
    path = os.path.join(root, 'RHD_published_v2', folder, f'anno_{folder}.pickle')
    with open(path, 'wb') as file:
      pickle.dump(annotations, file, protocol=2)
  return truth


def _annotation(pair: dict, matrix: np.ndarray) -> dict:
  """xyz, uv_vis and K of two hands; every third keypoint of the left hand is hidden."""
  rows = [pair[side].keypoints_m[skeletons.KEYPOINT_NAMES.index(name)] for side in ('left', 'right') for name in _ORDER]
  xyz = np.array(rows, np.float32)
  visible = np.ones([42, 1])
  visible[:21:3] = 0
  return {'xyz': xyz, 'uv_vis': np.concatenate([hands.project(xyz, matrix), visible], 1).astype(np.float32),
          'K': matrix.astype(np.float32)}


def _write_pictures(folder: str, number: int, pair: list) -> None:
  far_to_near = sorted(pair, key=lambda hand: -hand.keypoints_m[:, 2].mean())
  hands.draw(far_to_near, intrinsics(number), SIZE, number).save(os.path.join(folder, 'color', f'{number:05d}.png'))
  background = np.zeros(SIZE)
  background[:, 200:] = 1  # The person, larger than either hand.
  hands.draw_ids(far_to_near, intrinsics(number), SIZE, [part_ids(hand) for hand in far_to_near],
                 background).save(os.path.join(folder, 'mask', f'{number:05d}.png'))
