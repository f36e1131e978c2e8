"""Callbacks that write scalars, curves, pictures and meshes to TensorBoard during a training."""
import os
import time
from collections.abc import Sequence
from typing import Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.experiment import Experiment
from dhpe_tf.methods import method
from dhpe_tf.tasks.task import Task
from dhpe_tf.training.settings import TrainSettings
from dhpe_tf.visualization import curves


@gin.configurable(module='train')
def pictures(model: method.Method, experiment: Experiment, settings: TrainSettings, log_dir: str,
             count: int = 4) -> Optional[tf.keras.callbacks.Callback]:
  """Builds the callback that draws the answers for the first held-out instances after every evaluation.

  For `train.callbacks`.

  Args:
    model: the method in training.
    experiment: source of the instances.
    settings: of the training.
    log_dir: TensorBoard's folder.
    count: number of instances.

  Returns:
    The callback; None if the training has no evaluations.
  """
  if settings.eval_steps == 0:
    return None
  batch = next(iter(experiment.eval_data()))
  return Pictures(log_dir, experiment.task, {name: value[:count] for name, value in batch.items()})


@gin.configurable(module='train')
def held_out_measures(model: method.Method, experiment: Experiment, settings: TrainSettings, log_dir: str,
                      count: int = 256) -> Optional[tf.keras.callbacks.Callback]:
  """Builds the callback that measures the first held-out instances by the task's default protocol.

  For `train.callbacks`; it runs after every evaluation.

  Args:
    model: the method in training.
    experiment: source of the instances.
    settings: of the training.
    log_dir: TensorBoard's folder.
    count: smallest number of instances; whole batches are taken until it is reached.

  Returns:
    The callback; None if the training has no evaluations.
  """
  if settings.eval_steps == 0:
    return None
  batches, taken = [], 0
  for batch in experiment.eval_data():
    batches.append(batch)
    taken += len(tf.nest.flatten(batch)[0])
    if taken >= count:
      break
  return HeldOutMeasures(log_dir, experiment.task, batches)


class Scalars(tf.keras.callbacks.Callback):
  """Writes the scalars of the steps, the learning rate and images per second, and the scalars of evaluations."""

  def __init__(self, log_dir: str, every_steps: int = 20):
    """Opens the event files.

    Args:
      log_dir: TensorBoard's folder.
      every_steps: steps between two points of the training's curves.
    """
    super().__init__()
    self._train = tf.summary.create_file_writer(os.path.join(log_dir, 'train'))
    self._eval = tf.summary.create_file_writer(os.path.join(log_dir, 'eval'))
    self._every_steps = every_steps
    self._images = 0
    self._since = time.monotonic()

  def on_train_batch_end(self, batch: int, logs: dict) -> None:
    """Writes the scalars of every `every_steps`-th step.

    Args:
      batch: the global step.
      logs: scalars of the step, and 'images', the size of the batch.
    """
    self._images += logs['images']
    if batch % self._every_steps:
      return
    now = time.monotonic()
    speed = {'images_per_second': self._images / max(now - self._since, 1e-9)}
    self._images, self._since = 0, now
    self._write(self._train, batch, {**logs, **speed, 'learning_rate': self._learning_rate()})

  def on_test_begin(self, logs: dict) -> None:
    """Writes buffered points to the disk, so that a killed run keeps them."""
    self._train.flush()

  def on_test_end(self, logs: dict) -> None:
    """Writes the scalars of an evaluation.

    Args:
      logs: the scalars, and 'step', the global step.
    """
    self._write(self._eval, logs['step'], {name: value for name, value in logs.items() if name != 'step'})
    # Time spent in the evaluation does not count as training.
    self._images, self._since = 0, time.monotonic()

  def on_train_end(self, logs: dict) -> None:
    """Closes the event files."""
    self._train.close()
    self._eval.close()

  def _learning_rate(self) -> float:
    """The optimizer's learning rate at its current step."""
    rate = self.model.optimizer.learning_rate
    return float(tf.convert_to_tensor(rate(self.model.optimizer.iterations) if callable(rate) else rate))

  @staticmethod
  def _write(writer: tf.summary.SummaryWriter, step: int, values: dict) -> None:
    """Writes scalars at a step and flushes the file."""
    with writer.as_default(step):
      for name, value in values.items():
        tf.summary.scalar(name, value)
    writer.flush()


class HeldOutMeasures(tf.keras.callbacks.Callback):
  """Writes measures and curves of a few held-out batches after every evaluation."""

  def __init__(self, log_dir: str, task: Task, batches: Sequence[dict]):
    """Opens the event file and collects the labels of the batches.

    Args:
      log_dir: TensorBoard's folder.
      task: measures the predictions.
      batches: of the task.
    """
    super().__init__()
    self._writer = tf.summary.create_file_writer(os.path.join(log_dir, 'eval'))
    self._task, self._batches = task, batches
    known = [name for name, entry in task.batch.items() if name in task.labels or entry.optional]
    self._labels = {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in known
                    if name in batches[0]}

  def on_test_end(self, logs: dict) -> None:
    """Measures the batches and writes the result at step `logs['step']`."""
    measured = self._task.measure(self._task.protocols[0], self._predictions(), self._labels)
    with self._writer.as_default(logs['step']):
      for column in self._task.columns:
        value = column.of(measured.measures)
        if value is not None:
          tf.summary.scalar(column.measure, value)
      if measured.curves:
        picture = curves.draw_curves(self._task.curve_axes, measured.curves, f'step {logs["step"]}')
        tf.summary.image('curves', picture[None])
    self._writer.flush()

  def _predictions(self) -> dict[str, np.ndarray]:
    """The task's predictions for all batches together, by name."""
    parts = []
    for batch in self._batches:
      outputs = self.model.answer(method.inputs_of(batch, self.model.input_specs))
      parts.append(self._task.predictions(outputs, batch))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Pictures(tf.keras.callbacks.Callback):
  """Draws the answers for a few held-out instances, as pictures and 3D meshes, after every evaluation."""

  def __init__(self, log_dir: str, task: Task, batch: dict):
    """Opens the event file.

    Args:
      log_dir: TensorBoard's folder.
      task: draws the answers.
      batch: the instances.
    """
    super().__init__()
    self._writer = tf.summary.create_file_writer(os.path.join(log_dir, 'eval'))
    self._task, self._batch, self._card = task, batch, task.describe()

  def on_test_end(self, logs: dict) -> None:
    """Draws the current answers and writes them at step `logs['step']`."""
    from tensorboard.plugins.mesh import summary_v2 as mesh_summary

    outputs = self.model.answer(method.inputs_of(self._batch, self.model.input_specs))
    panels = [self._draw(number, outputs) for number in range(len(tf.nest.flatten(self._batch)[0]))]
    surface = self._task.surface(outputs, self._card)
    with self._writer.as_default(logs['step']):
      tf.summary.image('results', np.stack(panels), max_outputs=len(panels))
      if surface is not None:
        faces = tf.tile(surface.faces[None], [len(surface.vertices), 1, 1])
        mesh_summary.mesh('mesh', surface.vertices, faces=faces)
    self._writer.flush()

  def _draw(self, number: int, outputs: dict) -> np.ndarray:
    """Draws instance `number` of the batch and its answer, uint8 [H, W, 3]."""
    inputs = {name: np.asarray(value[number]) for name, value in self._batch.items()}
    answer = {name: np.asarray(value[number]) for name, value in outputs.items() if not isinstance(value, list)}
    return self._task.draw_outputs(inputs, answer, self._card)
