"""A model and data of a few numbers, for tests of everything that knows no method.

Run as a program it trains in `argv[1]` and, if `argv[2]` is given, kills itself right after that step.
"""
import os
import signal
import sys
import threading

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.data.contract import Entry
from dhpe_tf.experiment import Experiment
from dhpe_tf.methods import steps
from dhpe_tf.tasks import task
from dhpe_tf.tasks.measured import Measure, Measured
from dhpe_tf.training.settings import TrainSettings
from dhpe_tf.training.trainer import Trainer
from dhpe_tf.visualization import pictures


@gin.configurable
class TinyTask(task.Task):
  """A picture of 4 x 4 pixels in, 42 numbers out."""

  name = 'tiny'
  batch = {'image': Entry(('B', 4, 4, 3), 'float32', 'picture'), 'target': Entry(('B', 21, 2), 'float32', 'numbers'),
           'id': Entry(('B',), 'string', 'name')}
  outputs = {'values': Entry(('B', 21, 2), 'float32', 'numbers')}
  labels = ('target',)

  def instance(self, record, image_size, seed):
    return record

  def measure(self, protocol, predictions, labels, options=None):
    error = float(np.abs(predictions['values'] - labels['target']).mean())
    return Measured({'error': Measure(error, '', 'mean distance')}, {})

  def draw_instance(self, instance):
    return pictures.to_bytes(instance['image'])

  def draw_outputs(self, inputs, outputs, card):
    return pictures.to_bytes(inputs['image'])


TASK = TinyTask()


class TinyModel(steps.TrainableMethod):
  """Fits `target` by a dense layer with dropout; logs the mean loss of the epoch."""

  def losses(self, batch, outputs, training):
    return steps.Losses(self.losses_of(batch, outputs), {})

  def losses_of(self, batch, outputs):
    return tf.reduce_mean((tf.cast(outputs['values'], tf.float32) - batch['target'])**2, axis=[1, 2])


@gin.configurable
def build_tiny_model(task=TASK, units=3, dropout=0.3, last='joints', kind=TinyModel):
  image = tf.keras.Input([4, 4, 3], name='image')
  x = tf.keras.layers.Dense(units, activation='relu', name='hidden')(tf.keras.layers.Flatten()(image))
  x = tf.keras.layers.Dropout(dropout)(x)
  values = tf.keras.layers.Reshape([21, 2])(tf.keras.layers.Dense(42, name=last)(x))
  values = tf.keras.layers.Activation('linear', dtype='float32')(values)
  model = kind(image, {'values': values}, task, 'tiny')
  model.watch([], [])
  return model


@gin.configurable
def build_tiny_dataset(task, training, seed, epoch, skip_batches=0, count=24, batch_size=4, bad=None):
  """Batches that depend on (seed, epoch); the one numbered `bad` holds a NaN."""
  random = np.random.RandomState(1000 * seed + epoch if training else 12345)
  images = random.uniform(size=[count, 4, 4, 3]).astype(np.float32)
  target = np.tile(images.mean((1, 2, 3))[:, None, None], [1, 21, 2]).astype(np.float32)
  if training and bad is not None:
    target[bad * batch_size] = np.nan
  ids = np.array([f'{epoch}-{i}' for i in range(count)])
  return tf.data.Dataset.from_tensor_slices({'image': images, 'target': target, 'id': ids}).batch(
      batch_size).skip(skip_batches)


def trainer(model_dir, build_model=build_tiny_model, build_dataset=build_tiny_dataset, **changes):
  """A trainer of the tiny model; `changes` are settings."""
  experiment = Experiment(TinyTask, lambda task: build_model(), build_dataset)
  settings = TrainSettings(**{**dict(epochs=2, checkpoint_steps=4, log_steps=2, strategy='one'), **changes})
  return Trainer(experiment, settings, str(model_dir), show_progress=False)


class KillAt(tf.keras.callbacks.Callback):
  """Ends the process as a power cut would, right after a step and before what follows it, or some seconds later."""

  def __init__(self, step, delay=0.):
    super().__init__()
    self._step = step
    self._delay = delay

  def on_train_batch_end(self, batch, logs=None):
    if batch < self._step:
      return
    if self._delay:
      threading.Timer(self._delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
      return
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == '__main__':
  killers = [lambda *_: KillAt(int(sys.argv[2]))] if len(sys.argv) > 2 else []
  trainer(sys.argv[1], callbacks=killers).run()
