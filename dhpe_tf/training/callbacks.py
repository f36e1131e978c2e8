"""What is written to TensorBoard while training."""
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
  """Shows the answers for the first held-out instances after every evaluation; for `train.callbacks`.

  Args:
    model: the method in training.
    experiment: gives the instances.
    settings: of the training.
    log_dir: TensorBoard's folder.
    count: instances shown.

  Returns:
    The callback; None where nothing is evaluated.
  """
  if settings.eval_steps == 0:
    return None
  batch = next(iter(experiment.eval_data()))
  return Pictures(log_dir, experiment.task, {name: value[:count] for name, value in batch.items()})


@gin.configurable(module='train')
def held_out_measures(model: method.Method, experiment: Experiment, settings: TrainSettings, log_dir: str,
                      count: int = 256) -> Optional[tf.keras.callbacks.Callback]:
  """Measures held-out instances by the task's default protocol after every evaluation; for `train.callbacks`.

  Args:
    model: the method in training.
    experiment: gives the instances.
    settings: of the training.
    log_dir: TensorBoard's folder.
    count: instances measured, the first ones.

  Returns:
    The callback; None where nothing is evaluated.
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
  """Writes the step's scalars, the learning rate and images per second, and at the end of an epoch the evaluation's."""

  def __init__(self, log_dir: str, every_steps: int = 20):
    super().__init__()
    self._train = tf.summary.create_file_writer(os.path.join(log_dir, 'train'))
    self._eval = tf.summary.create_file_writer(os.path.join(log_dir, 'eval'))
    self._every_steps = every_steps
    self._images = 0
    self._since = time.monotonic()

  def on_train_batch_end(self, batch: int, logs: dict) -> None:
    """Called with the global step; `logs` holds the step's scalars and 'images', the size of the batch."""
    self._images += logs['images']
    if batch % self._every_steps:
      return
    now = time.monotonic()
    speed = {'images_per_second': self._images / max(now - self._since, 1e-9)}
    self._images, self._since = 0, now
    self._write(self._train, batch, {**logs, **speed, 'learning_rate': self._learning_rate()})

  def on_test_begin(self, logs: dict) -> None:
    """Writes out what is there, so that a killed run keeps it."""
    self._train.flush()

  def on_test_end(self, logs: dict) -> None:
    """Called after an evaluation; `logs` holds its scalars and 'step'."""
    self._write(self._eval, logs['step'], {name: value for name, value in logs.items() if name != 'step'})
    # The time spent in the evaluation is no time of training.
    self._images, self._since = 0, time.monotonic()

  def on_train_end(self, logs: dict) -> None:
    """Closes the files."""
    self._train.close()
    self._eval.close()

  def _learning_rate(self) -> float:
    rate = self.model.optimizer.learning_rate
    return float(tf.convert_to_tensor(rate(self.model.optimizer.iterations) if callable(rate) else rate))

  @staticmethod
  def _write(writer: tf.summary.SummaryWriter, step: int, values: dict) -> None:
    with writer.as_default(step):
      for name, value in values.items():
        tf.summary.scalar(name, value)
    writer.flush()


class HeldOutMeasures(tf.keras.callbacks.Callback):
  """Writes the task's measures and curves on a few held-out batches after every evaluation."""

  def __init__(self, log_dir: str, task: Task, batches: Sequence[dict]):
    """Prepares the writer.

    Args:
      log_dir: TensorBoard's folder.
      task: measures.
      batches: of the task.
    """
    super().__init__()
    self._writer = tf.summary.create_file_writer(os.path.join(log_dir, 'eval'))
    self._task, self._batches = task, batches
    known = [name for name, entry in task.batch.items() if name in task.labels or entry.optional]
    self._labels = {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in known
                    if name in batches[0]}

  def on_test_end(self, logs: dict) -> None:
    """Called after an evaluation; `logs` holds 'step'."""
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
    """The model's predictions for all batches."""
    parts = []
    for batch in self._batches:
      outputs = self.model.answer(method.inputs_of(batch, self.model.input_specs))
      parts.append(self._task.predictions(outputs, batch))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Pictures(tf.keras.callbacks.Callback):
  """Writes pictures and 3D meshes of the answers for a few held-out instances after every evaluation."""

  def __init__(self, log_dir: str, task: Task, batch: dict):
    """Prepares the writer.

    Args:
      log_dir: TensorBoard's folder.
      task: draws.
      batch: the instances.
    """
    super().__init__()
    self._writer = tf.summary.create_file_writer(os.path.join(log_dir, 'eval'))
    self._task, self._batch, self._card = task, batch, task.describe()

  def on_test_end(self, logs: dict) -> None:
    """Called after an evaluation; `logs` holds 'step'."""
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
    """The picture of one instance."""
    inputs = {name: np.asarray(value[number]) for name, value in self._batch.items()}
    answer = {name: np.asarray(value[number]) for name, value in outputs.items() if not isinstance(value, list)}
    return self._task.draw_outputs(inputs, answer, self._card)
