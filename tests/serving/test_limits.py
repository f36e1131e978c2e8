"""What the graph of an export refuses, asked as TensorFlow Serving asks (C interface) and as Python asks."""
import gin
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from dhpe_tf.serving import exporter, limits, native_session
from dhpe_tf.tasks.task import Signature
from tests.data import headers as pictures_of
from tests.serving import toy
from tests.serving.test_exporter import encode


@pytest.fixture(scope='module', params=['c', 'python'])
def ask(request, toy_export):
  """(signature, inputs) -> outputs by name."""
  if request.param == 'c':
    return native_session.NativeSession(toy_export).run
  signatures = tf.saved_model.load(toy_export).signatures
  return lambda name, inputs: signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})


REFUSED = (ValueError, tf.errors.InvalidArgumentError)


def pictures(count=1, **changes):
  """Good inputs of predict_encoded, and what else is asked for."""
  data = encode(toy.bright_picture())
  return {'images': np.array([data] * count, object), 'boxes': np.tile(np.float32([[10, 5, 40, 30]]), [count, 1]),
          'is_left': np.zeros(count, bool), **changes}


@pytest.mark.parametrize('shape', [(16, 16, 3), (), (2, 8, 16, 3), (2, 16, 16, 4), (1, 2, 16, 16, 3), (0, 16, 16, 3)])
def test_other_shapes_are_refused_by_the_graph(ask, shape):
  with pytest.raises(REFUSED, match=r'images must have (the shape \[any, 16, 16, 3\]|from 1 to 256 rows), but has'):
    ask('serving_default', {'images': np.full(shape, .5, np.float32)})


def test_a_wrong_shape_without_unknown_sizes_is_refused_by_name(tmp_path):
  signature = Signature(lambda weights: {'twice': 2 * weights}, {'weights': tf.TensorSpec([7])})
  tf.saved_model.save(tf.Module(), str(tmp_path), signatures={'double': exporter._concrete(signature)})
  # Python compares such a shape itself.
  session = native_session.NativeSession(str(tmp_path))
  assert session.run('double', {'weights': np.ones(7, np.float32)})['twice'].tolist() == [2.] * 7
  with pytest.raises(REFUSED, match=r'weights.*shape \[7\]'):
    session.run('double', {'weights': np.ones(1, np.float32)})


def test_too_many_rows_are_refused(ask):
  with pytest.raises(REFUSED, match='images must have from 1 to 256 rows, but has'):
    ask('serving_default', {'images': np.zeros([257, 16, 16, 3], np.float32)})


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_what_is_not_finite_is_refused_by_name(ask, value):
  images = np.zeros([2, 16, 16, 3], np.float32)
  images[1, 3, 4, 0] = value
  with pytest.raises(REFUSED, match='images must hold finite numbers only'):
    ask('serving_default', {'images': images})
  with pytest.raises(REFUSED, match='boxes must hold finite numbers only'):
    ask('predict_encoded', pictures(boxes=np.float32([[0, 0, value, 10]])))


def test_results_that_are_not_finite_do_not_leave(ask):
  with pytest.raises(REFUSED, match='would not be finite for these inputs'):
    ask('serving_default', {'images': np.full([1, 16, 16, 3], 3e38, np.float32)})


@pytest.mark.parametrize('name, value', [('is_left', np.zeros(2, bool)), ('boxes', np.full([3, 4], 9, np.float32))])
def test_more_rows_of_one_input_than_of_another_are_refused(ask, name, value):
  with pytest.raises(REFUSED, match=f'{name} must have as many rows as images, but has'):
    ask('predict_encoded', pictures(**{name: value}))


def test_good_inputs_pass(ask):
  assert np.asarray(ask('serving_default', {'images': np.zeros([256, 16, 16, 3], np.float32)})['score']).shape == (256,)
  assert np.asarray(ask('predict_encoded', pictures(2))['vertices_m']).shape == (2, 4, 3)


def test_large_pictures_are_decoded_one_after_the_other(toy_export):
  saved = saved_model_pb2.SavedModel()
  with open(f'{toy_export}/saved_model.pb', 'rb') as file:
    saved.ParseFromString(file.read())
  loops = [node for function in saved.meta_graphs[0].graph_def.library.function for node in function.node_def
           if node.op in ('While', 'StatelessWhile')]
  assert loops and all(node.attr['parallel_iterations'].i == 1 for node in loops)


def test_limits_are_settings():
  gin.clear_config()  # an earlier test may have locked it
  gin.bind_parameter('serving.checked_inputs.most_rows', 2)
  gin.bind_parameter('serving.checked_inputs.most_numbers', 6)
  try:
    specs = {'rows': tf.TensorSpec([None]), 'picture': tf.TensorSpec([None, 3])}
    limits.checked_inputs({'rows': tf.zeros([2]), 'picture': tf.zeros([2, 3])}, specs, ('rows',))
    with pytest.raises(REFUSED, match='rows must have from 1 to 2 rows'):
      limits.checked_inputs({'rows': tf.zeros([3]), 'picture': tf.zeros([2, 3])}, specs, ('rows',))
    with pytest.raises(REFUSED, match='picture must have at most 6 numbers'):
      limits.checked_inputs({'rows': tf.zeros([2]), 'picture': tf.zeros([3, 3])}, specs, ('rows',))
    with pytest.raises(REFUSED, match=r'picture must have the shape \[any, 3\]'):
      limits.checked_inputs({'rows': tf.zeros([2]), 'picture': tf.zeros([0, 3])}, specs, ('rows',))
  finally:
    gin.clear_config()


def damaged(kind):
  """A picture of noise that is cut off in its middle."""
  data = encode(np.random.RandomState(0).randint(0, 255, [60, 90, 3]).astype(np.uint8), kind)
  return data[:len(data) // 2]


BAD = [(b'no picture', {}, 1, 'images: not a picture; send JPEG, PNG or BMP'),
       (b'', {}, 1, 'images: not a picture'),
       (encode(toy.bright_picture(), 'GIF'), {}, 1, 'images: not a picture'),
       (pictures_of.png_header(23000, 23000), {}, 2, 'images: a picture may have at most 50000000 pixels'),
       (encode(toy.bright_picture()) + b'0' * (32 << 20), {}, 2, 'images: a picture may have at most 33554432 bytes'),
       (damaged('PNG'), {}, 3, None), (damaged('BMP'), {}, 3, None),
       (encode(toy.bright_picture()), {'boxes': np.float32([[0, 0, 3e6, 3e6]])}, 4, 'boxes: a box must'),
       (encode(toy.bright_picture()), {'boxes': np.float32([[500, 0, 30, 30]])}, 4, 'boxes: a box must'),
       (encode(toy.bright_picture()), {'boxes': np.float32([[5, 5, -30, 30]])}, 4, 'boxes: a box must'),
       *((encode(toy.bright_picture()), {'boxes': np.float32([box])}, 4, 'boxes must hold finite numbers only')
         for box in ([np.nan, 5, 30, 30], [5, 5, np.inf, 30], [-np.inf, 5, 0, 0], [np.nan] * 4))]


@pytest.mark.parametrize('data, changes, status, message', BAD)
def test_a_bad_picture_fails_its_request_or_is_marked(ask, data, changes, status, message):
  bad = pictures(images=np.array([data], object), **changes)
  with pytest.raises(REFUSED, match=message):
    ask('predict_encoded', bad)
  good = pictures(2)
  both = {name: np.concatenate([good[name][:1], bad[name], good[name][1:]]) for name in good}
  found, alone = ask('predict_encoded_status', both), ask('predict_encoded', good)
  np.testing.assert_array_equal(found['status'], [0, status, 0])
  for name, value in alone.items():
    np.testing.assert_allclose(np.asarray(found[name])[[0, 2]], value, atol=1e-5, err_msg=name)
    assert not np.any(np.asarray(found[name])[1]), name
