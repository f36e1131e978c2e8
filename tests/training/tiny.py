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

from dhpe_tf.training.settings import TrainSettings
from dhpe_tf.training.trainer import Trainer


class TinyModel(tf.keras.Model):
  """Fits `target` by a dense layer with dropout; logs the mean loss of the epoch."""

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    self.mean_loss = tf.keras.metrics.Mean('loss')

  @property
  def metrics(self):
    return [self.mean_loss]

  def losses_of(self, batch, training):
    prediction = self(batch['image'], training=training)['joints_2d']
    return tf.reduce_mean((tf.cast(prediction, tf.float32) - batch['target'])**2, axis=[1, 2])

  def train_step(self, batch):
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    with tf.GradientTape() as tape:
      losses = self.losses_of(batch, True)
      loss = tf.reduce_mean(losses) / replicas
    self.optimizer.apply_gradients(zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables))
    self.mean_loss.update_state(losses)
    return {'loss': self.mean_loss.result()}

  def test_step(self, batch):
    self.mean_loss.update_state(self.losses_of(batch, False))
    return {'loss': self.mean_loss.result()}


@gin.configurable
def build_tiny_model(units=3, dropout=0.3, last='joints'):
  image = tf.keras.Input([4, 4, 3])
  x = tf.keras.layers.Dense(units, activation='relu', name='hidden')(tf.keras.layers.Flatten()(image))
  x = tf.keras.layers.Dropout(dropout)(x)
  joints = tf.keras.layers.Reshape([21, 2])(tf.keras.layers.Dense(42, name=last)(x))
  return TinyModel(image, {'joints_2d': joints})


@gin.configurable
def build_tiny_dataset(training, seed, epoch, skip_batches=0, count=24, batch_size=4, bad=None):
  """Batches that depend on (seed, epoch); the one numbered `bad` holds a NaN."""
  random = np.random.RandomState(1000 * seed + epoch if training else 12345)
  images = random.uniform(size=[count, 4, 4, 3]).astype(np.float32)
  target = np.tile(images.mean((1, 2, 3))[:, None, None], [1, 21, 2]).astype(np.float32)
  if training and bad is not None:
    target[bad * batch_size] = np.nan
  ids = np.array([f'{epoch}-{i}' for i in range(count)])
  return tf.data.Dataset.from_tensor_slices({'image': images, 'target': target, 'id': ids}).batch(
      batch_size).skip(skip_batches)


def settings(**changes):
  return TrainSettings(**{**dict(build_model=build_tiny_model, build_dataset=build_tiny_dataset, epochs=2,
                                 checkpoint_steps=4, log_steps=2, strategy='one'), **changes})


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
  killers = [lambda model, settings, log_dir: KillAt(int(sys.argv[2]))] if len(sys.argv) > 2 else []
  Trainer(settings(callbacks=killers), sys.argv[1], show_progress=False).run()
