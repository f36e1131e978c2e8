"""Loads a trained method from its model_dir, for evaluation, export and prediction."""
from collections.abc import Iterable

from dhpe_tf import experiment
from dhpe_tf.methods.steps import TrainableMethod
from dhpe_tf.training.checkpoints import restore_weights


def load_trained(model_dir: str, gin_params: Iterable[str] = ()) -> tuple[experiment.Experiment, TrainableMethod]:
  """Loads the configuration saved in `model_dir`, builds its method and restores the latest weights.

  Args:
    model_dir: folder of a training.
    gin_params: bindings that override the saved ones.

  Returns:
    The experiment and its method.

  Raises:
    UserError: there is no training, or its files do not fit together.
  """
  loaded = experiment.load_saved(model_dir, gin_params)
  model = loaded.build_method()
  restore_weights(model_dir, model)
  return loaded, model
