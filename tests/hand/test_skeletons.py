import numpy as np
import pytest

from dhpe_tf.hand import skeletons


def test_keypoints_and_bones():
  assert skeletons.KEYPOINT_NAMES[:6] == ('wrist', 'thumb1', 'thumb2', 'thumb3', 'thumb4', 'index1')
  assert skeletons.KEYPOINT_NAMES[skeletons.ROOT] == 'middle1'
  assert len(skeletons.BONES) == 20
  tips = [skeletons.KEYPOINT_NAMES[tip] for tip in skeletons.TIPS]
  assert tips == ['thumb4', 'index4', 'middle4', 'ring4', 'little4']
  for parent, child in skeletons.BONES:
    names = skeletons.KEYPOINT_NAMES[parent], skeletons.KEYPOINT_NAMES[child]
    assert names[0] == 'wrist' or names[0][:-1] == names[1][:-1]


def test_mano_joints():
  assert skeletons.MANO_JOINT_NAMES[1:7] == ('index1', 'index2', 'index3', 'middle1', 'middle2', 'middle3')
  assert skeletons.MANO_JOINT_NAMES[7] == 'little1' and skeletons.MANO_JOINT_NAMES[13] == 'thumb1'
  assert skeletons.PARENTS == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)


# As other projects write them down.
KNOWN = {
    ('rhd', 'dhpe'): [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17],
    ('ho3d', 'dhpe'): [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20],
    ('rhd', 'mano16'): [0, 8, 7, 6, 12, 11, 10, 20, 19, 18, 16, 15, 14, 4, 3, 2],
    ('interhand', 'dhpe'): [20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16],
    ('freihand', 'mediapipe'): list(range(21)),
    ('dhpe', 'dexter_object'): [4, 8, 12, 16, 20],
}


@pytest.mark.parametrize('orders, expected', KNOWN.items(), ids=str)
def test_known_permutations(orders, expected):
  assert skeletons.permutation(*orders).tolist() == expected


def test_stb_fingers_convert_and_its_palm_is_no_wrist():
  fingers = [skeletons.ORDERS['stb'].index(name) for name in skeletons.KEYPOINT_NAMES[1:]]
  assert fingers == [17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4]
  with pytest.raises(ValueError, match="'stb' has no wrist"):
    skeletons.permutation('stb', 'dhpe')


def test_there_and_back():
  joints = np.random.default_rng(0).normal(size=[2, 21, 3])
  for order in ('rhd', 'ho3d', 'interhand', 'openpose'):
    there = joints[:, skeletons.permutation('dhpe', order)]
    np.testing.assert_array_equal(there[:, skeletons.permutation(order, 'dhpe')], joints)


def test_unknown_order_lists_the_known_ones():
  with pytest.raises(ValueError, match='dexter_object.*mediapipe'):
    skeletons.permutation('coco', 'dhpe')
