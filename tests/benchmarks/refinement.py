"""Times the test-time refinement: `python -m tests.benchmarks.refinement` prints a Markdown table.

The time of a step is the difference between many steps and none, divided by their number. Networks are untrained (they
take the same time as trained ones), pictures are noise, and no instance may stop early. The light model is that of
gin/rendered.gin, the large one that of gin/rhd.gin with the paper's ResNet-50. The paper reports 5 ms a step on a
GPU.
"""
import os
import statistics
import time

import gin
import tensorflow as tf
from absl import app, flags

_ROUNDS = flags.DEFINE_integer('rounds', 3, 'Measurements, of which the median counts.', lower_bound=1)
_STEPS = flags.DEFINE_integer('steps', 10, 'Steps of a measurement.', lower_bound=1)
_THREADS = flags.DEFINE_integer('threads', 0, 'Threads; 0 leaves it to TensorFlow.')
_CLOCK = flags.DEFINE_enum('clock', 'wall', ['wall', 'cpu'],
                           'What is measured; the processor time of one thread is steady on a busy machine.')
_BATCHES = flags.DEFINE_list('batches', ['1', '16'], 'Batch sizes; the first is the one that the others are held to.')
_NETS = flags.DEFINE_list('nets', ['none', 'light', 'resnet50'], 'Feature nets to time.')

PAPER_MS = 5.0
# Targets: milliseconds a step at batch 1 on two cores; and the time of an image in a batch of 16 relative to one alone.
TARGETS_MS = {'none': 5.0, 'light': 30.0}
TARGET_SHARE = 0.5
_FILES = {'none': 'models/light.gin', 'light': 'models/light.gin', 'resnet50': 'models/paper.gin'}
_NAMES = {'none': 'no feature term', 'light': 'light net (EfficientNet-Lite0, 128 px)', 'resnet50': 'ResNet-50, 224 px'}


def make_call(net: str):
  """Returns a function (batch, steps) that refines noise images and waits for the result.

  Args:
    net: key of `_FILES`.
  """
  from dhpe_tf import configuration
  from dhpe_tf.methods.dhpe import model as dhpe_model
  from dhpe_tf.methods.dhpe.refinement import at_test_time
  from dhpe_tf.tasks.hand.task import HandTask
  weight = 0.0 if net == 'none' else 1.0
  # The time does not depend on the trunk's weights; the large patience keeps all instances running.
  configuration.load([_FILES[net]], ['backbone.weights = None', f'refinement.Consistency.feature = {weight}',
                                     'descend.patience = 1000000'])
  model = dhpe_model.build_model(HandTask())
  size = model.inputs[0].shape[1]
  refine = tf.function(lambda images, steps: at_test_time.refine(model, images, steps)['parameters'], autograph=False,
                       input_signature=[tf.TensorSpec([None, size, size, 3]), tf.TensorSpec([], tf.int32)])

  def call(batch: int, steps: int) -> None:
    refine(tf.random.stateless_uniform([batch, size, size, 3], [1, 2]), steps).numpy()
  call(1, 1)
  gin.clear_config()
  return call


def milliseconds_a_step(call, batch: int) -> float:
  """Returns the median time of a step in milliseconds, by --clock."""
  clock = time.process_time if _CLOCK.value == 'cpu' else time.perf_counter

  def timed(steps: int) -> float:
    start = clock()
    call(batch, steps)
    return clock() - start
  timed(_STEPS.value)
  return 1000 * statistics.median(
      (timed(_STEPS.value) - timed(0)) / _STEPS.value for _ in range(_ROUNDS.value))


def main(_):
  """Prints the time of a step for each network and batch size, with targets."""
  if _THREADS.value:
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
  batches = [int(batch) for batch in _BATCHES.value]
  columns = ['feature term', *(f'ms a step, batch {batch}' for batch in batches), 'target at 1', 'paper']
  columns += [f'an image at {batch} / at {batches[0]}' for batch in batches[1:]] + ['target']
  print(f'{_CLOCK.value} clock, {os.cpu_count()} cores, threads: {_THREADS.value or "as TensorFlow takes them"}\n')
  for cells in (columns, ['---'] * len(columns)):
    print(f'| {" | ".join(cells)} |')
  for net in _NETS.value:
    call = make_call(net)
    times = {batch: milliseconds_a_step(call, batch) for batch in batches}
    cells = [_NAMES[net], *(f'{each:.2f}' for each in times.values()),
             f'{TARGETS_MS[net]:.0f}' if net in TARGETS_MS else '-', f'{PAPER_MS:.0f}']
    cells += [f'{times[batch] / batch / times[batches[0]]:.2f}' for batch in batches[1:]] + [f'{TARGET_SHARE:.2f}']
    print(f'| {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
  app.run(main)
