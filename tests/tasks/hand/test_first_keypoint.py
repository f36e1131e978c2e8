import json

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand import first_keypoint

INTRINSICS = np.array([[600., 0, 320], [0, 610, 240], [0, 0, 1]])


def _record(known: bool = True):
  """A record whose keypoint 0 is the palm, and the wrist that it was made of."""
  joints = np.random.default_rng(0).normal(size=[21, 3]) * .05 + [0, 0, .5]
  wrist = joints[0].copy()
  joints[0] = (joints[0] + joints[9]) / 2
  pixels = joints @ INTRINSICS.T
  record = {'hand/joints_3d_m': joints, 'hand/joints_2d_px': pixels[:, :2] / pixels[:, 2:],
            'hand/joints_3d_valid': np.ones(21), 'hand/joints_2d_valid': np.ones(21),
            'camera/intrinsics': INTRINSICS if known else np.zeros([3, 3])}
  return {name: tf.constant(value) for name, value in record.items()}, wrist


def test_wrist_comes_back():
  record, wrist = _record()
  result = first_keypoint.palm_to_wrist(record)
  np.testing.assert_allclose(result['hand/joints_3d_m'][0], wrist, atol=1e-12)
  seen = INTRINSICS @ wrist
  np.testing.assert_allclose(result['hand/joints_2d_px'][0], seen[:2] / seen[2], atol=1e-9)
  for name in ('hand/joints_3d_m', 'hand/joints_2d_px'):
    np.testing.assert_array_equal(result[name][1:], record[name][1:])


def test_without_camera_the_wrist_lies_beyond_the_palm_in_the_picture():
  record, _ = _record(known=False)
  pixels = record['hand/joints_2d_px'].numpy()
  np.testing.assert_allclose(first_keypoint.palm_to_wrist(record)['hand/joints_2d_px'][0], 2 * pixels[0] - pixels[9])


def test_wrist_needs_both_labels():
  record, _ = _record()
  record['hand/joints_3d_valid'] = tf.constant(np.arange(21) != 9, tf.float64)
  result = first_keypoint.palm_to_wrist(record)
  assert float(result['hand/joints_3d_valid'][0]) == 0 and float(result['hand/joints_2d_valid'][0]) == 1


@pytest.mark.parametrize('content, expected', [
    (None, 'wrist'), ({}, 'wrist'), ({'options': {'first_keypoint': 'palm'}}, 'palm'),
    ({'options': {'first_keypoint': 'wrist_ring'}}, 'wrist')])
def test_record_sets_say_what_they_label(tmp_path, content, expected):
  if content is not None:
    (tmp_path / 'dataset.json').write_text(json.dumps(content))
  assert first_keypoint.of_record_set(str(tmp_path)) == expected


def test_damaged_dataset_json(tmp_path):
  (tmp_path / 'dataset.json').write_text('{')
  with pytest.raises(UserError, match='dataset.json: not JSON .*convert the data again'):
    first_keypoint.of_record_set(str(tmp_path))
