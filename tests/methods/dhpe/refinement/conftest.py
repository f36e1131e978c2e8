"""What the tests of the refinement share."""
import gin
import pytest
import tensorflow as tf

from dhpe_tf import configuration
from dhpe_tf.methods.dhpe import model as dhpe_model
from tests.tasks.hand.hands import TASK


@pytest.fixture(scope='module')
def model():
  """The smallest model that has every part, untrained."""
  configuration.load(['models/tiny.gin'])
  tf.keras.utils.set_random_seed(0)
  built = dhpe_model.build_model(TASK)
  gin.clear_config()
  return built
