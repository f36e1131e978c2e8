"""Measures the cost of new instances in a training step: `python -m tests.benchmarks.selfsup`.

A step of a configuration is timed without and with offspring, in processor time (steadier than the clock on a busy
machine). Pictures are noise with a faint hand; all parents count as plausible, so that all the work is done.
"""
import time
from collections.abc import Callable

from absl import app, flags

_GIN_FILE = flags.DEFINE_string('gin_file', 'rendered.gin', 'Configuration of the model.')
_IMAGES = flags.DEFINE_integer('images', 32, 'Batch size.', lower_bound=1)
_SEEDS = flags.DEFINE_integer('seeds', 4, 'Seeds a batch.', lower_bound=1)
_STEPS = flags.DEFINE_integer('steps', 10, 'Steps timed.', lower_bound=1)


def _milliseconds(call: Callable) -> float:
  """Returns the median processor time of a call in milliseconds, after one call that is not counted."""
  call()
  times = []
  for _ in range(_STEPS.value):
    before = time.process_time()
    call()
    times.append(1000 * (time.process_time() - before))
  return sorted(times)[len(times) // 2]


def main(argv: list[str]) -> None:
  """Prints the times of both steps and of the parts of the second."""
  del argv
  import tensorflow as tf

  from dhpe_tf import configuration
  from dhpe_tf.methods.dhpe import model as dhpe_model
  from dhpe_tf.tasks.hand.task import HandTask
  from tests.methods.dhpe import example_batch
  configuration.load([_GIN_FILE.value], [
      'dhpe.build_model.offspring = @selfsup.Offspring', f'selfsup.Offspring.parents_per_batch = {_SEEDS.value}',
      'selfsup.Offspring.start_epoch = 1', 'selfsup.plausible.least_iou = 0.0', 'selfsup.plausible.most_excess = 1e9'])
  model = dhpe_model.build_model(HandTask())
  model.compile(optimizer=tf.keras.optimizers.Adam(1e-5))
  batch = example_batch.make_batch(_IMAGES.value, model.inputs[0].shape[1])
  del batch['id']

  model.begin_epoch(0)
  plain = tf.function(model.train_step)
  plain_ms = _milliseconds(lambda: plain(batch))
  model.begin_epoch(1)
  mixed = tf.function(model.train_step)
  mixed_ms = _milliseconds(lambda: mixed(batch))
  images = batch['image'][:_SEEDS.value]
  predict = tf.function(lambda: model(images, training=False))
  results, parents = predict(), {name: value[:_SEEDS.value] for name, value in batch.items()}
  # Passed as arguments: TensorFlow would compute a part in advance if they were constants.
  breed = tf.function(model.offspring.breed, autograph=False)
  seed = tf.constant([1, 0], tf.int64)
  born = len(breed(parents, results, seed)['mask'])
  print(f'{_GIN_FILE.value}: {_IMAGES.value} images of {model.inputs[0].shape[1]} px, {_SEEDS.value} seeds, {born} new')
  for name, value in (('plain step', plain_ms), ('step with new instances', mixed_ms),
                      ('  predicting the seeds', _milliseconds(predict)),
                      ('  drawing the new', _milliseconds(lambda: breed(parents, results, seed)))):
    print(f'{name:<28}{value:>9.0f} ms of processor time{100 * value / plain_ms:>7.1f}% of the plain step')


if __name__ == '__main__':
  app.run(main)
