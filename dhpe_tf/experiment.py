"""An experiment: a task, a method that answers it, and the data, all bound in gin."""
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
    task: the task that the method answers.
  """

  def __init__(self, task: Callable[[], Task] = gin.REQUIRED, method: Callable[[Task], methods.Method] = gin.REQUIRED,
               dataset: Callable[..., tf.data.Dataset] = build_dataset):
    """Builds the task; method and data are built later, on request.

    Args:
      task: function that builds the task.
      method: task -> method. A method that learns is a Keras model (`methods.steps.TrainableMethod`).
      dataset: (task, training, seed, epoch, skip_batches) -> tf.data.Dataset of global batches, the same for the same
        arguments; it also takes (root, split, weight) triples as `sources`. It is called under the gin scope `train` or
        `eval`, so `train/build_dataset.sources` and `eval/build_dataset.sources` differ, while
        `build_dataset.image_size` serves both.
    """
    self.task = task()
    self._method, self._dataset = method, dataset

  def build_method(self) -> methods.Method:
    """Builds a new method and checks it against the contracts of the task.

    Raises:
      UserError: the method does not fit the task.
    """
    built = self._method(self.task)
    methods.check(built)
    return built

  def train_data(self, seed: int, epoch: int, skip_batches: int = 0) -> tf.data.Dataset:
    """Returns the training batches of one epoch.

    Args:
      seed: of order and augmentation.
      epoch: number of the epoch, from 0.
      skip_batches: number of batches at the start of the epoch to leave out.
    """
    with gin.config_scope('train'):
      return self._dataset(self.task, training=True, seed=seed, epoch=epoch, skip_batches=skip_batches)

  def eval_data(self) -> tf.data.Dataset:
    """Returns the held-out batches, the same ones at every call."""
    with gin.config_scope('eval'):
      return self._dataset(self.task, training=False, seed=0, epoch=0)

  def records(self, root: str, split: str, **changes: int) -> tf.data.Dataset:
    """Returns the batches of one split of a record set in order, without augmentation.

    Args:
      root: folder of the record set.
      split: name of the split.
      **changes: arguments of the dataset that override the configuration, such as `image_size`.
    """
    with gin.config_scope('eval'):
      return self._dataset(self.task, sources=((root, split, 1.),), training=False, seed=0, epoch=0, **changes)


def load_saved(model_dir: str, gin_params: Iterable[str] = ()) -> Experiment:
  """Loads the configuration that a training saved in `model_dir` and returns its experiment.

  Args:
    model_dir: folder of the training.
    gin_params: bindings that override the saved ones.

  Raises:
    UserError: the folder holds no training, or its configuration is damaged.
  """
  config = os.path.join(model_dir, configuration.CONFIG_FILE)
  if not os.path.isfile(config):
    raise UserError(f'{model_dir}: holds no {configuration.CONFIG_FILE}; give the --model_dir of a training.')
  configuration.load(saved=config, gin_params=gin_params)
  return Experiment()
