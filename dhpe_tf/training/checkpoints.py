"""Checkpoints in a model_dir: written whole, found again after any end, refused where they do not fit."""
import json
import os
import time
from typing import Optional

import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path, remove

ARCHITECTURE = 'architecture.json'
FOLDER = 'checkpoints'
_METRIC_WEIGHTS = ('total', 'count')  # what a Keras mean calls its own


def describe_architecture(model: tf.keras.Model) -> list[list]:
  """The weights' names (last part), shapes and types in order: what a checkpoint must agree with."""
  # Only the last part: Keras numbers layers through a process, so full names differ between two builds.
  return [[weight.name.split('/')[-1].split(':')[0], weight.shape.as_list(), weight.dtype.name]
          for weight in model.weights]


def check_architecture(model_dir: str, model: tf.keras.Model) -> None:
  """Raises UserError if `model_dir` holds a model whose weights differ from `model`'s in number, shape or type."""
  path = os.path.join(model_dir, ARCHITECTURE)
  if not os.path.exists(path):
    return
  try:
    with open(path, encoding='utf-8') as file:
      there = json.load(file)
  except (OSError, ValueError) as error:
    raise UserError(f'{path}: cannot be read ({error}); choose another --model_dir.') from error
  # Earlier versions counted the sums of running means among the weights of some methods.
  there = [weight for weight in there if weight[0] not in _METRIC_WEIGHTS]
  here = describe_architecture(model)
  if there == here:
    return
  number = next((i for i, (a, b) in enumerate(zip(there, here)) if a != b), min(len(there), len(here)))
  first, second = (str(weights[number]) if number < len(weights) else 'nothing' for weights in (there, here))
  raise UserError(
      f'{model_dir} holds a model of another architecture ({len(there)} weights there, {len(here)} configured, '
      f'weight {number} is {first} there and {second} here); choose another --model_dir, or the settings in its '
      'config.gin.')


class Checkpoints:
  """Saves and restores everything a training needs to go on as if it had never stopped.

  Attributes:
    progress: the trackable variables saved beside model and optimizer.
  """

  def __init__(self, model_dir: str, model: tf.keras.Model, progress: tf.Module, *, keep: int = 2, every_steps: int = 0,
               every_minutes: float = 5.):
    self.model_dir = model_dir
    self.progress = progress
    self._model = model
    self._every_steps = every_steps
    self._every_minutes = every_minutes
    self._saved_at = time.monotonic()
    folder = os.path.join(model_dir, FOLDER) + worker_suffix()
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer, progress=progress,
                                     random=_random_states(model), layers=layers_by_name(model))
    self._manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=keep)
    # All workers read what the first one wrote; the others only write aside, as tf.distribute demands.
    self._reader = self._manager if not worker_suffix() else tf.train.CheckpointManager(
        checkpoint, os.path.join(model_dir, FOLDER), max_to_keep=keep)

  def restore(self) -> Optional[str]:
    """Restores the latest checkpoint and returns its path, or None if there is none.

    Raises:
      UserError: the model has another architecture, or the files are damaged.
    """
    check_architecture(self.model_dir, self._model)
    _remove_unfinished(self._manager.directory)
    latest = self._reader.latest_checkpoint
    if latest is None:
      return None
    try:
      self._reader.checkpoint.restore(latest).assert_existing_objects_matched()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
      raise UserError(f'{latest}: cannot be restored ({error}); remove it to go back to the one before, '
                      'or choose another --model_dir.') from error
    return latest

  def due(self, step: int) -> bool:
    """Whether a checkpoint is to be written after global step `step` (counted from 1)."""
    if self._every_steps:
      return step % self._every_steps == 0
    return time.monotonic() - self._saved_at >= 60. * self._every_minutes

  def save(self, step: int) -> None:
    """Writes checkpoint number `step`.

    Raises:
      UserError: it cannot be written.
    """
    try:
      architecture = os.path.join(self.model_dir, ARCHITECTURE)
      if not worker_suffix() and not os.path.exists(architecture):
        with atomic_path(architecture) as path, open(path, 'w', encoding='utf-8') as file:
          json.dump(describe_architecture(self._model), file)
      self._manager.save(checkpoint_number=step, check_interval=False)
    except (OSError, tf.errors.OpError) as error:
      _remove_unfinished(self._manager.directory)
      raise UserError(f'cannot write a checkpoint to {self._manager.directory}: {getattr(error, "message", error)}; '
                      'the one before is whole. Free some disk space, then run the same command again.') from error
    self._saved_at = time.monotonic()

  def close(self) -> None:
    """Removes what this worker wrote aside."""
    if worker_suffix():
      remove(self._manager.directory)


def restore_weights(model_dir: str, model: tf.keras.Model) -> str:
  """Restores a trained model's weights, without the optimizer; returns the checkpoint's path.

  Raises:
    UserError: `model_dir` is missing or holds no checkpoint, or one that does not fit `model`.
  """
  found = latest(model_dir)
  check_architecture(model_dir, model)
  try:
    status = tf.train.Checkpoint(model=model).restore(found)
    status.assert_existing_objects_matched().expect_partial()
  except (AssertionError, ValueError, tf.errors.OpError) as error:
    raise UserError(f'{found}: cannot be restored ({error}); remove it to go back to the one before.') from error
  return found


def latest(model_dir: str) -> str:
  """Path of the latest checkpoint in the folder of a training.

  Raises:
    UserError: there is no such folder, or no checkpoint in it.
  """
  if not os.path.isdir(model_dir):
    raise UserError(f'{model_dir}: no such folder; give the --model_dir of a training.')
  if not has_checkpoint(model_dir):
    raise UserError(f'{model_dir}: holds no checkpoint; run python -m dhpe_tf.train --model_dir={model_dir} first.')
  return tf.train.latest_checkpoint(os.path.join(model_dir, FOLDER))


def has_checkpoint(model_dir: str) -> bool:
  """Whether a training in this folder has something to go on from."""
  return tf.train.latest_checkpoint(os.path.join(model_dir, FOLDER)) is not None


def layers_by_name(model: tf.keras.Model) -> dict[str, tf.keras.layers.Layer]:
  """A model's layers by name, for those who take over a part: Keras itself saves them by their number only."""
  return {layer.name: layer for layer in model.layers}


def worker_suffix() -> str:
  """Empty for the first worker (and without workers), '_worker<index>' for the others."""
  task = json.loads(os.environ.get('TF_CONFIG') or '{}').get('task', {})
  first = not task or task.get('type') == 'chief' or (task.get('type') == 'worker' and task.get('index', 0) == 0)
  return '' if first else f'_worker{task["index"]}'


def _random_states(model: tf.keras.Model) -> list[tf.random.Generator]:
  """The generators of dropout and the like, which Keras 2 leaves out of checkpoints."""
  generators = (getattr(layer, '_random_generator', None) for layer in model.submodules)
  states = (getattr(generator, '_generator', None) for generator in generators)
  return [state for state in states if isinstance(state, tf.random.Generator)]


def _remove_unfinished(folder: str) -> None:
  """Removes what a killed or failed save left: TensorFlow writes beside and renames at the end."""
  for name in os.listdir(folder) if os.path.isdir(folder) else ():
    if name.endswith('_temp') or '.tempstate' in name:
      remove(os.path.join(folder, name))
