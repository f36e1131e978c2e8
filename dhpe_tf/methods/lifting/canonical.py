"""The canonical frame of Zimmermann and Brox (ICCV 2017, section 4.2): a hand without place, size and viewpoint."""
from typing import NamedTuple

import tensorflow as tf

from dhpe_tf.hand import skeletons

ORIGIN = skeletons.KEYPOINT_NAMES.index('wrist')
ALONG_Y = skeletons.KEYPOINT_NAMES.index('middle1')  # on the y axis, y >= 0
IN_XY = skeletons.KEYPOINT_NAMES.index('little1')  # in the xy plane, x >= 0
# The bone whose length is 1: the first of the index finger.
UNIT = (skeletons.KEYPOINT_NAMES.index('index1'), skeletons.KEYPOINT_NAMES.index('index2'))
NEEDED = tuple({ORIGIN, ALONG_Y, IN_XY, *UNIT})  # without these joints there is no frame


class Canonical(NamedTuple):
  """A hand in its canonical frame.

  Attributes:
    joints: `[B, 21, 3]`, the wrist at the origin, the index finger's first bone of length 1.
    rotation: `[B, 3, 3]`, the viewpoint R: canonical coordinates are R (x - wrist) / unit.
    unit: `[B]`, the length of the index finger's first bone before, in the unit of the joints.
  """

  joints: tf.Tensor
  rotation: tf.Tensor
  unit: tf.Tensor


def to_canonical(joints: tf.Tensor, epsilon: float = 1e-9) -> Canonical:
  """Brings joints `[B, 21, 3]` of any origin, scale and rotation to the canonical frame.

    w_c = R (x - wrist) / unit,    unit = |index2 - index1|.

  In the paper R = R_y R_xz: R_xz turns the middle finger's knuckle m onto the positive y axis, R_y about that axis
  brings the little finger's knuckle l into the xy plane at x >= 0. This rotation is unique, so its rows are computed
  directly, with m and l relative to the wrist:

    y = m / |m|,    x = (l - (l . y) y) normalised,    z = x cross y.

  A mirrored hand differs only in the sign of z, by which the paper mirrors right hands. Here all hands are right ones.
  Where the two knuckles and the wrist lie on a line there is no such frame, and the result is undefined.
  """
  relative = joints - joints[:, ORIGIN, None]
  unit = tf.norm(joints[:, UNIT[1]] - joints[:, UNIT[0]], axis=-1)
  y = tf.math.l2_normalize(relative[:, ALONG_Y], axis=-1, epsilon=epsilon ** 2)
  across = relative[:, IN_XY]
  x = tf.math.l2_normalize(across - tf.reduce_sum(across * y, axis=-1, keepdims=True) * y, axis=-1,
                           epsilon=epsilon ** 2)
  rotation = tf.stack([x, y, tf.linalg.cross(x, y)], axis=1)
  turned = tf.matmul(relative, rotation, transpose_b=True)
  return Canonical(turned / tf.maximum(unit, epsilon)[:, None, None], rotation, unit)


def from_canonical(joints: tf.Tensor, rotation: tf.Tensor) -> tf.Tensor:
  """Joints R^T w_c `[B, 21, 3]` relative to the wrist, in units of the index bone, in the camera's axes.

  Args:
    joints: w_c `[B, 21, 3]`, in the canonical frame.
    rotation: R `[B, 3, 3]`.
  """
  return tf.matmul(joints, rotation)
