"""The measurement of what features matter: the model cut behind its evidence, and the tables."""
import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import configuration
from dhpe_tf.methods.dhpe import model as dhpe_model
from tests.benchmarks import features
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK


@pytest.fixture(scope='module')
def model():
  configuration.load(['models/tiny.gin'])
  tf.keras.utils.set_random_seed(1)
  built = dhpe_model.build_model(TASK)
  # So that features move the untrained mesh.
  offset = built.mesh_regressor.get_layer('offset').kernel
  offset.assign(10 * offset)
  gin.clear_config()
  return built


def test_the_cut_model_answers_as_the_whole(model):
  image = example_batch.make_batch(3)['image']
  parts, whole = features.Estimators(model), model(image, training=False)
  found = parts.evidence(image)
  np.testing.assert_allclose(found['features'], whole['features'], atol=1e-5)
  for name, value in parts.lift(whole['features'], found).items():
    if name != 'heatmap_stages':
      np.testing.assert_allclose(value, whole[name], atol=1e-4, err_msg=name)
  zeroed = parts.lift(tf.zeros_like(found['features']), found)
  assert np.abs(zeroed['joints_3d'] - whole['joints_3d']).max() > 0.01


@pytest.mark.slow
def test_tables(model):
  batch = example_batch.make_batch(3)
  sums = features.measure(model, tf.data.Dataset.from_tensors(batch).repeat(3), 6)
  lines = features.tables(sums).splitlines()
  assert lines[0].startswith('features: rms ') and [line.count('|') for line in lines[2:]] == [4] * 5 + [0] + [7] * 4
  assert sums.mean('zero error_3d_mm') != sums.mean('as they are error_3d_mm')
  # A mask over everything leaves no background to change.
  full = {**batch, 'mask': tf.ones_like(batch['mask'])}
  unchanged = features.measure(model, tf.data.Dataset.from_tensors(full), 3)
  assert unchanged.mean('black features') == unchanged.mean('black mesh error_3d_mm') == 0
