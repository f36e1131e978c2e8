"""The SavedModel's signature `refine`: it runs where this package is not, on operations that every TensorFlow has."""
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from dhpe_tf.inference import predictor
from dhpe_tf.methods.dhpe.refinement import at_test_time
from dhpe_tf.serving import exporter, loopback_server, model_card
from dhpe_tf.serving.client import Client
from tests import foreign_process
from tests.serving import signature_checks

pytestmark = pytest.mark.slow  # its export alone takes half a minute

# What would not be there in a stock TensorFlow Serving.
_FOREIGN = ('Rasterize', 'Addons', 'PyFunc', 'EagerPyFunc', 'NumpyFunction')


@pytest.fixture(scope='module')
def exported(model, tmp_path_factory):
  folder = tmp_path_factory.mktemp('exported') / 'tiny'
  return exporter.export(model, str(folder), model_card.describe(model.task, 'tiny', ''))


def test_the_card_tells_the_graph(exported):
  assert {'refine', 'predict_hands'} <= signature_checks.names(exported)
  signature_checks.compare(exported)


def test_runs_without_this_package(model, exported, tmp_path):
  images = np.random.RandomState(0).uniform(size=[2, 64, 64, 3]).astype(np.float32)
  np.save(tmp_path / 'images.npy', images)
  program = '''
    import sys
    import numpy as np, tensorflow as tf
    images = np.load(sys.argv[2])
    found = tf.saved_model.load(sys.argv[1]).signatures['refine'](
        images=tf.constant(images), steps=tf.constant(4), joints_2d=tf.zeros([2, 21, 2]),
        joints_2d_weight=tf.zeros([2, 21]), mask=tf.zeros([2, 64, 64]), mask_weight=tf.zeros([2]),
        term_weights=tf.zeros([7]))
    np.savez(sys.argv[3], **{name: value.numpy() for name, value in found.items()})
  '''
  subprocess.run(foreign_process.command(program, exported, tmp_path / 'images.npy', tmp_path / 'out.npz'), check=True,
                 cwd=tmp_path)
  found = np.load(tmp_path / 'out.npz')
  expected = at_test_time.refine(model, tf.constant(images), 4)
  assert found['objective'].shape == (2, 5)
  for name in ('vertices', 'joints_2d', 'parameters'):
    np.testing.assert_allclose(found[name], expected[name], atol=2e-3)


def test_stock_operations_only(exported):
  saved = saved_model_pb2.SavedModel()
  with open(f'{exported}/saved_model.pb', 'rb') as file:
    saved.ParseFromString(file.read())
  graph = saved.meta_graphs[0].graph_def
  used = {node.op for node in graph.node}
  for function in graph.library.function:
    used |= {node.op for node in function.node_def}
  functions = {function.signature.name for function in graph.library.function}
  known = {name for name in dir(tf.raw_ops)}
  # What is neither in tf.raw_ops nor a function of the file itself would have to come from a library beside it.
  assert used - functions - known <= {'_Arg', '_Retval', 'NoOp', 'Placeholder'}
  assert not [name for name in used if any(word in name for word in _FOREIGN)]


def test_predictor_refines_from_an_export(model, exported):
  ready = predictor.from_export(exported)
  images = tf.random.stateless_uniform([1, 64, 64, 3], [0, 1])
  plain, found = ready.refined({'image': images}, [0, 3])
  assert 0 <= found['score'][0] <= 1 and np.abs(found['vertices'] - plain['vertices']).max() > 1e-4
  for name, value in ready.answer({'image': images}).items():
    if name in plain:
      np.testing.assert_allclose(plain[name], value, atol=1e-4, err_msg=name)


def test_refine_through_a_server_takes_the_scalar_steps(model, exported):
  pytest.importorskip('tensorflow_serving')
  images = np.random.RandomState(0).uniform(size=[1, 64, 64, 3]).astype(np.float32)
  server = loopback_server.serve(exported)
  try:
    with Client(f'127.0.0.1:{server.port}', 'tiny') as client:
      found = client.predict('refine', {'images': images, 'steps': 2})
  finally:
    server.stop()
  assert found['objective'].shape == (1, 3)
  np.testing.assert_allclose(found['vertices'], at_test_time.refine(model, tf.constant(images), 2)['vertices'],
                             atol=2e-3)
