"""Taking up a trained model from its model_dir, for evaluation, export and prediction."""
import os
from collections.abc import Iterable

import tensorflow as tf

from dhpe_tf import configuration
from dhpe_tf.errors import UserError
from dhpe_tf.training.checkpoints import restore_weights
from dhpe_tf.training.settings import TrainSettings


def load_trained(model_dir: str, gin_params: Iterable[str] = ()) -> tf.keras.Model:
  """Loads the configuration saved in `model_dir`, builds its model and restores the latest weights.

  Args:
    model_dir: folder of a training.
    gin_params: settings changed against the training.

  Raises:
    UserError: there is no training, or its files do not fit together.
  """
  config = os.path.join(model_dir, configuration.CONFIG_FILE)
  if not os.path.isfile(config):
    raise UserError(f'{model_dir}: holds no {configuration.CONFIG_FILE}; give the --model_dir of a training.')
  configuration.load(saved=config, gin_params=gin_params)
  model = TrainSettings().build_model()
  restore_weights(model_dir, model)
  return model
