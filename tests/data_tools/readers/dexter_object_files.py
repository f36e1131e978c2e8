"""A small Dexter+Object in the exact format on disk."""
import os

import numpy as np

from data_tools.readers import dexter_object
from dhpe_tf.hand import skeletons
from tests.data_tools.readers import hands

SIZE = (480, 640)
INTRINSICS = np.array([[587.45209, 0., 325.], [0., 600.67456, 249.], [0., 0., 1.]])
_ROTATION = np.array([[.9999, .0034, .0161], [-.0033, 1., -.0079], [-.0162, .0079, .9998]])
_TRANSLATION_MM = np.array([19.0473, -1.8514, -4.7501])
# (sequence, frame, tip) that are marked as missing.
MISSING = {('Grasp1', 1, 2), ('Grasp1', 1, 3)} | {('Pinch', 0, tip) for tip in range(5)}


def write(root, frames: int = 2, prefix: str = '') -> dict:
  """Writes dexter+object below `root`; returns (sequence, frame) -> Hand in the axes of the colour camera."""
  truth = {}
  for number, sequence in enumerate(dexter_object.SEQUENCES):
    folder = os.path.join(root, 'dexter+object', 'data', sequence)
    for name in ('color', 'annotations'):
      os.makedirs(os.path.join(folder, name), exist_ok=True)
    lines = []
    for frame in range(frames):
      hand = hands.make('left', seed=50 * number + frame, center_m=(.03, .02, .5))
      truth[sequence, frame] = hand
      lines.append(_line(hand, sequence, frame))
      shift = np.array([[0, 0, .5], [0, 0, .5], [0, 0, 0]])
      picture = hands.draw([hand], INTRINSICS + shift, SIZE, frame)
      picture.save(os.path.join(folder, 'color', f'Color_{frame + 1:04d}.bmp'))
    with open(os.path.join(folder, 'annotations', f'{prefix}{sequence}3D.txt'), 'w', encoding='utf-8') as file:
      file.write('\n'.join(lines) + '\n')
  return truth


def _line(hand: hands.Hand, sequence: str, frame: int) -> str:
  """Tips from thumb to little finger in the depth camera's frame with x and y turned round, and two object corners."""
  tips_mm = hand.keypoints_m[list(skeletons.TIPS)] * 1000
  published = np.linalg.solve(_ROTATION, (tips_mm - _TRANSLATION_MM).T).T * [-1, -1, 1]
  fields = [(0, 0, 32001) if (sequence, frame, tip) in MISSING else tuple(published[tip]) for tip in range(5)]
  return ' '.join(f'{x:.6f}, {y:.6f}, {z:.6f};' for x, y, z in [*fields, (1, 2, 3), (4, 5, 6)])
