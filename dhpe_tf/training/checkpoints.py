"""Checkpoints in a model_dir: written atomically, found again after any end, refused if they do not fit."""
import json
import os
import re
import sys
import time
from typing import Optional

import tensorflow as tf

from dhpe_tf import files, json_files
from dhpe_tf.errors import UserError, brief
from dhpe_tf.files import atomic_path, remove
from dhpe_tf.training import averaging
from dhpe_tf.training.progress import LastScalars

ARCHITECTURE = 'architecture.json'
FOLDER = 'checkpoints'
_ANOTHER = 'choose another --model_dir.'
_METRIC_WEIGHTS = ('total', 'count')  # names of the variables of a Keras mean


def describe_architecture(model: tf.keras.Model) -> list[list]:
  """Lists name (last part), shape and type of the model's weights in order; a checkpoint must agree with this list."""
  # Only the last part of the name: Keras numbers layers across a process, so full names differ between two builds.
  return [[weight.name.split('/')[-1].split(':')[0], weight.shape.as_list(), weight.dtype.name]
          for weight in model.weights]


def check_architecture(model_dir: str, model: tf.keras.Model) -> None:
  """Compares a model with the architecture noted in a training's folder, if there is one.

  Raises:
    UserError: the weights differ in number, name, shape or type, or the note cannot be read.
  """
  path = os.path.join(model_dir, ARCHITECTURE)
  if not os.path.exists(path):
    return
  there = json_files.read(path, _ANOTHER)
  if not isinstance(there, list) or not all(isinstance(weight, list) and len(weight) == 3 for weight in there):
    raise UserError(f'{path}: a list of names, shapes and types was expected; {_ANOTHER}')
  # Earlier versions also listed the variables of running means for some methods.
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
  """Saves and restores everything that a training needs to resume as if it had never stopped.

  Attributes:
    model_dir: folder of the training.
    progress: the position in the training, saved beside model and optimizer.
    scalars: those of the last epoch, which a checkpoint may lack.
  """

  def __init__(self, model_dir: str, model: tf.keras.Model, progress: tf.Module, *, keep: int = 2, every_steps: int = 0,
               every_minutes: float = 5.):
    """Prepares the checkpoint managers.

    Args:
      model_dir: folder of the training.
      model: compiled, with the optimizer's state created.
      progress: variables that hold the position in the training.
      keep: number of checkpoints to keep.
      every_steps: steps between checkpoints; 0 to use `every_minutes`.
      every_minutes: minutes between checkpoints.
    """
    self.model_dir = model_dir
    self.progress, self.scalars = progress, LastScalars()
    self._model = model
    self._every_steps = every_steps
    self._every_minutes = every_minutes
    self._saved_at = time.monotonic()
    folder = os.path.join(model_dir, FOLDER) + worker_suffix()
    self._parts = dict(model=model, optimizer=model.optimizer, progress=progress, random=_random_states(model),
                       layers=layers_by_name(model))
    # By name, because another configuration may have other terms.
    self._optional = dict(means={mean.name: mean for mean in model.metrics}, scalars=self.scalars)
    checkpoint = tf.train.Checkpoint(**self._parts, **self._optional)
    _mend_state(folder)
    self._manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=keep)
    # All workers restore the first worker's checkpoints. The others write theirs to a separate folder, because
    # tf.distribute requires every worker to save.
    self._reader = self._manager if not worker_suffix() else tf.train.CheckpointManager(
        checkpoint, os.path.join(model_dir, FOLDER), max_to_keep=keep)

  def restore(self) -> Optional[str]:
    """Restores the latest checkpoint.

    Returns:
      Its path, or None if there is none.

    Raises:
      UserError: the model has another architecture, its optimizer is of another kind, or the files are damaged.
    """
    check_architecture(self.model_dir, self._model)
    _remove_unfinished(self._manager.directory)
    latest = self._reader.latest_checkpoint
    if latest is None:
      return None
    try:
      averaging.check_kind(latest, self._model.optimizer)
      tf.train.Checkpoint(**self._parts).restore(latest).assert_existing_objects_matched().expect_partial()
      # Means of other terms, and what earlier versions did not save, begin anew.
      tf.train.Checkpoint(**self._optional).restore(latest).expect_partial()
    except UserError:  # a ValueError too
      raise
    except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
      raise UserError(f'{latest}: cannot be restored ({brief(error)}); remove it to go back to the one before, '
                      'or choose another --model_dir.') from error
    return latest

  def due(self, step: int) -> bool:
    """Whether to write a checkpoint after global step `step`, counted from 1."""
    if self._every_steps:
      return step % self._every_steps == 0
    return time.monotonic() - self._saved_at >= 60. * self._every_minutes

  def save(self, step: int) -> None:
    """Writes the checkpoint of global step `step`.

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
    """Removes the separate folder that workers other than the first write."""
    if worker_suffix():
      remove(self._manager.directory)


def restore_weights(model_dir: str, model: tf.keras.Model) -> str:
  """Restores the weights of a trained model without its optimizer; returns the checkpoint's path.

  Raises:
    UserError: `model_dir` is missing, holds no checkpoint, or holds one that does not fit `model`.
  """
  found = latest(model_dir)
  check_architecture(model_dir, model)
  try:
    status = tf.train.Checkpoint(model=model).restore(found)
    status.assert_existing_objects_matched().expect_partial()
  except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
    raise UserError(f'{found}: cannot be restored ({brief(error)}); remove it to go back to the one before.') from error
  return found


def latest(model_dir: str) -> str:
  """Returns the path of the latest checkpoint in a training's folder.

  Raises:
    UserError: the folder does not exist or holds no checkpoint.
  """
  if not os.path.isdir(model_dir):
    raise UserError(f'{model_dir}: no such folder; give the --model_dir of a training.')
  if not has_checkpoint(model_dir):
    raise UserError(f'{model_dir}: holds no checkpoint; run python -m dhpe_tf.train --model_dir={model_dir} first.')
  return _newest(os.path.join(model_dir, FOLDER), tells=True)


def has_checkpoint(model_dir: str) -> bool:
  """Whether a training in this folder can be resumed."""
  return _newest(os.path.join(model_dir, FOLDER)) is not None


def layers_by_name(model: tf.keras.Model) -> dict[str, tf.keras.layers.Layer]:
  """Returns a model's layers by name, to restore single layers elsewhere; Keras itself saves them by number."""
  return {layer.name: layer for layer in model.layers}


def worker_suffix() -> str:
  """Returns '_worker<index>' for workers other than the first, and an empty text for the first or without workers."""
  task = json.loads(os.environ.get('TF_CONFIG') or '{}').get('task', {})
  first = not task or task.get('type') == 'chief' or (task.get('type') == 'worker' and task.get('index', 0) == 0)
  return '' if first else f'_worker{task["index"]}'


def _random_states(model: tf.keras.Model) -> list[tf.random.Generator]:
  """Returns the random generators of dropout and similar layers, which Keras 2 leaves out of checkpoints."""
  generators = (getattr(layer, '_random_generator', None) for layer in model.submodules)
  states = (getattr(generator, '_generator', None) for generator in generators)
  return [state for state in states if isinstance(state, tf.random.Generator)]


def _newest(folder: str, tells: bool = False) -> Optional[str]:
  """Returns the checkpoint that the file `checkpoint` names, or if that one is gone the newest whole one; else None.

  Args:
    folder: of checkpoints.
    tells: whether to print a line if another one is taken.
  """
  named = _named(folder)
  if named and _is_whole(named):
    return named
  whole = _whole_checkpoints(folder)
  state = os.path.join(folder, 'checkpoint')
  if tells and (named or os.path.exists(state)):
    lost = f'{named} is gone or not whole' if named else f'{state} is damaged'
    print(f'{lost}; going back to {whole[-1] if whole else "the start"}', file=sys.stderr)
  return whole[-1] if whole else None


def _named(folder: str) -> Optional[str]:
  """The checkpoint that the file `checkpoint` of a folder names; None if there is none or the file is damaged."""
  state = os.path.join(folder, 'checkpoint')
  if not os.path.lexists(state):
    return None
  files.check_input(state, files.MOST_TEXT_BYTES, 'remove it.')
  try:
    found = tf.train.get_checkpoint_state(folder)
  except (ValueError, tf.errors.OpError):
    return None
  return found.model_checkpoint_path if found else None


def _mend_state(folder: str) -> None:
  """Makes the file `checkpoint` of a folder name what `_newest` returns, in place of checkpoints that are gone."""
  state = os.path.join(folder, 'checkpoint')
  if not os.path.exists(state):
    return
  newest = _newest(folder, tells=True)
  if newest is None:
    remove(state)
  elif _named(folder) != newest:
    tf.compat.v1.train.update_checkpoint_state(folder, newest, _whole_checkpoints(folder))


def _whole_checkpoints(folder: str) -> list[str]:
  """Paths of the checkpoints in a folder whose files are all there, by step."""
  found = (re.fullmatch(r'(ckpt-(\d+))\.index', name) for name in (os.listdir(folder) if os.path.isdir(folder) else ()))
  paths = [os.path.join(folder, match[1]) for match in sorted(filter(None, found), key=lambda match: int(match[2]))]
  return [path for path in paths if _is_whole(path)]


def _is_whole(path: str) -> bool:
  """Whether index and all data files of a checkpoint are there and plain files: a pipe may never end."""
  folder, stem = os.path.split(path)
  names = set(os.listdir(folder)) if os.path.isdir(folder) else set()
  names = {name for name in names if os.path.isfile(os.path.join(folder, name))}
  counts = {int(match[1]) for match in (re.fullmatch(re.escape(stem) + r'\.data-\d{5}-of-(\d{5})', name)
                                        for name in names) if match}
  return f'{stem}.index' in names and any(
      all(f'{stem}.data-{number:05d}-of-{count:05d}' in names for number in range(count)) for count in counts)


def _remove_unfinished(folder: str) -> None:
  """Removes the temporary files of a killed or failed save from a checkpoint folder."""
  for name in os.listdir(folder) if os.path.isdir(folder) else ():
    if name.endswith('_temp') or '.tempstate' in name:
      remove(os.path.join(folder, name))
