import json
import os

import numpy as np
import pytest
from PIL import Image

from dhpe_tf.errors import UserError
from dhpe_tf.inference import predictor
from dhpe_tf.tasks.hand import prediction
from dhpe_tf.tasks.hand import request as requests
from tests.serving import toy


@pytest.fixture(scope='module')
def ready():
  return predictor.from_method(toy.build_toy_model())


def test_results_follow_the_hand_in_a_picture_that_is_not_square(ready):
  one, other = (toy.predict(ready, toy.bright_picture(left=left), box=(left - 14, -4, 40, 40)).values
                for left in (20, 47))
  np.testing.assert_allclose(other['joints_2d_px'], one['joints_2d_px'] + [27., 0.], atol=0.1)
  np.testing.assert_allclose(other['vertices_m'], one['vertices_m'], atol=1e-4)


def test_a_mirrored_picture_of_the_other_hand_gives_the_mirrored_result(ready):
  picture = toy.bright_picture()
  right = toy.predict(ready, picture, box=(10, 5, 30, 30))
  left = toy.predict(ready, picture[:, ::-1], box=(90 - 10 - 30, 5, 30, 30), side='left')
  mirror = np.array([-1., 1.])
  np.testing.assert_allclose(left.values['joints_2d_px'], right.values['joints_2d_px'] * mirror + [90, 0], atol=1e-3)
  np.testing.assert_allclose(left.values['vertices_m'], right.values['vertices_m'] * [-1, 1, 1], atol=1e-6)
  np.testing.assert_array_equal(left.faces, right.faces[:, ::-1])
  np.testing.assert_allclose(left.values['pose'], right.values['pose'], atol=1e-6)


def test_with_intrinsics_results_stand_before_the_camera(ready):
  values = toy.predict(ready, toy.bright_picture(), intrinsics=(100., 100., 45., 30.)).values
  pixels = values['joints_3d_m'][9, :2] / values['joints_3d_m'][9, 2] * 100. + [45., 30.]
  np.testing.assert_allclose(pixels, values['joints_2d_px'][9], atol=1e-3)


@pytest.mark.parametrize('box, message', [
    ((90, 0, 5, 5), 'lies outside the picture, which is 90 x 60'), ((0, -9, 5, 9), 'lies outside'),
    ((0, 0, 0, 5), 'is empty'), ((0, 0, float('nan'), 5), 'is empty')])
def test_bad_boxes(box, message):
  with pytest.raises(UserError, match=f'a.jpg: the box .*{message}'):
    requests.check_box(box, (60, 90), 'a.jpg')


def test_the_three_files(ready, tmp_path):
  hand = hand_found = toy.predict(ready, toy.bright_picture(), (5, 6, 30, 20), 'left')
  request = requests.in_box(toy.bright_picture(), 'a/photo.of.hand.png', (5., 6., 30., 20.), True)
  stem = str(tmp_path / 'out' / 'photo.of.hand')
  written = prediction.write(request, [hand, hand], stem, ready.card)
  assert [path.removeprefix(stem) for path in written] == ['_overlay.jpg', '.obj', '_2.obj', '.json']
  assert {path.name for path in (tmp_path / 'out').iterdir()} == {os.path.basename(path) for path in written}
  found = json.loads((tmp_path / 'out' / 'photo.of.hand.json').read_text())
  assert list(found) == ['image', 'size', 'joint_order', 'hands']
  assert found['image'] == 'photo.of.hand.png' and found['size'] == [60, 90] and len(found['joint_order']) == 21
  hand, again = found['hands']
  assert hand == again
  assert set(hand) == {'side', 'box', 'turn', 'joints_2d_px', 'joints_3d_m', 'vertices_m', 'pose', 'shape', 'camera',
                       'score', 'units_per_metre'}
  assert hand['side'] == 'left' and hand['box'] == [5, 1, 30, 30] and 0 <= hand['score'] <= 1
  shapes = {'joints_2d_px': (21, 2), 'joints_3d_m': (21, 3), 'vertices_m': (4, 3), 'pose': (45,), 'camera': (8,)}
  assert {name: np.shape(hand[name]) for name in shapes} == shapes
  with Image.open(f'{stem}_overlay.jpg') as overlay:
    assert overlay.size == (90, 60)
  assert len(prediction.write(request, [hand_found], str(tmp_path / 'plain'), ready.card, with_overlay=False)) == 2


def test_known_joints_are_taken_to_the_crop_of_a_right_hand():
  joints = np.tile(np.arange(21.)[:, None], [1, 2]) + 10
  request = requests.in_box(toy.bright_picture(), 'a.png', (10., 10., 20., 20.), True)
  request = request._replace(joints_px=joints[None], joints_valid=np.ones([1, 21]))
  specs = {'joints_2d': None, 'joints_2d_weight': None, 'mask': None, 'mask_weight': None}
  found = prediction.inputs(request, specs)
  assert set(found) == set(specs)
  # The left edge of the crop of a left hand is the right one after mirroring.
  np.testing.assert_allclose(found['joints_2d'][0, 0], [1., -1.], atol=1e-6)
  assert float(found['mask_weight'][0]) == 0.
  with pytest.raises(UserError, match='takes 2D joints; give them by --joints'):
    prediction.inputs(request._replace(joints_px=None), specs)


def test_the_camera_of_a_left_hand_is_that_of_the_mirrored_picture():
  picture = toy.bright_picture()
  width = picture.shape[1]
  request = requests.in_box(picture, 'a.png', (10., 10., 20., 20.), True)._replace(intrinsics=(50., 60., 12., 14.))
  specs = dict.fromkeys(('intrinsics', 'crop_center_px', 'crop_side_px', 'crop_turn'))
  found = prediction.inputs(request, specs)
  assert set(found) == set(specs)
  np.testing.assert_allclose(found['intrinsics'][0], [[50, 0, width - 12], [0, 60, 14], [0, 0, 1]])
  np.testing.assert_allclose(found['crop_center_px'], [[width - 20, 20]])
  right = prediction.inputs(request._replace(is_left=~request.is_left), specs)
  np.testing.assert_allclose(right['intrinsics'][0, 0, 2], 12)
  np.testing.assert_allclose(right['crop_center_px'], [[20, 20]])
  assert not np.any(prediction.inputs(request._replace(intrinsics=None), specs)['intrinsics'])


@pytest.mark.parametrize('hand_model', [{}, {'faces': 'x'}, {'faces': [0, 1, 2]}, {'faces': [[0, 1, 2], [0]]},
                                        {'faces': [[10**20, 0, 0]]}, {'faces': [[0, 1, 2], [0, 3, 4]]}])
def test_a_model_card_without_triangles_is_named(hand_model):
  with pytest.raises(UserError, match='^model_card.json: hand_model.faces are no mesh.*; export the model again'):
    prediction.faces_of({'hand_model': hand_model})


@pytest.mark.parametrize('card, fault', [({}, 'is missing'), ({'joint_order': 3}, 'is no list of names')])
def test_a_model_card_without_the_order_of_joints_is_named(card, fault):
  with pytest.raises(UserError, match=f'^model_card.json: .*joint_order.* {fault}; export the model again'):
    prediction._joint_order(card)
