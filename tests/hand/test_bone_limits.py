"""Bounds of bones and joints: estimated, pruned, stored, and refused where they are damaged."""
import json

import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.hand import bone_geometry, bone_limits
from dhpe_tf.hand.anatomy import sample_poses
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.tasks.task import write_json


@pytest.fixture(scope='module')
def joints():
  model = load_hand_model()
  return ManoLayer(model)(sample_poses(300, 3, model), np.zeros([300, 10], np.float32))['keypoints'].numpy()


def inside(points, corners):
  """Which points [N, 2] lie in a convex polygon [M, 2], counter-clockwise, or on its border."""
  edges = np.roll(corners, -1, 0) - corners
  away = points[:, None] - corners
  return (edges[:, 0] * away[..., 1] - edges[:, 1] * away[..., 0] >= -1e-9).all(1)


def test_the_hull_of_a_square_is_the_square():
  points = np.random.RandomState(0).uniform(size=[500, 2])
  corners = bone_limits.hull(np.concatenate([points, [[0, 0], [1, 0], [1, 1], [0, 1]]]), 1.)
  assert sorted(map(tuple, corners)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
  assert np.linalg.det([corners[1] - corners[0], corners[2] - corners[1]]) > 0


@pytest.mark.parametrize('kept', [1., 0.99, 0.9])
def test_a_hull_keeps_its_share_with_fewer_corners(kept):
  points = np.random.RandomState(1).normal(size=[4000, 2])
  corners = bone_limits.hull(points, kept)
  assert inside(points, corners).mean() >= kept
  assert len(corners) <= len(bone_limits.hull(points, 1.))
  assert kept == 1. or len(corners) < 12


@pytest.mark.parametrize('direction', [(1., 0.), (0.3, 0.7), (0., 0.)])
def test_a_joint_that_bends_one_way_only_or_not_at_all_has_a_polygon(direction):
  points = np.linspace(0, 1, 50)[:, None] * np.array(direction)
  assert inside(points, bone_limits.hull(points, 1.)).all()


def test_limits_hold_the_hands_they_are_made_of(joints):
  limits, found = bone_limits.estimate(joints, 1.), bone_geometry.measure(joints)
  for name in ('lengths', 'curvatures', 'spreads'):
    low, high = getattr(limits, name).T
    assert np.all((getattr(found, name) >= low - 1e-6) & (getattr(found, name) <= high + 1e-6))
  for k, corners in enumerate(limits.polygons):
    assert inside(found.bends.numpy()[:, k], corners).all()


def test_a_file_holds_the_limits(joints, tmp_path):
  limits, path = bone_limits.estimate(joints), str(tmp_path / 'limits.json')
  write_json(path, limits.to_json())
  again = bone_limits.read(path)
  np.testing.assert_allclose(again.lengths, limits.lengths, atol=2e-5)
  for one, other in zip(again.polygons, limits.polygons):
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_file_of_few_hands_in_several_views_can_be_read(joints, tmp_path):
  # Joints that bend one way only have narrow polygons, whose corners rounding can put inside.
  noise = np.random.RandomState(0).normal(0, 1e-6, [4, 40, 21, 3])
  limits, path = bone_limits.estimate((joints[:40] + noise).reshape(-1, 21, 3)), str(tmp_path / 'limits.json')
  write_json(path, limits.to_json())
  for one, other in zip(bone_limits.read(path).polygons, limits.polygons):
    assert 3 <= len(one) <= len(other)
    edges, away = np.roll(one, -1, 0) - one, other[:, None] - one
    beyond = (edges[:, 1] * away[..., 0] - edges[:, 0] * away[..., 1]) / np.linalg.norm(edges, axis=1)
    assert beyond.max() < 2e-5, 'no corner lies outside by more than rounding'


def test_corners_on_a_line_up_to_rounding_are_left_out():
  corners = np.array([[0., 0.], [0.5, -1e-7], [1., 0.], [1., 1.], [0.5, 1 + 1e-7], [0., 1.]])
  np.testing.assert_array_equal(bone_limits._rounded(corners), [[0, 0], [1, 0], [1, 1], [0, 1]])


def test_those_of_the_built_in_hand_hold_its_hands(joints):
  limits, found = bone_limits.load(), bone_geometry.measure(joints)
  shares = [inside(found.bends.numpy()[:, k], corners).mean() for k, corners in enumerate(limits.polygons)]
  assert min(shares) > 0.98


def test_controls_widen_and_exchange():
  limits = bone_limits.load()
  wide = limits.widened(2.)
  np.testing.assert_allclose(np.ptp(wide.lengths, axis=1), 2 * np.ptp(limits.lengths, axis=1))
  for one, other in zip(wide.polygons, limits.polygons):
    np.testing.assert_allclose(np.ptp(one, axis=0), 2 * np.ptp(other, axis=0))
  other = limits.of_other_fingers()
  np.testing.assert_array_equal(other.lengths[4:8], limits.lengths[:4])
  np.testing.assert_array_equal(other.polygons[3], limits.polygons[0])


@pytest.mark.parametrize('field, value', [
    ('lengths', [[0, 1]]), ('curvatures', [[1, 0]] * 4), ('spreads', 'wide'), ('spreads', [[0, float('nan')]] * 4),
    ('bends', {}), ('bends', {'index1': [[0, 0]]})])
def test_damaged_files_are_refused_by_field(field, value, tmp_path):
  path = tmp_path / 'limits.json'
  content = bone_limits.load().to_json()
  content[field] = {**content['bends'], **value} if value and field == 'bends' else value
  path.write_text(json.dumps(content))
  with pytest.raises(UserError, match=f'limits.json: {field}'):
    bone_limits.read(str(path))


def test_a_polygon_that_turns_the_other_way_is_refused(tmp_path):
  content = bone_limits.load().to_json()
  content['bends']['ring2'].reverse()
  (tmp_path / 'limits.json').write_text(json.dumps(content))
  with pytest.raises(UserError, match='bends.ring2 must be .* counter-clockwise'):
    bone_limits.read(str(tmp_path / 'limits.json'))


def test_too_few_hands_are_refused(joints):
  with pytest.raises(UserError, match='at least 3 hands'):
    bone_limits.estimate(joints[:2])
