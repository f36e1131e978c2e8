import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.hand.hand_model import load_hand_model, mirror_pose, mirrored
from dhpe_tf.hand.mano_layer import ManoLayer
from tests.gradients import assert_gradients_match
from tests.hand import mano_files, mano_reference
from tests.hand.model_fixture import mano_like_model, random_inputs

NAMES = ('vertices', 'joints', 'keypoints')


def _per_axis_keypoints():
  """A model whose keypoint regressors for x, y and z differ, as the paper allows."""
  model = mano_like_model()
  regressor = model.keypoint_regressor.copy()
  regressor[1] = np.roll(regressor[1], 3, axis=1)
  return dataclasses.replace(model, keypoint_regressor=regressor)


MODELS = {'built_in': load_hand_model, 'left': lambda: load_hand_model(side='left'), 'mano_like': mano_like_model,
          'per_axis_keypoints': _per_axis_keypoints}


@pytest.fixture(params=MODELS)
def model(request):
  return MODELS[request.param]()


@pytest.mark.parametrize('dtype, tolerance', [('float64', 1e-13), ('float32', 1e-6)])
def test_equals_the_reference_in_the_models_frame(model, dtype, tolerance):
  pose, shape, _ = random_inputs(4)
  outputs = ManoLayer(model, dtype=dtype)(pose, shape)
  for i in range(4):
    for name, expected in zip(NAMES, mano_reference.pose_hand(model, pose[i], shape[i])):
      np.testing.assert_allclose(outputs[name][i], expected, atol=tolerance, err_msg=name)


def test_equals_the_reference_with_a_camera(model):
  pose, shape, camera = random_inputs(4, seed=1)
  outputs = ManoLayer(model, dtype='float64')(pose, shape, camera)
  for i in range(4):
    for name, expected in zip(NAMES, mano_reference.pose_hand(model, pose[i], shape[i], camera[i])):
      np.testing.assert_allclose(outputs[name][i], expected, atol=1e-12, err_msg=name)


@pytest.mark.parametrize('jit', [False, True])
def test_any_batch_size_in_a_graph(jit):
  layer = ManoLayer(mano_like_model())
  spec = [tf.TensorSpec([None, n], tf.float32) for n in (45, 10, 8)]
  run = tf.function(layer, input_signature=spec, jit_compile=jit)
  for count in (1, 3):
    inputs = [x.astype(np.float32) for x in random_inputs(count)]
    outputs, expected = run(*inputs), layer(*inputs)
    for name in NAMES:
      assert outputs[name].shape == expected[name].shape
      np.testing.assert_allclose(outputs[name], expected[name], atol=2e-5, err_msg=name)
  assert run.get_concrete_function().structured_outputs['vertices'].shape.as_list() == [None, 778, 3]


def test_an_empty_batch_gives_an_empty_answer():
  outputs = ManoLayer()(np.zeros([0, 45], np.float32), np.zeros([0, 10], np.float32))
  assert outputs['vertices'].shape == [0, 778, 3]
  assert outputs['keypoints'].shape == [0, 21, 3]


def test_a_batch_of_two_is_two_batches_of_one(model):
  layer = ManoLayer(model)
  inputs = [x.astype(np.float32) for x in random_inputs(2)]
  both = layer(*inputs)
  for i in range(2):
    one = layer(*[x[i:i + 1] for x in inputs])
    for name in NAMES:
      np.testing.assert_allclose(one[name][0], both[name][i], atol=2e-6, err_msg=name)


@pytest.mark.parametrize('spread', [0.0, 0.5])
def test_gradients(spread):
  layer = ManoLayer(mano_like_model(), dtype='float64')
  assert_gradients_match(lambda *x: layer(*x), random_inputs(2, spread=spread))


def test_gradients_without_camera_and_with_a_mean_pose():
  layer = ManoLayer(_per_axis_keypoints(), flat_hand_mean=False, pca_components=6, dtype='float64')
  pose, shape, camera = random_inputs(2)
  assert_gradients_match(lambda p, s: layer(p, s), [pose[:, :6], shape])
  assert_gradients_match(lambda p, s, c: layer(p, s, c)['keypoints'], [pose[:, :6], shape, camera])


def test_turning_the_camera_turns_the_hand():
  layer = ManoLayer(dtype='float64')
  pose, shape, camera = random_inputs(3)
  camera[:, 5:] = 0
  turn = mano_reference.quaternion_matrix([0.3, -0.5, 0.2, 0.8])
  turned = camera.copy()
  for i in range(3):
    w, x, y, z = camera[i, :4]
    left = np.array([0.3, -0.5, 0.2, 0.8])
    product = [[left[0], -left[1], -left[2], -left[3]], [left[1], left[0], -left[3], left[2]],
               [left[2], left[3], left[0], -left[1]], [left[3], -left[2], left[1], left[0]]]
    turned[i, :4] = np.array(product) @ [w, x, y, z]
  before, after = layer(pose, shape, camera), layer(pose, shape, turned)
  for name in NAMES:
    np.testing.assert_allclose(after[name], before[name].numpy() @ turn.T, atol=1e-12)


def test_left_hand_is_the_mirror_image():
  right = mano_like_model()
  pose, shape, _ = random_inputs(3)
  one = ManoLayer(right, dtype='float64')(pose, shape)
  other = ManoLayer(mirrored(right), dtype='float64')(mirror_pose(pose), shape)
  for name in NAMES:
    np.testing.assert_allclose(other[name], one[name].numpy() * [-1, 1, 1], atol=1e-12, err_msg=name)


def test_mean_pose_and_principal_components():
  model = mano_like_model()
  pose, shape, _ = random_inputs(2)
  expected = ManoLayer(model, dtype='float64')(pose[:, :12] @ model.hands_components[:12] + model.hands_mean, shape)
  layer = ManoLayer(model, flat_hand_mean=False, pca_components=12, dtype='float64')
  np.testing.assert_allclose(layer(pose[:, :12], shape)['vertices'], expected['vertices'], atol=1e-13)
  np.testing.assert_allclose(layer.full_pose(tf.zeros([1, 12], tf.float64))[0], model.hands_mean)
  with pytest.raises(ValueError, match='pca_components'):
    ManoLayer(model, pca_components=46)


def test_wrong_sizes_are_refused():
  with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
    ManoLayer()(np.zeros([1, 48], np.float32), np.zeros([1, 10], np.float32))
  with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
    ManoLayer()(np.zeros([1, 45], np.float32), np.zeros([1, 8], np.float32))


def test_saved_model_needs_only_tensorflow(tmp_path):
  inputs = [tf.keras.Input([n]) for n in (45, 10, 8)]
  model = tf.keras.Model(inputs, ManoLayer()(*inputs))
  values = [x.astype(np.float32) for x in random_inputs(3)]
  expected = model(values)
  model.save(tmp_path / 'model')
  restored = tf.saved_model.load(str(tmp_path / 'model'))
  outputs = restored(values)
  for name in NAMES:
    np.testing.assert_allclose(outputs[name], expected[name], atol=2e-6)
  assert not model.trainable_variables


def test_config_round_trip():
  layer = ManoLayer(load_hand_model(side='left'), flat_hand_mean=False, pca_components=9)
  again = ManoLayer.from_config(layer.get_config())
  assert (again.hand_model.side, again.flat_hand_mean, again.pca_components) == ('left', False, 9)
  assert again.compute_dtype == 'float32'


def test_config_keeps_the_fingertips_of_a_file(tmp_path):
  mano_files.write_pickle(tmp_path / 'MANO_RIGHT.pkl', load_hand_model())
  layer = ManoLayer(load_hand_model(tmp_path / 'MANO_RIGHT.pkl', tip_vertices='freihand'))
  usual = ManoLayer(load_hand_model(tmp_path / 'MANO_RIGHT.pkl'))
  again = ManoLayer.from_config(json.loads(json.dumps(layer.get_config())))
  pose, shape = tf.zeros([1, 45]), tf.zeros([1, 10])
  np.testing.assert_array_equal(again(pose, shape)['keypoints'], layer(pose, shape)['keypoints'])
  assert np.abs(layer(pose, shape)['keypoints'] - usual(pose, shape)['keypoints']).max() > 1e-3


def test_16_bit_policy_does_not_touch_the_hand():
  tf.keras.mixed_precision.set_global_policy('mixed_float16')
  try:
    outputs = ManoLayer()(tf.zeros([1, 45], tf.float16), tf.zeros([1, 10], tf.float16))
  finally:
    tf.keras.mixed_precision.set_global_policy('float32')
  assert outputs['vertices'].dtype == tf.float32
