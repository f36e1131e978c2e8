"""The training loop: any Keras model with a `train_step`, under any strategy, killed and taken up at any point."""
import json
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.data.input_pipeline import by_batch
from dhpe_tf.errors import UserError
from dhpe_tf.experiment import Experiment
from dhpe_tf.files import atomic_path
from dhpe_tf.training import averaging, initial_weights
from dhpe_tf.training.callbacks import Scalars
from dhpe_tf.training.checkpoints import Checkpoints, has_checkpoint, worker_suffix
from dhpe_tf.training.progress import Bar, Progress, format_logs
from dhpe_tf.training.settings import TrainSettings
from dhpe_tf.training.strategies import build_strategy

FINAL = 'final'
LOGS = 'logs'


class Trainer:
  """Trains the method of an experiment as `settings` say and keeps all of it in `model_dir`.

  The data are a function of (seed, epoch) and the position in them is part of every checkpoint, so a training that was
  killed and started again ends with the weights that an unbroken one ends with.

  Attributes:
    model: the model in training.
  """

  def __init__(self, experiment: Experiment, settings: TrainSettings, model_dir: str, show_progress: bool = True):
    """Builds model and optimizer and takes up the latest checkpoint in `model_dir`.

    Args:
      experiment: what is learnt from what.
      settings: how.
      model_dir: the training's folder.
      show_progress: show a bar.

    Raises:
      UserError: unknown settings, a method that learns nothing, or a `model_dir` of another architecture.
    """
    self._experiment = experiment
    self._settings = settings
    self._model_dir = model_dir
    self._stop = False
    # First of all: workers must be joined before TensorFlow has run anything.
    self._strategy = build_strategy(settings.strategy, settings.tpu)
    tf.keras.utils.set_random_seed(settings.seed)
    # Random layers then keep their state in variables, which checkpoints hold.
    tf.keras.backend.experimental.enable_tf_random_generator()
    tf.keras.mixed_precision.set_global_policy(settings.precision)
    with self._strategy.scope():
      self.model = _build(experiment)
    self._steps_per_epoch = _count_steps(experiment, settings)
    self._total_steps = settings.epochs * self._steps_per_epoch
    # Before the optimizer is built, which may take copies of the weights.
    self._origin = self._take_over_weights()
    with self._strategy.scope():
      if getattr(self.model, 'optimizer', None) is None:
        self.model.compile(optimizer=settings.build_optimizer(self._total_steps), jit_compile=False)
      averaging.create_state(self.model.optimizer, self.model.trainable_variables)
    self._averages = averaging.Averages(self.model.optimizer, self.model.trainable_variables)
    self._progress = Progress()
    several = 'MultiWorker' in type(self._strategy).__name__
    self._checkpoints = Checkpoints(
        model_dir, self.model, self._progress, keep=settings.keep_checkpoints,
        # Workers must save together, which their clocks do not allow.
        every_steps=settings.checkpoint_steps or (self._steps_per_epoch if several else 0),
        every_minutes=settings.checkpoint_minutes)
    self._restored = self._checkpoints.restore()
    if self._restored:
      # Checkpoints are written with the averaged weights in the model's place.
      self._averages.swap()
    self._eval_data = None if settings.eval_steps == 0 else self._distribute_eval()
    self._train_function = self._compile(self.model.train_step)
    self._eval_function = self._compile(self.model.test_step)
    self._bar = Bar(self._total_steps, self._global_step(), show_progress)
    self._callbacks = self._build_callbacks()

  def stop(self) -> None:
    """Asks the training to end after the current step, with a checkpoint; may be called from a signal handler."""
    self._stop = True

  def run(self, after_first_step: Optional[Callable[[], None]] = None) -> dict[str, float]:
    """Trains to the end, or until `stop` is called.

    Args:
      after_first_step: called once, when everything the settings ask for has been built and used.

    Returns:
      The scalars of the last epoch, those of its evaluation with the prefix 'val_'.

    Raises:
      UserError: the loss is not a number, the data end early, or a file cannot be written.
    """
    if self._restored:
      self._bar.note(f'going on from {self._restored} (epoch {int(self._progress.epoch) + 1})')
    elif self._origin:
      self._bar.note(self._origin)
    logs = {}
    try:
      self._callbacks.on_train_begin()
      while int(self._progress.epoch) < self._settings.epochs and not self._stop and not self._out_of_patience():
        logs = self._run_epoch(after_first_step)
        after_first_step = None
      self._callbacks.on_train_end()
      self._save(self._global_step())
      self._checkpoints.close()
      if not self._stop:
        self._mark_final(logs)
    finally:
      self._bar.close()
    return logs

  def _take_over_weights(self) -> str:
    """Starts from another training's weights if that is asked for and there is nothing to go on from."""
    if not self._settings.initial_weights or has_checkpoint(self._model_dir):
      return ''
    return initial_weights.take_over(self._settings.initial_weights, self.model)

  def _run_epoch(self, after_first_step: Optional[Callable[[], None]]) -> dict[str, float]:
    epoch = int(self._progress.epoch)
    self.model.reset_metrics()
    # A method may train otherwise from some epoch on.
    if hasattr(self.model, 'begin_epoch') and self.model.begin_epoch(epoch):
      self._train_function = self._compile(self.model.train_step)
    self._callbacks.on_epoch_begin(epoch)
    logs, before = {}, None
    for batch in self._batches(epoch):
      self._callbacks.on_train_batch_begin(self._global_step() + 1)
      logs = {name: float(value) for name, value in self._train_function(batch).items()}
      step = self._global_step() + 1
      if not math.isfinite(logs['loss']):
        self._stop_at_nan(step, batch, before)
      self._progress.step.assign_add(1)
      self._report_step(step, batch, logs)
      if after_first_step:
        after_first_step = after_first_step()
      if self._checkpoints.due(step):
        self._save(step)
      if self._stop:
        return logs
      before = batch
    return self._end_epoch(epoch, logs)

  def _end_epoch(self, epoch: int, logs: dict[str, float]) -> dict[str, float]:
    if self._eval_data is not None and ((epoch + 1) % self._settings.eval_every == 0
                                        or epoch + 1 == self._settings.epochs):
      with self._averages.in_use():
        logs = {**logs, **self._evaluate()}
    self._progress.epoch.assign(epoch + 1)
    self._progress.step.assign(0)
    self._callbacks.on_epoch_end(epoch, logs)
    self._bar.note(f'epoch {epoch + 1}/{self._settings.epochs}: {format_logs(logs)}')
    return logs

  def _batches(self, epoch: int) -> Iterator[Any]:
    """Yields what is left of the epoch's global batches, spread over the replicas."""
    done = int(self._progress.step)
    count = self._steps_per_epoch - done
    if not count:
      return
    dataset = self._experiment.train_data(self._settings.seed, epoch, done).take(count)
    number = 0
    for number, batch in enumerate(self._distribute(dataset), 1):
      yield batch
      if number == count:
        return
    raise UserError(f'the training data end after {done + number} of {self._steps_per_epoch} batches; '
                    'lower train.steps_per_epoch or make more records.')

  def _save(self, step: int) -> None:
    with self._averages.in_use():
      self._checkpoints.save(step)

  def _evaluate(self) -> dict[str, float]:
    self._callbacks.on_test_begin()
    self.model.reset_metrics()
    logs = {}
    for batch in self._eval_data:
      logs = self._eval_function(batch)
    logs = {name: float(value) for name, value in logs.items()}
    if not logs:
      raise UserError('the evaluation data hold not one batch; make more records, or set train.eval_steps = 0.')
    if self._settings.monitor not in logs:
      raise UserError(f'train.monitor is {self._settings.monitor!r}; the model reports {", ".join(sorted(logs))}.')
    self._progress.judge(logs[self._settings.monitor])
    self._callbacks.on_test_end({**logs, 'step': self._global_step()})
    return {f'val_{name}': value for name, value in logs.items()}

  def _report_step(self, step: int, batch: Any, logs: dict[str, float]) -> None:
    parts = self._strategy.experimental_local_results(tf.nest.flatten(batch)[0])
    self._callbacks.on_train_batch_end(step, {**logs, 'images': sum(part.shape[0] for part in parts)})
    self._bar.advance(logs)

  def _stop_at_nan(self, step: int, batch: Any, before: Any) -> None:
    """Saves the batch whose loss is not a number, and the one before, which may have spoilt the weights."""
    path = os.path.join(self._model_dir, f'nan_batch_step_{step}.npz')
    arrays = {**self._to_arrays('batch', batch), **({} if before is None else self._to_arrays('before', before))}
    with atomic_path(path) as temporary:
      np.savez_compressed(temporary, **arrays)
    raise UserError(f'the loss is not a number at step {step}; its batch and the one before are in {path}. '
                    'Look at their labels, lower the learning rate, or set build_optimizer.clip_norm.')

  def _to_arrays(self, prefix: str, batch: Any) -> dict[str, np.ndarray]:
    items = batch.items() if isinstance(batch, dict) else enumerate(tf.nest.flatten(batch))
    return {f'{prefix}/{name}': _storable(np.concatenate(
        [part.numpy() for part in self._strategy.experimental_local_results(value)])) for name, value in items}

  def _mark_final(self, logs: dict[str, float]) -> None:
    with atomic_path(os.path.join(self._model_dir, FINAL)) as path, open(path, 'w', encoding='utf-8') as file:
      json.dump({'step': self._global_step(), 'epochs': int(self._progress.epoch), **logs}, file, indent=2)

  def _compile(self, step: Callable) -> Callable:
    """Makes `step` run on all replicas, its scalars averaged over them."""
    inner = tf.function(step, jit_compile=True) if self._settings.jit_compile else step

    @tf.function
    def function(batch):
      logs = self._strategy.run(lambda part: inner(_without_strings(part)), args=(batch,))
      return {name: self._strategy.reduce('MEAN', value, axis=None) for name, value in logs.items()}
    return function

  def _distribute(self, dataset: tf.data.Dataset) -> Any:
    return self._strategy.experimental_distribute_dataset(by_batch(dataset))

  def _distribute_eval(self) -> Any:
    dataset = self._experiment.eval_data()
    if self._settings.eval_steps:
      dataset = dataset.take(self._settings.eval_steps)
    if self._strategy.num_replicas_in_sync > 1:
      # A smaller last batch could leave a replica without any image.
      size = next((tf.nest.flatten(batch)[0].shape[0] for batch in dataset), 0)
      dataset = dataset.filter(lambda batch: tf.equal(tf.shape(tf.nest.flatten(batch)[0])[0], size))
    return self._distribute(dataset)

  def _build_callbacks(self) -> tf.keras.callbacks.CallbackList:
    # A curve of its own for each worker: two writers of one would show each point twice.
    log_dir = os.path.join(self._model_dir, LOGS) + worker_suffix()
    callbacks = [Scalars(log_dir, self._settings.log_steps)]
    built = [build(self.model, self._experiment, self._settings, log_dir) for build in self._settings.callbacks]
    callbacks += [callback for callback in built if callback is not None]
    return tf.keras.callbacks.CallbackList(callbacks, add_history=False, model=self.model)

  def _global_step(self) -> int:
    return int(self._progress.epoch) * self._steps_per_epoch + int(self._progress.step)

  def _out_of_patience(self) -> bool:
    return 0 < self._settings.patience <= int(self._progress.wait)


def _build(experiment: Experiment) -> tf.keras.Model:
  """The method of an experiment, which must be one that learns."""
  built = experiment.build_method()
  if not isinstance(built, tf.keras.Model):
    raise UserError(f'{type(built).__name__} has nothing to train; evaluate it by python -m dhpe_tf.evaluate '
                    '--gin_file=..., or use it by python -m dhpe_tf.predict --gin_file=...')
  return built


def _count_steps(experiment: Experiment, settings: TrainSettings) -> int:
  if settings.steps_per_epoch:
    return settings.steps_per_epoch
  count = int(experiment.train_data(settings.seed, 0).cardinality())
  if count < 1:
    raise UserError('the length of the training data is not known; set train.steps_per_epoch.')
  return count


def _without_strings(batch: Any) -> Any:
  """A dict batch without its strings (names, for people), which accelerators cannot hold."""
  if not isinstance(batch, dict):
    return batch
  return {name: value for name, value in batch.items() if value.dtype != tf.string}


def _storable(array: np.ndarray) -> np.ndarray:
  """Strings as fixed-length bytes, so that the file can be read without pickle."""
  return array.astype(np.bytes_) if array.dtype == object else array
