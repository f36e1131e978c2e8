"""Times training steps and their parts: `python -m tests.benchmarks.training` prints a Markdown table.

A step runs on generated data in memory, for gin/rendered.gin and for the networks of gin/rhd.gin (the paper's:
ResNet-50 and a pose machine at 224 px, with every loss of Eq. 7). The hand layer and the renderer are also timed alone,
forward and backward, on as many hands as a step poses and draws. The rest of the step is networks, losses and
optimizer.
"""
import os
import statistics
import time
from collections.abc import Callable

import gin
import tensorflow as tf
from absl import app, flags

from tests.methods.dhpe import example_batch

_CLOCK = flags.DEFINE_enum('clock', 'wall', ['wall', 'cpu'],
                           'What is measured; the processor time of all threads is steadier on a busy machine.')
_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Steps of which the median counts.', lower_bound=1)
_THREADS = flags.DEFINE_integer('threads', 0, 'Threads; 0 leaves it to TensorFlow.')
_BATCHES = {'quickstart': 32, 'ResNet-50': 4}
TARGET_SHARE = 0.15  # share of hand layer and renderer in a step with ResNet-50


def load(name: str) -> tuple[tf.keras.Model, dict]:
  """Returns a compiled model and a batch for it.

  Args:
    name: key of `_BATCHES`.
  """
  from dhpe_tf import configuration
  from dhpe_tf.methods.dhpe import model as dhpe_model
  from dhpe_tf.tasks.hand.task import HandTask
  from dhpe_tf.training.schedules import build_optimizer
  if name == 'quickstart':
    configuration.load(['rendered.gin'], ["RECORDS = 'none'"])
  else:
    configuration.load(['models/paper.gin'])
  model = dhpe_model.build_model(HandTask())
  model.compile(optimizer=build_optimizer(1000))
  batch = example_batch.make_batch(_BATCHES[name], model.inputs[0].shape[1])
  gin.clear_config()
  return model, {key: value for key, value in batch.items() if value.dtype != tf.string}


def parts(model: tf.keras.Model, batch: dict) -> dict[str, Callable[[], tf.Tensor]]:
  """Returns the step and its parts by name, each a function that runs it once."""
  h = model(batch['image'])['parameters']
  rounds = model.output['joints_2d_rounds'].shape[1] - 1
  posed = tf.tile(h, [max(rounds, 1), 1])
  vertices = model.hand(h)['vertices']

  def gradient(function: Callable[[tf.Tensor], tf.Tensor], at: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
      tape.watch(at)
      value = function(at)
    return tape.gradient(value, at)

  def hand(at: tf.Tensor) -> tf.Tensor:
    found = model.hand(at)
    return tf.reduce_sum(found['vertices'] ** 2) + tf.reduce_sum(found['joints_3d'])
  functions = {
      'step': tf.function(lambda: model.train_step(batch)['loss'], autograph=False),
      'hand layer': tf.function(lambda: gradient(hand, posed), autograph=False),
      'renderer': tf.function(lambda: gradient(
          lambda at: tf.reduce_sum(model.silhouette(at) ** 2), vertices), autograph=False),
  }
  return {name: lambda function=function: function().numpy() for name, function in functions.items()}


def seconds(call: Callable[[], tf.Tensor]) -> float:
  """Returns the median seconds of a call, by --clock."""
  clock = time.process_time if _CLOCK.value == 'cpu' else time.perf_counter

  def timed() -> float:
    start = clock()
    call()
    return clock() - start
  call()
  return statistics.median(timed() for _ in range(_ROUNDS.value))


def main(_):
  """Prints speed, step time and shares of hand layer and renderer for both models."""
  if _THREADS.value:
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
  print(f'{_CLOCK.value} clock, {os.cpu_count()} cores, threads: {_THREADS.value or "as TensorFlow takes them"}\n')
  columns = ['training of', 'batch', 'images / s', 'step, ms', 'hand layer', 'renderer', 'networks and the rest',
             'hand layer + renderer', 'target']
  for cells in (columns, ['---'] * len(columns)):
    print(f'| {" | ".join(cells)} |', flush=True)
  for name, count in _BATCHES.items():
    times = {part: seconds(call) for part, call in parts(*load(name)).items()}
    shares = [times[part] / times['step'] for part in ('hand layer', 'renderer')]
    cells = [name, str(count), f'{count / times["step"]:.1f}', f'{1000 * times["step"]:.0f}',
             *(f'{100 * share:.1f}%' for share in (*shares, 1 - sum(shares), sum(shares))),
             f'< {100 * TARGET_SHARE:.0f}%' if name == 'ResNet-50' else '-']
    print(f'| {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
  app.run(main)
