"""An experiment: a task, a method that answers it, and the data it sees; all of it bound in gin."""
import os
from collections.abc import Callable, Iterable

import gin
import tensorflow as tf

from dhpe_tf import configuration
from dhpe_tf.data.input_pipeline import build_dataset
from dhpe_tf.errors import UserError
from dhpe_tf.methods import method as methods
from dhpe_tf.tasks.task import Task


@gin.configurable
class Experiment:
  """A task, a method and data.

  Attributes:
    task: what is answered.
  """

  def __init__(self, task: Callable[[], Task] = gin.REQUIRED, method: Callable[[Task], methods.Method] = gin.REQUIRED,
               dataset: Callable[..., tf.data.Dataset] = build_dataset):
    """Makes the task.

    Args:
      task: makes the task.
      method: makes a method that answers it; one that learns is a Keras model (`methods.steps.TrainableMethod`).
      dataset: (task, training, seed, epoch, skip_batches) -> tf.data.Dataset of global batches, the same for the same
        arguments; also takes (root, split, weight) triples as `sources`. Called under the gin scope `train` or `eval`,
        so `train/build_dataset.sources` and `eval/build_dataset.sources` differ while `build_dataset.image_size` serves
        both.
    """
    self.task = task()
    self._method, self._dataset = method, dataset

  def build_method(self) -> methods.Method:
    """A new method, checked against the contracts of the task.

    Raises:
      UserError: the method does not fit the task.
    """
    built = self._method(self.task)
    methods.check(built)
    return built

  def train_data(self, seed: int, epoch: int, skip_batches: int = 0) -> tf.data.Dataset:
    """Batches of one epoch from a position in it on."""
    with gin.config_scope('train'):
      return self._dataset(self.task, training=True, seed=seed, epoch=epoch, skip_batches=skip_batches)

  def eval_data(self) -> tf.data.Dataset:
    """Held-out batches, always the same."""
    with gin.config_scope('eval'):
      return self._dataset(self.task, training=False, seed=0, epoch=0)

  def records(self, root: str, split: str, **changes: int) -> tf.data.Dataset:
    """Batches of one split of the records in folder `root`, as an evaluation sees them, in order.

    Args:
      root: of the record set.
      split: its name.
      **changes: arguments of the dataset that differ from the configuration, such as `image_size`.
    """
    with gin.config_scope('eval'):
      return self._dataset(self.task, sources=((root, split, 1.),), training=False, seed=0, epoch=0, **changes)


def load_saved(model_dir: str, gin_params: Iterable[str] = ()) -> Experiment:
  """The experiment whose configuration a training has saved in `model_dir`.

  Raises:
    UserError: there is no training, or its configuration is damaged.
  """
  config = os.path.join(model_dir, configuration.CONFIG_FILE)
  if not os.path.isfile(config):
    raise UserError(f'{model_dir}: holds no {configuration.CONFIG_FILE}; give the --model_dir of a training.')
  configuration.load(saved=config, gin_params=gin_params)
  return Experiment()
