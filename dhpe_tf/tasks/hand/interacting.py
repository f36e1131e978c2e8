"""Measures of InterHand2.6M (Moon et al. 2020): single and interacting hands apart, and how two hands lie together."""
import numpy as np

from dhpe_tf.hand import skeletons
from dhpe_tf.metrics import pose_error
from dhpe_tf.tasks.measured import Measure

_MILLIMETRES = 1000.
KINDS = ('single', 'interacting', 'all')


def pictures(ids: np.ndarray) -> np.ndarray:
  """Returns the pictures `[N]` that ids `<picture>/<side>` of records name; another id is its own picture."""
  names = [name.decode(errors='replace') if isinstance(name, bytes) else str(name) for name in ids]
  return np.array([name.rpartition('/')[0] if name.rpartition('/')[2] in ('right', 'left') else name
                   for name in names])


def pairs(picture: np.ndarray, is_left: np.ndarray) -> np.ndarray:
  """Returns the rows `[P, 2]` of the right and the left hand of each picture `[N]` that has both."""
  right, left = ({picture[row]: row for row in np.flatnonzero(chosen)} for chosen in (~is_left, is_left))
  return np.array([(right[name], left[name]) for name in right if name in left], int).reshape(-1, 2)


def mpjpe(errors_m: np.ndarray, valid: np.ndarray, picture: np.ndarray, is_left: np.ndarray,
          words: str) -> dict[str, Measure]:
  """Computes the MPJPE of single hands, of interacting ones and of all, over the 42 joints of both sides.

  As the dataset's own code has it: the mean of each joint over the pictures, then over the joints, the root's zero too.

  Args:
    errors_m: `[N, 21]` distances in metres.
    valid: `[N, 21]` bool.
    picture: `[N]` names of the pictures; those of two hands here are interacting.
    is_left: `[N]` bool.
    words: name of the alignment, appended to each definition.

  Returns:
    Measures by name, without kinds of which there is no hand.
  """
  interacting = np.zeros(len(picture), bool)
  interacting[pairs(picture, is_left).ravel()] = True
  both = np.concatenate([errors_m, errors_m], 1)
  counted = np.concatenate([valid & ~is_left[:, None], valid & is_left[:, None]], 1)
  result = {}
  for kind, chosen in zip(KINDS, (~interacting, interacting, np.ones(len(picture), bool))):
    if counted[chosen].any():
      error = pose_error.end_point_error(both[chosen], counted[chosen]).mean
      result[f'mpjpe_{kind}'] = Measure(
          error * _MILLIMETRES, 'mm', f'distance, mean by joint of each side, then over joints, {kind} hands (hands '
          f'are interacting where both of a picture are recorded), {words}')
  return result


def mrrpe(predicted_m: np.ndarray, true_m: np.ndarray, valid: np.ndarray, picture: np.ndarray, is_left: np.ndarray,
          words: str) -> dict[str, Measure]:
  """Computes the mean relative root position error of interacting hands: |(p_l - p_r) - (t_l - t_r)| of the wrists.

  Args:
    predicted_m: `[N, 3]` wrists in the unmirrored camera's axes, metres.
    true_m: `[N, 3]` likewise.
    valid: `[N]` bool, which wrists are labelled.
    picture: `[N]` names of the pictures.
    is_left: `[N]` bool.
    words: what is given, appended to the definition.

  Returns:
    Measures by name; none without a picture of two hands.
  """
  right, left = pairs(picture, is_left).T
  chosen = valid[right] & valid[left]
  right, left = right[chosen], left[chosen]
  if not len(right):
    return {}
  errors = pose_error.joint_errors(predicted_m[left] - predicted_m[right], true_m[left] - true_m[right])
  return {'mrrpe': Measure(float(errors.mean()) * _MILLIMETRES, 'mm', 'error of the left wrist\'s place relative to '
                           f'the right one, mean over pictures of both hands; {words}')}


def handedness(predicted_left: np.ndarray, is_left: np.ndarray) -> dict[str, Measure]:
  """Returns the share of hands `[N]` whose predicted side is the true one."""
  share = float((np.asarray(predicted_left, bool) == is_left).mean())
  return {'handedness': Measure(share, '', 'share of hands whose predicted side is the true one')}


def wrists(joints_m: np.ndarray, is_left: np.ndarray, turn: np.ndarray) -> np.ndarray:
  """Returns wrists `[N, 3]` in the unmirrored camera's axes, of hands that are mirrored if left and then turned.

  Args:
    joints_m: `[N, 21, 3]` in camera axes as labels of a batch have them.
    is_left: `[N]` bool.
    turn: `[N]` radians by which they are turned about the camera's axis.
  """
  x, y, z = np.asarray(joints_m, np.float64)[:, skeletons.WRIST].T
  cos, sin = np.cos(turn), np.sin(turn)
  return np.stack([np.where(is_left, -1, 1) * (cos * x + sin * y), cos * y - sin * x, z], axis=-1)
