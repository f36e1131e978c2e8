"""The training loop: trains any Keras model with a `train_step`, under any strategy, and resumes after any stop."""
import json
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf import json_files
from dhpe_tf.data.input_pipeline import by_batch
from dhpe_tf.errors import UserError
from dhpe_tf.experiment import Experiment
from dhpe_tf.files import atomic_path
from dhpe_tf.training import averaging, initial_weights, shares
from dhpe_tf.training.callbacks import Scalars
from dhpe_tf.training.checkpoints import Checkpoints, has_checkpoint, worker_suffix
from dhpe_tf.training.progress import Bar, Progress, format_logs
from dhpe_tf.training.settings import TrainSettings
from dhpe_tf.training.strategies import build_strategy

FINAL = 'final'
LOGS = 'logs'


class Trainer:
  """Trains the method of an experiment and keeps everything in `model_dir`.

  The data are a function of (seed, epoch), and every checkpoint holds the position in them: a training that was killed
  and resumed ends with the same weights as an uninterrupted one.

  Attributes:
    model: the model in training.
  """

  def __init__(self, experiment: Experiment, settings: TrainSettings, model_dir: str, show_progress: bool = True):
    """Builds model and optimizer and restores the latest checkpoint in `model_dir`, if there is one.

    Args:
      experiment: task, method and data.
      settings: of the training.
      model_dir: folder of the training.
      show_progress: whether to show a bar.

    Raises:
      UserError: unknown settings, a method that learns nothing, or a `model_dir` of another architecture.
    """
    self._experiment = experiment
    self._settings = settings
    self._model_dir = model_dir
    self._stop = False
    # Comes first: workers must be joined before TensorFlow has run anything.
    self._strategy = build_strategy(settings.strategy, settings.tpu)
    tf.keras.utils.set_random_seed(settings.seed)
    # Makes random layers keep their state in variables, which checkpoints save.
    tf.keras.backend.experimental.enable_tf_random_generator()
    tf.keras.mixed_precision.set_global_policy(settings.precision)
    with self._strategy.scope():
      self.model = _build(experiment)
    self._steps_per_epoch = _count_steps(experiment, settings)
    self._total_steps = settings.epochs * self._steps_per_epoch
    # Before the optimizer is built, because it may copy the weights.
    self._origin = self._take_over_weights()
    with self._strategy.scope():
      if getattr(self.model, 'optimizer', None) is None:
        self.model.compile(optimizer=settings.build_optimizer(self._total_steps), jit_compile=False)
        shares.slow_down(self.model.optimizer, *getattr(self.model, 'slowed', ((), 1.)))
      averaging.create_state(self.model.optimizer, self.model.trainable_variables)
    self._averages = averaging.Averages(self.model.optimizer, self.model.trainable_variables)
    self._progress = Progress()
    several = 'MultiWorker' in type(self._strategy).__name__
    self._checkpoints = Checkpoints(
        model_dir, self.model, self._progress, keep=settings.keep_checkpoints,
        # Workers must save at the same step, so their clocks cannot decide.
        every_steps=settings.checkpoint_steps or (self._steps_per_epoch if several else 0),
        every_minutes=settings.checkpoint_minutes)
    self._restored = self._checkpoints.restore()
    if self._restored:
      # Checkpoints hold the averaged weights in the model's variables.
      self._averages.swap()
    self._eval_data = None if settings.eval_steps == 0 else self._distribute_eval()
    self._train_function = self._compile(self.model.train_step)
    self._eval_function = self._compile(self.model.test_step)
    self._callbacks = self._build_callbacks()
    # Comes last: a bar that is open when an error is printed is drawn once more behind it.
    self._bar = Bar(self._total_steps, self._global_step(), show_progress)

  def stop(self) -> None:
    """Requests that the training end after the current step, with a checkpoint; safe in a signal handler."""
    self._stop = True

  def run(self, after_first_step: Optional[Callable[[], None]] = None) -> dict[str, float]:
    """Trains to the configured end, or until `stop` is called.

    Args:
      after_first_step: called once after the first step, when everything that the settings ask for has been used.

    Returns:
      The scalars of the last epoch; those of its evaluation have the prefix 'val_'.

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
        self._mark_final()
    finally:
      self._bar.close()
    return logs

  def _take_over_weights(self) -> str:
    """Copies the weights of `initial_weights` unless there is a checkpoint; returns a text about it or ''."""
    if not self._settings.initial_weights or has_checkpoint(self._model_dir):
      return ''
    return initial_weights.take_over(self._settings.initial_weights, self.model)

  def _run_epoch(self, after_first_step: Optional[Callable[[], None]]) -> dict[str, float]:
    """Trains to the end of the epoch or until a stop; returns the scalars of the last step and of the evaluation."""
    epoch = int(self._progress.epoch)
    # Within an epoch the means go on from the sums of the checkpoint, so that they cover the whole epoch.
    if not int(self._progress.step):
      self.model.reset_metrics()
    # The method's train_step may change at this epoch.
    if hasattr(self.model, 'begin_epoch') and self.model.begin_epoch(epoch):
      self._train_function = self._compile(self.model.train_step)
    self._callbacks.on_epoch_begin(epoch)
    logs, before = self._means_so_far(), None
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

  def _means_so_far(self) -> dict[str, float]:
    """The means over the finished steps of the epoch, whose last one a checkpoint may hold; empty at its start."""
    return {mean.name: float(mean.result()) for mean in self.model.metrics} if int(self._progress.step) else {}

  def _end_epoch(self, epoch: int, logs: dict[str, float]) -> dict[str, float]:
    """Evaluates if it is time, advances the epoch and reports it; returns the scalars with those of the evaluation."""
    if self._eval_data is not None and ((epoch + 1) % self._settings.eval_every == 0
                                        or epoch + 1 == self._settings.epochs):
      with self._averages.in_use():
        logs = {**logs, **self._evaluate()}
    self._progress.epoch.assign(epoch + 1)
    self._progress.step.assign(0)
    self._checkpoints.scalars.note(logs)
    self._callbacks.on_epoch_end(epoch, logs)
    self._bar.note(f'epoch {epoch + 1}/{self._settings.epochs}: {format_logs(logs)}')
    if hasattr(self.model, 'warnings'):
      for text in self.model.warnings(logs):
        self._bar.note(f'warning: {text}')
    return logs

  def _batches(self, epoch: int) -> Iterator[Any]:
    """Yields the remaining global batches of the epoch, distributed over the replicas."""
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
    """Saves a checkpoint with the averaged weights in the model."""
    with self._averages.in_use():
      self._checkpoints.save(step)

  def _evaluate(self) -> dict[str, float]:
    """Evaluates on the held-out batches; returns the scalars with the prefix 'val_'."""
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
    """Passes a step's scalars and its number of images to callbacks and bar."""
    parts = self._strategy.experimental_local_results(tf.nest.flatten(batch)[0])
    self._callbacks.on_train_batch_end(step, {**logs, 'images': sum(part.shape[0] for part in parts)})
    self._bar.advance(logs)

  def _stop_at_nan(self, step: int, batch: Any, before: Any) -> None:
    """Saves the batch with a non-finite loss and the one before, whose step may be the cause; raises a UserError."""
    path = os.path.join(self._model_dir, f'nan_batch_step_{step}.npz')
    arrays = {**self._to_arrays('batch', batch), **({} if before is None else self._to_arrays('before', before))}
    with atomic_path(path) as temporary:
      np.savez_compressed(temporary, **arrays)
    raise UserError(f'the loss is not a number at step {step}; its batch and the one before are in {path}. '
                    'Look at their labels, lower the learning rate, or set build_optimizer.clip_norm.')

  def _to_arrays(self, prefix: str, batch: Any) -> dict[str, np.ndarray]:
    """Converts a distributed batch to NumPy arrays by name, each name with `prefix`."""
    items = batch.items() if isinstance(batch, dict) else enumerate(tf.nest.flatten(batch))
    return {f'{prefix}/{name}': _storable(np.concatenate(
        [part.numpy() for part in self._strategy.experimental_local_results(value)])) for name, value in items}

  def _mark_final(self) -> None:
    """Writes the file `final` with step, epochs and the scalars of the last epoch.

    A kill between the last checkpoint and `final` leaves none, or that of an earlier and shorter training. The next
    start has nothing to train and takes the scalars from the checkpoint.
    """
    final = os.path.join(self._model_dir, FINAL)
    scalars = self._checkpoints.scalars.read()
    # Checkpoints of earlier versions hold no scalars; then a file of this step knows more.
    if not scalars and _step_of(final) == self._global_step():
      return
    with atomic_path(final) as path, open(path, 'w', encoding='utf-8') as file:
      json.dump({'step': self._global_step(), 'epochs': int(self._progress.epoch), **scalars}, file, indent=2)

  def _compile(self, step: Callable) -> Callable:
    """Returns `step` as a function of a distributed batch; its scalars are averaged over the replicas."""
    inner = tf.function(step, jit_compile=True) if self._settings.jit_compile else step

    @tf.function
    def function(batch):
      logs = self._strategy.run(lambda part: inner(_without_strings(part)), args=(batch,))
      return {name: self._strategy.reduce('MEAN', value, axis=None) for name, value in logs.items()}
    return function

  def _distribute(self, dataset: tf.data.Dataset) -> Any:
    """Distributes a dataset over the replicas, each batch split among them."""
    return self._strategy.experimental_distribute_dataset(by_batch(dataset))

  def _distribute_eval(self) -> Any:
    """Distributes the held-out batches; under several replicas, batches smaller than the first are left out."""
    dataset = self._experiment.eval_data()
    if self._settings.eval_steps:
      dataset = dataset.take(self._settings.eval_steps)
    if self._strategy.num_replicas_in_sync > 1:
      # A smaller last batch could leave a replica without images.
      size = next((tf.nest.flatten(batch)[0].shape[0] for batch in dataset), 0)
      dataset = dataset.filter(lambda batch: tf.equal(tf.shape(tf.nest.flatten(batch)[0])[0], size))
    return self._distribute(dataset)

  def _build_callbacks(self) -> tf.keras.callbacks.CallbackList:
    """Builds the scalars' callback and those of the settings."""
    # Each worker writes its own curve; two writers of one curve would show each point twice.
    log_dir = os.path.join(self._model_dir, LOGS) + worker_suffix()
    callbacks = [Scalars(log_dir, self._settings.log_steps)]
    built = [build(self.model, self._experiment, self._settings, log_dir) for build in self._settings.callbacks]
    callbacks += [callback for callback in built if callback is not None]
    return tf.keras.callbacks.CallbackList(callbacks, add_history=False, model=self.model)

  def _global_step(self) -> int:
    """Number of finished steps since the start of the training."""
    return int(self._progress.epoch) * self._steps_per_epoch + int(self._progress.step)

  def _out_of_patience(self) -> bool:
    """Whether too many evaluations have passed without a better value."""
    return 0 < self._settings.patience <= int(self._progress.wait)


def _build(experiment: Experiment) -> tf.keras.Model:
  """Builds the method of an experiment; raises a UserError if it has nothing to train."""
  built = experiment.build_method()
  if not isinstance(built, tf.keras.Model):
    raise UserError(f'{type(built).__name__} has nothing to train; evaluate it by python -m dhpe_tf.evaluate '
                    '--gin_file=..., or use it by python -m dhpe_tf.predict --gin_file=...')
  return built


def _count_steps(experiment: Experiment, settings: TrainSettings) -> int:
  """Returns the steps of an epoch from the settings or the dataset; raises a UserError if neither gives them."""
  if settings.steps_per_epoch:
    return settings.steps_per_epoch
  count = int(experiment.train_data(settings.seed, 0).cardinality())
  if count < 1:
    raise UserError('the length of the training data is not known; set train.steps_per_epoch.')
  return count


def _step_of(final: str) -> Optional[int]:
  """The step in a file `final`; None if it is missing or damaged."""
  try:
    return json_files.read_object(final).get('step')
  except UserError:
    return None


def _without_strings(batch: Any) -> Any:
  """Drops string tensors from a dict batch; accelerators cannot hold them."""
  if not isinstance(batch, dict):
    return batch
  return {name: value for name, value in batch.items() if value.dtype != tf.string}


def _storable(array: np.ndarray) -> np.ndarray:
  """Converts strings to fixed-length bytes, so that the .npz file can be read without pickle."""
  return array.astype(np.bytes_) if array.dtype == object else array
