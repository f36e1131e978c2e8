import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.hand import anatomy, hand_model, parameters
from dhpe_tf.tasks.hand.bench import axes

REGIONS = axes.regions()


def values(count=1, **changed):
  """Flat mean hands without objects, upright before the camera."""
  fields = {'shape': np.zeros([count, 10]), 'pose': np.zeros([count, 45]),
            'rotation': np.tile(parameters.upright('right'), (count, 1)), 'kind': np.full(count, 'none'),
            'half_sizes_m': np.zeros([count, 3])}
  return axes.Values(**{**fields, **changed})


def test_regions_are_told_apart():
  assert list(REGIONS.of('shape', values(3, shape=np.eye(3, 10) * [[2.4], [3], [4.1]]))) == [
      axes.TRAINING, axes.BETWEEN, axes.HELD_OUT]
  kinds = values(4, kind=np.array(['none', 'sphere', 'box', 'cylinder']))
  assert list(REGIONS.of('object', kinds)) == [axes.TRAINING] * 3 + [axes.HELD_OUT]


@pytest.mark.parametrize('gesture, region', [('victory', axes.HELD_OUT), ('fist', axes.TRAINING),
                                             ('flat', axes.TRAINING)])
def test_articulation_tells_bent_ring_and_little_fingers(gesture, region):
  pose = np.asarray(anatomy.gesture_pose(gesture, hand_model.load_hand_model()))[None]
  assert REGIONS.of('articulation', values(pose=pose))[0] == region


def test_view_is_the_angle_between_camera_and_palm():
  """A turn of the upright hand about its long axis by 180 degrees shows its other side."""
  one = values()
  first = float(-REGIONS.coordinate('view', one)[0])
  # In the camera's axes y is the hand's long axis: q_y(180 degrees) = (0, 0, 1, 0).
  w, x, y, z = one.rotation[0]
  other = values(rotation=np.array([[-y, z, w, -x]]))
  assert first + float(-REGIONS.coordinate('view', other)[0]) == pytest.approx(180, abs=1e-3)
  assert {REGIONS.of('view', one)[0], REGIONS.of('view', other)[0]} == {axes.TRAINING, axes.HELD_OUT}


def test_distances_are_to_the_nearest_hand_of_each_axis():
  seen = values(2, shape=np.eye(2, 10) * [[0], [2]], kind=np.array(['none', 'sphere']),
                half_sizes_m=np.array([[0, 0, 0], [.02] * 3]))
  asked = values(2, shape=np.eye(2, 10) * [[0], [1]], kind=np.array(['sphere', 'sphere']),
                 half_sizes_m=np.array([[.02] * 3, [.025] * 3]))
  found = axes.distances(asked, seen)
  np.testing.assert_allclose(found[0], 0, atol=1e-5)
  assert 0 < found[1, 0] < 10
  np.testing.assert_allclose(found[1, 1:], [0, 0, 5], atol=1e-5)


def test_regions_come_back_from_json_and_bad_ones_are_named():
  assert axes.from_json(REGIONS.as_json(), 'dataset.json') == REGIONS
  with pytest.raises(UserError, match='dataset.json: no regions of a generalisation bench'):
    axes.from_json({'shape': [1]}, 'dataset.json')
  with pytest.raises(UserError, match='bench.regions.view_deg'):
    axes.regions(view_deg=(30., 40.))
  with pytest.raises(UserError, match='leave one for training'):
    axes.regions(held_out_kinds=('sphere', 'box', 'cylinder'))


def test_records_without_axis_values_are_named():
  record = {'image/id': [b'a.jpg'], 'hand/has_parameters': [1.], 'hand/rotation': np.zeros([1, 4]),
            'object/kind': [b'none'], 'hand/shape': np.zeros([1, 10]), 'hand/pose': np.zeros([1, 45]),
            'object/half_sizes_m': np.zeros([1, 3])}
  with pytest.raises(UserError, match='a.jpg: the record does not tell'):
    axes.of_records(record)
