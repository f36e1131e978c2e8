"""Hand shapes that people make, as joint angles: for tests, for examples, and as centres of the pose sampler.

The thumb's angles were fitted on the built-in hand, so that it lies on the finger it should touch and runs into none.
"""
import numpy as np

from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import HandModel, load_hand_model
from dhpe_tf.hand.joint_angles import ABDUCTION, FLEXION, TWIST, angles_to_pose

# A finger: degrees of flexion of its three joints.
_STRAIGHT, _CURLED, _HOOKED, _EASY = (0, 0, 0), (80, 98, 55), (5, 85, 50), (14, 20, 11)
# A thumb: CMC flexion, abduction and twist, MCP flexion, IP flexion.
_THUMB_OUT, _THUMB_EASY, _THUMB_SIDE = (-18, 0, 0, -8, -8), (6, 10, 5, 8, 12), (13, 0, 4, 8, 34)
_ON_MIDDLE, _ON_RING, _ON_LITTLE = (1, 0, 20, 46, 58), (6, 14, -3, 44, 70), (27, -7, 14, 48, 20)
_POINTING, _ON_PALM = (10, 22, -10, 36, 65), (-2, -11, -10, 50, 63)


def _angles(thumb, index, middle, ring, little, spread=(0, 0, 0, 0)) -> np.ndarray:
  """The angles [15, 3], radians, of a hand shape given in degrees.

  Args:
    thumb: CMC flexion, abduction and twist, MCP flexion, IP flexion.
    index: flexion of the finger's three joints; likewise `middle`, `ring` and `little`.
    middle: see `index`.
    ring: see `index`.
    little: see `index`.
    spread: abduction of index, middle, ring and little finger.
  """
  angles = np.zeros([5, 3, 3])
  fingers = {'index': index, 'middle': middle, 'ring': ring, 'little': little}
  for (finger, flexions), abduction in zip(fingers.items(), spread):
    angles[skeletons.MANO_FINGERS.index(finger), :, FLEXION] = flexions
    angles[skeletons.MANO_FINGERS.index(finger), 0, ABDUCTION] = abduction
  row = skeletons.MANO_FINGERS.index('thumb')
  angles[row, 0, [FLEXION, ABDUCTION, TWIST]] = thumb[:3]
  angles[row, 1:, FLEXION] = thumb[3:]
  return np.deg2rad(angles.reshape(15, 3))


_OPEN, _WIDE = (_STRAIGHT,) * 4, (12, 1, -9, -18)

# Angles [15, 3] in radians by name.
GESTURES = {
    'flat': _angles((0,) * 5, *_OPEN),
    'spread': _angles(_THUMB_OUT, *_OPEN, spread=_WIDE),
    'relaxed': _angles(_THUMB_EASY, (12, 18, 10), _EASY, (15, 21, 12), (16, 22, 12)),
    'fist': _angles(_ON_MIDDLE, *(_CURLED,) * 4),
    'point': _angles(_POINTING, _STRAIGHT, _CURLED, _CURLED, _CURLED),
    'pinch': _angles((14, 16, 22, 7, 37), (55, 40, 20), (15, 20, 10), (12, 18, 8), (10, 15, 8)),
    'tripod': _angles((27, 20, 17, 4, 13), (50, 45, 25), (52, 48, 25), (60, 60, 30), (65, 65, 30)),
    'victory': _angles(_ON_RING, _STRAIGHT, _STRAIGHT, _CURLED, _CURLED, spread=(10, -8, 0, 0)),
    'three': _angles(_ON_LITTLE, _STRAIGHT, _STRAIGHT, _STRAIGHT, _CURLED, spread=(8, 0, -8, 0)),
    'four': _angles(_ON_PALM, *_OPEN, spread=(8, 1, -6, -12)),
    'grasp': _angles((16, 18, 9, 36, 40), *((45, 45, 25),) * 4),
    'hook': _angles(_THUMB_EASY, *(_HOOKED,) * 4),
    'thumb_up': _angles(_THUMB_OUT, *(_CURLED,) * 4),
    'key': _angles(_THUMB_SIDE, (55, 80, 40), (65, 85, 45), (70, 90, 50), (75, 90, 50)),
    'gun': _angles(_THUMB_OUT, _STRAIGHT, _STRAIGHT, _CURLED, _CURLED),
    'horns': _angles((7, 1, 23, 49, 59), _STRAIGHT, _CURLED, _CURLED, _STRAIGHT, spread=(5, 0, 0, -10)),
    'call': _angles(_THUMB_OUT, _CURLED, _CURLED, _CURLED, _STRAIGHT, spread=(0, 0, 0, -10)),
}


def gesture_pose(name: str, hand_model: HandModel = None) -> np.ndarray:
  """The pose [45] of a gesture, float64, axis-angle about the flat hand.

  Args:
    name: key of GESTURES.
    hand_model: whose joints to turn; the built-in hand by default.

  Raises:
    ValueError: unknown name; the message lists the known ones.
  """
  if name not in GESTURES:
    raise ValueError(f'unknown gesture {name!r}; known: {", ".join(GESTURES)}')
  return angles_to_pose(GESTURES[name], hand_model or load_hand_model()).numpy()
