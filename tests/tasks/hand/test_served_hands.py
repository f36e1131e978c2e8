"""All hands of encoded pictures: as `predict` finds them, whatever else is in the batch."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.data.image_files import encode
from dhpe_tf.methods.dhpe.landmarks import model
from dhpe_tf.tasks.hand import request as requests
from dhpe_tf.tasks.hand import served_hands, status
from dhpe_tf.tasks.hand.task import HandTask
from tests.finding.hands import GROUND, rendered

BLANK = encode(np.full([64, 96, 3], 127, np.uint8), 'PNG')


@pytest.fixture(scope='module')
def built():
  return model.landmark_model(HandTask())


@pytest.fixture(scope='module')
def predict_hands(built):
  signature = built.signatures()[served_hands.NAME]
  names = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in signature.specs.items()}
  function = tf.function(signature.function, autograph=False).get_concrete_function(**names)

  def ask(images, **given):
    sizes = {'boxes': [4], 'sides': [], 'intrinsics': [4]}
    zeros = {name: tf.zeros([len(images), *size], signature.specs[name].dtype) for name, size in sizes.items()}
    known = {name: tf.constant(value, signature.specs[name].dtype) for name, value in given.items()}
    found = function(images=tf.constant(images), **{**zeros, **known})
    return {name: value.numpy() for name, value in found.items()}
  return ask


@pytest.fixture(scope='module')
def clear(built):
  """The rendered picture whose hand is found with the highest presence."""
  finder = built._finder
  return max(rendered()[0], key=lambda picture: max(finder.find(tf.constant(picture))[0].presence, default=0.))


@pytest.fixture(scope='module')
def two(clear):
  """A hand and its mirror image, side by side on a plain ground."""
  ground = np.full((clear.shape[0], 40, 3), GROUND, np.uint8)
  return np.concatenate([clear, ground, clear[:, ::-1]], axis=1)


def predicted(built, picture):
  """The hands that `predict` finds in a picture, best first."""
  request = requests.found(picture, 'a picture', requests.find(picture, 'a picture', built._finder), upright=True)
  answer = built.task.served(built.answer(built.task.inputs(request, built.input_specs)))
  return built.task.result(request, answer, built.task.describe())


def png(picture):
  return tf.io.encode_png(picture).numpy()


def test_all_hands_are_found_as_by_predict(built, predict_hands, two):
  wanted = predicted(built, two)
  assert sorted(hand.side for hand in wanted) == ['left', 'right']
  found = predict_hands([BLANK, png(two)])
  np.testing.assert_array_equal(found['count'], [0, 2])
  np.testing.assert_array_equal(found['status'], [0, 0])
  for number, hand in enumerate(wanted):
    assert found['is_left'][1, number] == (hand.side == 'left')
    np.testing.assert_allclose(found['joints_2d_px'][1, number], hand.values['joints_2d_px'], atol=0.05)
    np.testing.assert_allclose(found['vertices_m'][1, number], hand.values['vertices_m'], atol=1e-4)
    np.testing.assert_allclose(found['boxes'][1, number], hand.box, atol=0.05)
  assert not any(np.any(value[0]) for value in found.values())


def test_methods_that_see_hands_as_they_are_get_squares_around_the_landmarks(built, clear):
  task = HandTask()
  crops_seen = []

  def answer(inputs):
    crops_seen.append(inputs['image'])
    return task.served({'joints_3d': tf.zeros([tf.shape(inputs['image'])[0], 21, 3]),
                        'units_per_metre': tf.ones([tf.shape(inputs['image'])[0]])})
  signature = served_hands.signature(answer, 64, built._finder, upright=False)
  found = signature.function(images=tf.constant([png(clear)]), boxes=tf.zeros([1, 4]), sides=tf.zeros([1], tf.int32),
                             intrinsics=tf.zeros([1, 4]))
  hands, _ = built._finder.find(tf.constant(clear))
  request = requests.found(clear, 'a picture', hands, upright=False)
  np.testing.assert_allclose(crops_seen[0], task.inputs(request, {'image': tf.TensorSpec([None, 64, 64, 3])})['image'],
                             atol=1e-5)
  assert not np.any(found['turn']) and found['count'][0] == 1
  np.testing.assert_allclose(found['joints_2d_px'][0, 0, 0], request.crop.center_px[0], atol=1e-3)


def test_no_picture_with_a_hand(predict_hands):
  found = predict_hands([BLANK, BLANK])
  np.testing.assert_array_equal(found['count'], [0, 0])
  assert found['vertices_m'].shape == (2, 0, 778, 3)


def test_a_box_and_a_side_override(predict_hands, clear, two):
  box = [clear.shape[1] + 40., 0., clear.shape[1], clear.shape[0]]
  found = predict_hands([png(two)] * 2, boxes=[box, box], sides=[served_hands.AS_FOUND, served_hands.LEFT])
  np.testing.assert_array_equal(found['count'], [1, 1])
  both = predict_hands([png(two)])
  mirrored = int(np.argmax(both['joints_2d_px'][0, :, :, 0].mean(axis=1)))
  np.testing.assert_allclose(found['joints_2d_px'][0, 0], both['joints_2d_px'][0, mirrored], atol=8.)
  assert found['is_left'][1, 0] and found['is_left'][0, 0] == both['is_left'][0, mirrored]
  other = predict_hands([png(two)], sides=[served_hands.RIGHT])
  assert not np.any(other['is_left'])


def test_a_known_camera_places_the_hand_where_it_is_seen(predict_hands, clear):
  height, width = clear.shape[:2]
  camera = np.array([1.2 * width, 1.1 * width, width / 2, height / 2])
  found = predict_hands([png(clear)] * 2, intrinsics=[camera, np.zeros(4)])
  joints_m = found['joints_3d_camera_m'][0, 0]
  root_px = camera[:2] * joints_m[9, :2] / joints_m[9, 2] + camera[2:]
  np.testing.assert_allclose(root_px, found['joints_2d_px'][0, 0, 9], atol=1e-2)
  assert joints_m[9, 2] > 0.1
  assert not np.any(found['joints_3d_camera_m'][1]) and found['count'][1] == 1


@pytest.mark.parametrize('data, given, code', [
    (b'no picture', {}, 1), (None, {'boxes': [np.nan, 0, 9, 9]}, status.BAD_BOX),
    (None, {'boxes': [0, 0, 1e6, 1e6]}, status.BAD_BOX), (None, {'sides': 3}, status.BAD_SIDE),
    (None, {'sides': -1}, status.BAD_SIDE), (None, {'intrinsics': [0, 300, 1, 1]}, status.BAD_CAMERA),
    (None, {'intrinsics': [np.inf, 300, 1, 1]}, status.BAD_CAMERA)])
def test_a_bad_row_is_marked_and_the_others_are_answered(predict_hands, clear, data, given, code):
  good = png(clear)
  zeros = {'boxes': [0., 0., 0., 0.], 'sides': 0, 'intrinsics': [0., 0., 0., 0.]}
  found = predict_hands([good, data or good, good], **{name: [zeros[name], value, zeros[name]]
                                                      for name, value in given.items()})
  alone = predict_hands([good])
  np.testing.assert_array_equal(found['status'], [0, code, 0])
  np.testing.assert_array_equal(found['count'], [1, 0, 1])
  np.testing.assert_allclose(found['joints_2d_px'][[0, 2]], np.repeat(alone['joints_2d_px'], 2, axis=0), atol=1e-2)
  assert not any(np.any(value[1]) for name, value in found.items() if name != 'status')
