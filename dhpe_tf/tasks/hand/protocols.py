"""Named protocols of evaluation: alignment, counted keypoints, range of thresholds, and the truth that is given.

Numbers of hand papers are comparable only under the same protocol, so `evaluate` gives a definition with each number.
"""
import dataclasses
from collections.abc import Mapping
from typing import Union

import numpy as np

from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons
from dhpe_tf.metrics import pck, pose_error
from dhpe_tf.tasks.hand import interacting, measures
from dhpe_tf.tasks.hand.bench import measures as bench
from dhpe_tf.tasks.measured import Line, Measure

WRIST, MIDDLE_MCP = skeletons.WRIST, skeletons.ROOT
MIDDLE_PIP = skeletons.KEYPOINT_NAMES.index('middle2')
FIRST_KEYPOINTS = ('wrist', 'palm')


@dataclasses.dataclass(frozen=True)
class Protocol:
  """A way to compare predictions with the truth.

  Attributes:
    name: its name on the command line.
    summary: its origin, and where it departs from that.
    alignments: keys of `ALIGNMENTS`; every measure is computed after each of them.
    ranges: keys of `pck.THRESHOLDS_M` for the areas under the PCK curve.
    keypoints: indices of the keypoints that count.
    root: keypoint that the root alignments move onto the true one.
    bone: the two keypoints whose distance gives the scale of 'root_bone'.
    first_keypoint: meaning of keypoint 0 in the comparison: 'wrist', or 'palm', the middle of wrist and middle MCP.
    visible_only: whether only visible keypoints count.
    truth_used: the parts of the truth that the prediction is given before the alignment.
    own_size: whether metres come from the size of the predicted hand, without a camera; otherwise predictions are
      placed before the camera at the root's depth.
    pck_mm: distances in millimetres for which the share of keypoints within them is computed.
    needs_3d: whether data without 3D labels are refused.
    both_hands: whether the measures of `interacting` are given, where the truth tells pictures and sides.
    by_split: whether the measures of `bench.measures` are given, where the truth tells pictures; the lines are those
      after the last alignment.
  """

  name: str
  summary: str
  alignments: tuple[str, ...]
  ranges: tuple[str, ...]
  keypoints: tuple[int, ...] = tuple(range(skeletons.NUM_KEYPOINTS))
  root: int = MIDDLE_MCP
  bone: tuple[int, int] = (WRIST, MIDDLE_MCP)
  first_keypoint: str = 'wrist'
  visible_only: bool = False
  truth_used: str = 'crop from the true 2D keypoints; true depth of the middle MCP'
  own_size: bool = False
  pck_mm: tuple[int, ...] = ()
  needs_3d: bool = True
  both_hands: bool = False
  by_split: bool = False


DEFAULT = 'own-size'
PROTOCOLS = {protocol.name: protocol for protocol in (
    Protocol('own-size', 'The default of this package. Metres come from the size of the hand model, so no camera is '
             'needed.', ('root', 'root_scale', 'procrustes'), ('full',), truth_used='crop from the true 2D keypoints',
             own_size=True, pck_mm=(10, 20, 30, 40, 50), needs_3d=False),
    Protocol('crop', 'As own-size, but metres come from the crop and the depth of the root.',
             ('root', 'root_scale', 'procrustes'), ('std', 'full')),
    Protocol('zb-rhd', 'Zimmermann and Brox 2017 on RHD. They scale a normalised prediction by the true length of the '
             'middle finger\'s first bone; here that bone of the prediction is given its true length. All keypoints '
             'count, hidden ones too.',
             ('root_bone',), ('zb', 'std', 'full'), root=0, bone=(MIDDLE_MCP, MIDDLE_PIP), first_keypoint='palm'),
    Protocol('zb-rhd-visible', 'As zb-rhd, visible keypoints only, as hand3d\'s eval_full.py and Spurr et al. 2018 '
             'count.', ('root_bone',), ('zb', 'std', 'full'), root=0, bone=(MIDDLE_MCP, MIDDLE_PIP),
             first_keypoint='palm', visible_only=True),
    Protocol('zb-stb', 'Zimmermann and Brox 2017 on STB: as zb-rhd, visible keypoints only.',
             ('root_bone',), ('zb', 'std', 'full'), root=0, bone=(MIDDLE_MCP, MIDDLE_PIP), first_keypoint='palm',
             visible_only=True),
    Protocol('paper-do', 'Fingertips of Dexter+Object, as Baek et al. 2019 count them. Their alignment is not '
             'known, so both of those in use without a root keypoint are given.',
             ('centroid', 'centroid_scale'), ('std', 'zb', 'full'), keypoints=skeletons.TIPS),
    Protocol('freihand', 'The FreiHAND challenge. Its own Procrustes alignment may mirror; the other may not.',
             ('none', 'procrustes_mirror', 'procrustes'), ('full',), root=WRIST),
    Protocol('ho3d', 'The HO-3D challenge. Its own Procrustes alignment may mirror; the other may not.',
             ('none', 'root_bone', 'procrustes_mirror', 'procrustes'), ('full',), root=WRIST),
    Protocol('interhand', 'InterHand2.6M, Moon et al. 2020: aligned at the wrist, single and interacting hands apart, '
             'and the place of the left wrist relative to the right one. Each hand is predicted from a crop of its own '
             'and placed at the true depth of its middle MCP, which the dataset\'s own method predicts.', ('root',),
             ('full',), root=WRIST, both_hands=True),
    Protocol('hands19', 'Mean joint error by split as in the HANDS 2019 challenge, Armagan et al. 2020, which measures '
             'millimetres over 21 joints in the camera\'s frame. Choices of ours: the depth of the middle MCP is '
             'given, since crops of colour pictures do not tell it, and the error after moving the wrist is given too. '
             'Splits are those of the generalisation bench.', ('none', 'root'), ('full',), root=WRIST, by_split=True),
)}

ALIGNMENTS = {
    'none': 'no alignment',
    'root': 'moving the {root} onto the true one',
    'root_bone': 'moving the {root} onto the true one and giving the bone {bone} its true length',
    'root_scale': 'moving the {root} onto the true one and scaling about it by least squares',
    'centroid': 'moving the centroid of the counted keypoints onto the true one',
    'centroid_scale': 'moving the centroid of the counted keypoints onto the true one and scaling the mean distance '
                      'from it to the true one',
    'procrustes': 'the least-squares similarity transform (Procrustes, without reflection)',
    'procrustes_mirror': 'the least-squares similarity transform, a reflection allowed',
}

_PROCRUSTES = {'procrustes': False, 'procrustes_mirror': True}  # alignment -> whether a reflection is allowed

Arrays = Mapping[str, np.ndarray]


def get(name: Union[str, Protocol]) -> Protocol:
  """Returns the protocol of a name; raises a UserError that lists the known names."""
  if isinstance(name, Protocol):
    return name
  if name not in PROTOCOLS:
    raise UserError(f'unknown protocol {name!r}; choose one of {", ".join(PROTOCOLS)}')
  return PROTOCOLS[name]


def evaluate(protocol: Union[str, Protocol], predictions: Arrays, truth: Arrays, truth_first: str = 'wrist',
             predicted_first: str = 'wrist') -> dict[str, Measure]:
  """Compares predictions with the truth.

  Args:
    protocol: a protocol or its name.
    predictions: 'joints_3d_m' `[N, 21, 3]` in metres; optionally 'vertices_m' `[N, V, 3]` in metres, 'joints_2d_px'
      `[N, 21, 2]` and 'mask' `[N, H, W]`.
    truth: the same names; absent ones are not compared. Optionally 'joints_3d_valid', 'joints_2d_valid' and
      'visibility' `[N, 21]`, 'crop_side_px' `[N]` (2D errors are then also given in a crop of REPORT_PX), 'mask_valid'
      and 'vertices_valid' `[N]`. For protocols of both hands optionally 'is_left' and 'picture' `[N]`, in `predictions`
      'is_left', and in both 'wrist_m' `[N, 3]`, see `interacting`. For protocols by split 'id' `[N]` and optionally
      'training_distance' `[N, 4]`, see `bench.measures`.
    truth_first: whether keypoint 0 of the truth is the 'wrist' or the 'palm'.
    predicted_first: the same for the predictions.

  Returns:
    Measures by name; those after an alignment are called `<measure>/<alignment>`.

  Raises:
    UserError: unknown protocol, arrays of different lengths, or no keypoint that counts.
  """
  protocol = get(protocol)
  _check_lengths(predictions, truth)
  result = {}
  for alignment in protocol.alignments if _have('joints_3d_m', predictions, truth) else ():
    errors, valid = errors_3d_m(protocol, alignment, predictions, truth, truth_first, predicted_first)
    if not valid.any():
      if protocol.needs_3d:
        raise UserError(f'protocol {protocol.name}: no sample has the 3D labels that it counts')
      continue
    found = measures.keypoints_3d(errors, valid, protocol.ranges, describe(protocol, alignment), protocol.pck_mm)
    if (alignment == 'none' or alignment in _PROCRUSTES) and _have('vertices_m', predictions, truth):
      points, goal = _labelled('vertices', predictions['vertices_m'], truth['vertices_m'], truth)
      if alignment in _PROCRUSTES:
        points = pose_error.align_procrustes(points, goal, mirror=_PROCRUSTES[alignment])
      found.update(measures.vertices(
          points, goal, f'after {ALIGNMENTS[alignment]} of the vertices; given: {protocol.truth_used}'))
    if protocol.both_hands and {'picture', 'is_left'} <= set(truth):
      found.update(interacting.mpjpe(errors, valid, truth['picture'], truth['is_left'], describe(protocol, alignment)))
    found.update(_by_split(protocol, alignment, errors, valid, truth))
    result.update({f'{name}/{alignment}': measure for name, measure in found.items()})
  result.update(_of_both_hands(protocol, predictions, truth))
  if _have('joints_2d_px', predictions, truth):
    errors = pose_error.joint_errors(predictions['joints_2d_px'], truth['joints_2d_px'])
    counted = list(protocol.keypoints)
    valid = np.asarray(truth.get('joints_2d_valid', np.ones(errors.shape))) > 0
    result.update(measures.keypoints_2d(errors[:, counted], valid[:, counted], truth.get('crop_side_px')))
  if _have('mask', predictions, truth):
    result.update(measures.masks(*_labelled('mask', predictions['mask'], truth['mask'], truth)))
  return result


def errors_3d_m(protocol: Union[str, Protocol], alignment: str, predictions: Arrays, truth: Arrays,
                truth_first: str = 'wrist', predicted_first: str = 'wrist') -> tuple[np.ndarray, np.ndarray]:
  """Computes the distances of the counted keypoints after an alignment, in metres.

  Args:
    protocol: a protocol or its name.
    alignment: key of `ALIGNMENTS`.
    predictions: see `evaluate`.
    truth: see `evaluate`.
    truth_first: see `evaluate`.
    predicted_first: see `evaluate`.

  Returns:
    errors: `[N, K]`, for the K keypoints of the protocol.
    valid: `[N, K]` bool, which of them count.
  """
  protocol = get(protocol)
  goal = convert_first(truth['joints_3d_m'], truth_first, protocol.first_keypoint)
  points = convert_first(predictions['joints_3d_m'], predicted_first, protocol.first_keypoint)
  labelled = np.asarray(truth.get('joints_3d_valid', np.ones(goal.shape[:2]))) > 0
  labelled = labelled & np.isfinite(goal).all(-1)
  counted = list(protocol.keypoints)
  valid = labelled[:, counted] & _usable(protocol, alignment, labelled)[:, None]
  if protocol.visible_only and 'visibility' in truth:
    valid = valid & (np.asarray(truth['visibility'])[:, counted] > 0)
  if alignment.startswith('centroid'):
    points, goal = points[:, counted], goal[:, counted]
    aligned = pose_error.align_centroid(points, goal, valid, scale=alignment == 'centroid_scale')
  else:
    aligned = _align(protocol, alignment, points, goal, labelled)[:, counted]
    goal = goal[:, counted]
  return measures.rounded(pose_error.joint_errors(aligned, goal)), valid


def convert_first(points: np.ndarray, have: str, want: str) -> np.ndarray:
  """Converts keypoint 0 between wrist and palm, palm = (wrist + middle MCP) / 2.

  Args:
    points: `[N, 21, D]`.
    have: 'wrist' or 'palm', the present meaning of keypoint 0.
    want: 'wrist' or 'palm', the wanted one.

  Returns:
    `[N, 21, D]` float64.

  Raises:
    UserError: `have` or `want` is neither.
  """
  if not {have, want} <= set(FIRST_KEYPOINTS):
    raise UserError(f'keypoint 0 is the wrist or the palm, got {have!r} and {want!r}')
  points = np.array(points, np.float64)
  if have != want:
    convert = skeletons.palm_of if want == 'palm' else skeletons.wrist_of
    points[:, 0] = convert(points[:, 0], points[:, MIDDLE_MCP])
  return points


def curves(protocol: Union[str, Protocol], predictions: Arrays, truth: Arrays, thresholds_m: np.ndarray,
           truth_first: str = 'wrist', predicted_first: str = 'wrist') -> dict[str, np.ndarray]:
  """Computes the PCK curve of each alignment, for plots.

  Args:
    protocol: a protocol or its name.
    predictions: see `evaluate`.
    truth: see `evaluate`.
    thresholds_m: `[T]` metres.
    truth_first: see `evaluate`.
    predicted_first: see `evaluate`.

  Returns:
    `[T]` in 0..1 by alignment; alignments without a counted keypoint are left out.
  """
  protocol = get(protocol)
  result = {}
  for alignment in protocol.alignments if _have('joints_3d_m', predictions, truth) else ():
    errors, valid = errors_3d_m(protocol, alignment, predictions, truth, truth_first, predicted_first)
    if valid.any():
      result[alignment] = pck.pck_curve(errors, valid, thresholds_m)
  return result


def lines(protocol: Union[str, Protocol], predictions: Arrays, truth: Arrays) -> dict[str, Line]:
  """Computes the error against the distance to the training hands, for protocols by split and truth that tells it.

  Args:
    protocol: a protocol or its name.
    predictions: see `evaluate`.
    truth: see `evaluate`.

  Returns:
    Lines by the title of their panel; none for other protocols.
  """
  protocol = get(protocol)
  if not (protocol.by_split and 'id' in truth and _have('joints_3d_m', predictions, truth)):
    return {}
  errors, valid = errors_3d_m(protocol, protocol.alignments[-1], predictions, truth)
  found = bench.hands(errors, valid, truth['id'], truth.get('training_distance'))
  return {} if found.distance is None else bench.lines(found)


def _by_split(protocol: Protocol, alignment: str, errors_m: np.ndarray, valid: np.ndarray,
              truth: Arrays) -> dict[str, Measure]:
  """Returns the mean joint errors by split, and how they go with the distance to the training, where that is known."""
  if not (protocol.by_split and 'id' in truth):
    return {}
  found = bench.hands(errors_m, valid, truth['id'], truth.get('training_distance'))
  words = describe(protocol, alignment)
  by_distance = {} if found.distance is None else bench.correlations(found, words)
  return {**bench.mean_joint_errors(found, words), **by_distance}


def _of_both_hands(protocol: Protocol, predictions: Arrays, truth: Arrays) -> dict[str, Measure]:
  """Returns the place of the left hand relative to the right one, and the handedness, where they are known."""
  result = {}
  if protocol.both_hands and 'picture' in truth and _have('wrist_m', predictions, truth):
    labelled = np.asarray(truth.get('joints_3d_valid', np.ones([len(truth['wrist_m']), 1])))[:, WRIST] > 0
    result.update(interacting.mrrpe(predictions['wrist_m'], truth['wrist_m'], labelled, truth['picture'],
                                    truth['is_left'], f'given: {protocol.truth_used}'))
  if protocol.both_hands and _have('is_left', predictions, truth):
    result.update(interacting.handedness(predictions['is_left'], truth['is_left']))
  return result


def _have(name: str, predictions: Arrays, truth: Arrays) -> bool:
  """Whether predictions and truth both hold an array."""
  return name in predictions and name in truth


def _check_lengths(predictions: Arrays, truth: Arrays) -> None:
  """Raises a UserError unless all arrays have the same length."""
  lengths = {len(values) for values in (*predictions.values(), *truth.values())}
  if len(lengths) != 1:
    raise UserError(f'predictions and truth must have one row for each sample, got lengths {sorted(lengths)}')


def _usable(protocol: Protocol, alignment: str, valid: np.ndarray) -> np.ndarray:
  """Which samples `[N]` have the labels that the alignment needs, for labels valid `[N, 21]` bool."""
  if alignment.startswith('centroid'):
    return valid[:, list(protocol.keypoints)].sum(1) >= 2
  needed = () if alignment == 'none' or alignment in _PROCRUSTES else (protocol.root,)
  needed += protocol.bone if alignment == 'root_bone' else ()
  needed += (MIDDLE_MCP,) if protocol.first_keypoint == 'palm' and 0 in needed else ()
  # Procrustes needs three points, which determine a rotation.
  return valid[:, list(needed)].all(1) & ((alignment not in _PROCRUSTES) | (valid.sum(1) >= 3))


def _labelled(name: str, predictions: np.ndarray, truth: np.ndarray, labels: Arrays) -> tuple[np.ndarray, np.ndarray]:
  """Returns predictions and truth of the samples whose `<name>_valid` is above zero."""
  chosen = np.asarray(labels.get(f'{name}_valid', np.ones(len(truth)))) > 0
  return np.asarray(predictions)[chosen], np.asarray(truth)[chosen]


def _align(protocol: Protocol, alignment: str, points: np.ndarray, goal: np.ndarray, valid: np.ndarray) -> np.ndarray:
  """Aligns predictions p to the truth g, both `[N, K, 3]` in metres; r is the root, (a, b) the bone.

    root         p - p_r + g_r
    root_bone    s (p - p_r) + g_r,    s = |g_a - g_b| / |p_a - p_b|
    root_scale   s (p - p_r) + g_r,    s = sum_k (p_k - p_r) . (g_k - g_r) / sum_k |p_k - p_r|^2
    procrustes   s p R + t,            minimises sum_k |s p_k R + t - g_k|^2

  The sums are over the valid keypoints `[N, K]`.
  """
  if alignment == 'none':
    return points
  if alignment == 'root':
    return pose_error.align_root(points, goal, protocol.root)
  if alignment == 'root_bone':
    return pose_error.align_root_bone(points, goal, protocol.root, protocol.bone)
  if alignment == 'root_scale':
    return pose_error.align_root_scale(points, goal, protocol.root, valid)
  return pose_error.align_procrustes(points, goal, valid, mirror=_PROCRUSTES[alignment])


def describe(protocol: Protocol, alignment: str) -> str:
  """Describes in words the alignment, the counted keypoints and the parts of the truth that are given."""
  names = (protocol.first_keypoint, *skeletons.KEYPOINT_NAMES[1:])
  text = ALIGNMENTS[alignment].format(root=names[protocol.root], bone='-'.join(names[k] for k in protocol.bone))
  counted = f'{len(protocol.keypoints)} keypoints' if len(protocol.keypoints) == skeletons.NUM_KEYPOINTS else ', '.join(
      names[k] for k in protocol.keypoints)
  visible = ', visible ones only' if protocol.visible_only else ''
  return f'after {text}; {counted}{visible}; given: {protocol.truth_used}'
