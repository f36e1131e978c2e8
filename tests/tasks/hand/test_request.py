import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.geometry import crops
from dhpe_tf.tasks.hand import label_lines
from dhpe_tf.tasks.hand import request as requests

PICTURE = np.zeros([40, 60, 3], np.uint8)


@pytest.mark.parametrize('far, message', [(3e6, 'a.png: the box .* more than 20 times as large as the picture'),
                                          (-3e3, 'a.png: the box .* lies outside the picture')])
def test_labelled_joints_far_from_the_picture_are_refused(far, message):
  joints = np.random.RandomState(0).uniform(5, 30, [21, 2])
  label = label_lines.check({'place': 'l.jsonl:1', 'image': 'a.png', 'hand': 'right', 'joints_2d_px': joints.tolist()})
  assert requests.with_joints(PICTURE, 'a.png', None, label).crop.side_px.shape == (1,)
  changed = joints + far if far < 0 else joints * far
  label = label_lines.check({**label, 'joints_2d_px': changed.tolist()})
  with pytest.raises(UserError, match=message):
    requests.with_joints(PICTURE, 'a.png', None, label)


def test_some_hands_of_a_request_in_a_given_order():
  crop = crops.Crop(tf.constant([[1., 2.], [3., 4.], [5., 6.]]), tf.constant([10., 20., 30.]))
  request = requests.Request(PICTURE, 'a.png', crop, tf.constant([.1, .2, .3]), tf.constant([True, False, True]),
                             intrinsics=(1., 1., 0., 0.))
  chosen = request.of([2, 1])
  assert chosen.crop.center_px.numpy().tolist() == [[5., 6.], [3., 4.]]
  assert chosen.crop.side_px.numpy().tolist() == [30., 20.]
  assert chosen.is_left.numpy().tolist() == [True, False] and chosen.turn.numpy()[0] == np.float32(.3)
  assert chosen.intrinsics == (1., 1., 0., 0.) and chosen.picture is PICTURE
  np.testing.assert_array_equal(request.of([0, 1, 2]).crop.center_px, crop.center_px)
