"""The train step as XLA compiles it, for GPUs and TPUs: every list of a fixed length."""
import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import configuration
from dhpe_tf.methods.dhpe import model as dhpe_model
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK

BATCH = 4


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


def step(compiled, *params):
  """Figures and weights after a step from the same start."""
  # The gate open, so that the silhouette acts.
  configuration.load(['models/tiny.gin'], ['dhpe.Objective.gated = False', *params])
  tf.keras.utils.set_random_seed(1)
  model = dhpe_model.build_model(TASK)
  model.compile(optimizer=tf.keras.optimizers.SGD(1e-2, jit_compile=False))
  model.optimizer.build(model.trainable_variables)
  batch = example_batch.make_batch(BATCH)
  logs = tf.function(model.train_step, jit_compile=compiled)(
      {name: value for name, value in batch.items() if value.dtype != tf.string})
  return {name: float(value) for name, value in logs.items()}, model.get_weights()


WITHIN = "rendering.silhouette.method = 'exact_area_within_budget'"


@pytest.mark.slow
def test_compiles_and_learns_the_same():
  plain, plain_weights = step(False)
  compiled, compiled_weights = step(True, WITHIN)
  assert compiled == pytest.approx(plain, rel=1e-3, abs=1e-4) and plain['shape_loss'] > 0
  for found, expected in zip(compiled_weights, plain_weights):
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-4)


@pytest.mark.slow
def test_lists_that_are_too_short_are_no_silent_error():
  logs, _ = step(False, WITHIN, 'exact_area_within_budget.pieces_per_row = 1')
  assert np.isnan(logs['loss'])
