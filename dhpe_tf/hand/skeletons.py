"""The hand's joints by name, and the joint order of every source that we read or write.

An order is a tuple of names. Orders convert by name, never by position: `permutation('rhd', 'dhpe')`.
"""
import numpy as np

FINGERS = ('thumb', 'index', 'middle', 'ring', 'little')


def _chain(finger: str, numbers=(1, 2, 3, 4)) -> tuple[str, ...]:
  """Joint names of one finger, such as index1, index2, ..., in the order of `numbers`."""
  return tuple(f'{finger}{k}' for k in numbers)


def _fingers(fingers, numbers=(1, 2, 3, 4)) -> tuple[str, ...]:
  """Joint names of several fingers, one finger after another."""
  return tuple(name for finger in fingers for name in _chain(finger, numbers))


# The 21 keypoints of this package: the wrist, then each finger from its base (1) to its tip (4). Of the thumb, 1 is the
# CMC, 2 the MCP, 3 the IP joint; of the others, 1 is the MCP (knuckle), 2 the PIP, 3 the DIP joint.
KEYPOINT_NAMES = ('wrist',) + _fingers(FINGERS)
NUM_KEYPOINTS = len(KEYPOINT_NAMES)
WRIST = KEYPOINT_NAMES.index('wrist')
ROOT_NAME = 'middle1'
ROOT = KEYPOINT_NAMES.index(ROOT_NAME)
KNUCKLES = tuple(KEYPOINT_NAMES.index(f'{finger}1') for finger in FINGERS[1:])  # index to little
TIPS = tuple(KEYPOINT_NAMES.index(f'{finger}4') for finger in FINGERS)

# For each keypoint the one before it on the way to the wrist, and the 20 bones (parent, child) between them.
KEYPOINT_PARENTS = tuple(-1 if k == 0 else 0 if k % 4 == 1 else k - 1 for k in range(NUM_KEYPOINTS))
BONES = tuple((parent, k) for k, parent in enumerate(KEYPOINT_PARENTS) if parent >= 0)

# The 16 skinning joints in MANO's order; each joint's parent.
MANO_FINGERS = ('index', 'middle', 'little', 'ring', 'thumb')
MANO_JOINT_NAMES = ('wrist',) + _fingers(MANO_FINGERS, (1, 2, 3))
PARENTS = tuple(-1 if k == 0 else 0 if k % 3 == 1 else k - 1 for k in range(16))

# STB's first point is the centre of the palm, not the wrist: it has its own name, so that the two never mix unseen.
ORDERS = {
    'dhpe': KEYPOINT_NAMES,
    'mano16': MANO_JOINT_NAMES,
    # The 16 joints, then the fingertips from thumb to little finger (HO-3D, manopth before its reordering).
    'mano21': MANO_JOINT_NAMES + _fingers(FINGERS, (4,)),
    'rhd': ('wrist',) + _fingers(FINGERS, (4, 3, 2, 1)),
    'stb': ('palm',) + _fingers(FINGERS[::-1]),
    'freihand': KEYPOINT_NAMES,
    'interhand': _fingers(FINGERS, (4, 3, 2, 1)) + ('wrist',),
    'mediapipe': KEYPOINT_NAMES,
    'openpose': KEYPOINT_NAMES,
    'tips': _fingers(FINGERS, (4,)),
    # BigHand2.2M, F-PHAB, and the HANDS challenges on depth: wrist, bases, then each finger from its second joint.
    'bighand': ('wrist',) + _fingers(FINGERS, (1,)) + _fingers(FINGERS, (2, 3, 4)),
}
ORDERS['ho3d'] = ORDERS['mano21']
ORDERS['dexter_object'] = ORDERS['tips']


def order_names(order: str) -> tuple[str, ...]:
  """The joint names of a registered order.

  Raises:
    ValueError: unknown order; the message lists the known ones.
  """
  if order not in ORDERS:
    raise ValueError(f'unknown joint order {order!r}; known: {", ".join(sorted(ORDERS))}')
  return ORDERS[order]


def permutation(source: str, destination: str) -> np.ndarray:
  """Indices that bring joints from one order to another: `joints_destination = joints_source[..., indices, :]`.

  Args:
    source: name of the order the joints stand in.
    destination: name of the order wanted; its joints must all be among the source's.

  Returns:
    int64, one index for each joint of the destination.

  Raises:
    ValueError: unknown order, or a joint of the destination that the source lacks.
  """
  have, want = order_names(source), order_names(destination)
  missing = [name for name in want if name not in have]
  if missing:
    raise ValueError(f'joint order {source!r} has no {", ".join(missing)}, which {destination!r} wants')
  return np.array([have.index(name) for name in want])


def palm_of(wrist, root):
  """The centre of the palm, (wrist + middle MCP) / 2 as RHD defines it, of points `[..., D]`."""
  return (wrist + root) / 2


def wrist_of(palm, root):
  """The wrist 2 palm - middle MCP, of points `[..., D]`; the inverse of `palm_of`."""
  return 2 * palm - root
