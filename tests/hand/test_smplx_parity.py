"""The layer against what smplx answered (smplx_reference.npz, made by make_smplx_reference.py).

smplx adds 1e-8 to each axis-angle component before it takes the length, hence 2e-7 and not less in float64.
"""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.hand.parameters import camera_from_global_orient
from tests.hand.make_smplx_reference import KEPT, REFERENCE, inputs
from tests.hand.mano_files import write_pickle
from tests.hand.model_fixture import random_model

CASES = {'full': {}, 'mean': {'flat_hand_mean': False}, 'pca': {'flat_hand_mean': False, 'pca_components': 12}}


@pytest.fixture(scope='module')
def reference():
  with np.load(REFERENCE) as stored:
    return dict(stored)


@pytest.fixture(scope='module', params=['right', 'left'])
def model(request, tmp_path_factory):
  path = tmp_path_factory.mktemp('mano') / f'MANO_{request.param.upper()}.pkl'
  write_pickle(path, random_model(request.param))
  return load_hand_model(path, side=request.param)


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('dtype, tolerance', [('float64', 2e-7), ('float32', 1e-6)])
def test_vertices_joints_and_gradients(reference, model, case, dtype, tolerance):
  given = inputs()
  components = CASES[case].get('pca_components', 45)
  names = ('hand_pose', 'betas', 'global_orient', 'transl')
  given['hand_pose'] = given['hand_pose'][:, :components]
  variables = [tf.constant(given[name], dtype) for name in names]
  layer = ManoLayer(model, dtype=dtype, **CASES[case])
  with tf.GradientTape() as tape:
    tape.watch(variables)
    pose, shape, orient, translation = variables
    outputs = layer(pose, shape, camera_from_global_orient(model, orient, shape, translation))
    total = (tf.reduce_sum(outputs['vertices'] * given['vertex_weights'])
             + tf.reduce_sum(outputs['joints'] * given['joint_weights']))
  expected = {name: reference[f'{model.side}_{case}_{name}'] for name in
              ('vertices', 'joints', *(f'gradient_{name}' for name in names))}
  np.testing.assert_allclose(tf.gather(outputs['vertices'], KEPT, axis=1), expected['vertices'], atol=tolerance)
  np.testing.assert_allclose(outputs['joints'], expected['joints'], atol=tolerance)
  for name, gradient in zip(names, tape.gradient(total, variables)):
    scale = np.abs(expected[f'gradient_{name}']).max()
    np.testing.assert_allclose(gradient / scale, expected[f'gradient_{name}'] / scale, atol=tolerance, err_msg=name)
