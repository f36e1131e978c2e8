"""Times the making of records and the input pipeline: `python -m tests.benchmarks.data`.

data_tools/make_synthetic.py makes synthetic hands in its own process, writing included; two runs of different length
separate its start from its steady rate. The pipeline and a training step of gin/rendered.gin are timed on records
like those of the quickstart. Each rate by the clock is printed with the processor time of an image, which is the
steadier number on a busy machine; 2 cores give at most 2000 ms of it a second.
"""
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from absl import app, flags

_COUNT = flags.DEFINE_integer('count', 2000, 'Synthetic hands in the longer run.', lower_bound=65)
_BATCHES = flags.DEFINE_integer('batches', 40, 'Batches of pipeline and training that are timed.', lower_bound=1)
_APPEARANCE = flags.DEFINE_bool('appearance', True, 'Whether to time changes of colour against those of keras-cv.')

SYNTHETIC_TARGET, PIPELINE_TARGET = 100., 5.
_QUICKSTART_SIZE_PX = 160


def _timed(call: Callable[[], None]) -> tuple[float, float]:
  """Calls a function; returns its wall-clock seconds and the processor seconds of this process."""
  wall, processor = time.perf_counter(), time.process_time()
  call()
  return time.perf_counter() - wall, time.process_time() - processor


def _make(folder: str, count: int, size: int) -> tuple[float, float]:
  """Makes a record set in a subprocess; returns its wall-clock seconds and processor seconds."""
  before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
  subprocess.run([sys.executable, '-m', 'data_tools.make_synthetic', f'--output={folder}', f'--train={count}',
                  '--eval=0', f'--image_size={size}'], check=True, capture_output=True)
  after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - wall
  return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _print(what: str, rate: float, milliseconds: float, target: str = '') -> None:
  """Prints a row: name, images a second, milliseconds of processor time an image, target."""
  print(f'{what:<44}{rate:>10.0f}{milliseconds:>14.2f}   {target}', flush=True)


def print_synthesis(folder: str) -> None:
  """Prints the rates of make_synthetic at 224 x 224."""
  few = 64
  short, long = (_make(folder, count, 224) for count in (few, _COUNT.value))
  wall, processor = (after - before for before, after in zip(short, long))
  steady = (_COUNT.value - few) / wall
  _print('synthetic 224x224, written', steady, 1000 * processor / (_COUNT.value - few),
         f'target {SYNTHETIC_TARGET:.0f}')
  _print(f'  the whole run of {_COUNT.value}', _COUNT.value / long[0], 1000 * long[1] / _COUNT.value)
  print(f'  start: {short[0] - few / steady:.1f} s')


def print_pipeline(root: str) -> None:
  """Prints the rates of the quickstart's input pipeline and training on the records `root`, and their ratio."""
  from dhpe_tf import configuration
  from dhpe_tf.experiment import Experiment
  from dhpe_tf.training.settings import TrainSettings
  configuration.load(['rendered.gin'], [f'RECORDS = {root!r}'])
  experiment = Experiment()
  batches = iter(experiment.train_data(seed=0, epoch=0))
  batch = next(batches)
  images = _BATCHES.value * len(batch['id'])

  def read():
    for _ in range(_BATCHES.value):
      next(batches)
  for _ in range(8):  # fills the buffers and lets tf.data tune its threads
    next(batches)
  pipeline = _timed(read)
  model = experiment.build_method()
  model.compile(optimizer=TrainSettings().build_optimizer(1000))
  step = model.make_train_function()
  # Repeats one batch, so that the pipeline costs nothing here.
  repeated = iter([batch] * (_BATCHES.value + 3))
  for _ in range(3):
    step(repeated)
  training = _timed(lambda: [float(step(repeated)['loss']) for _ in range(_BATCHES.value)])
  for name, (wall, processor) in (('input pipeline of the quickstart', pipeline), ('its training', training)):
    _print(name, images / wall, 1000 * processor / images)
  print(f'  pipeline / training: {training[0] / pipeline[0]:.1f} by the clock, {training[1] / pipeline[1]:.1f} by '
        f'processor time   target {PIPELINE_TARGET:.0f}')


def print_appearance(size: int = 128, count: int = 512) -> None:
  """Prints the rates of our colour changes and of keras-cv's layers for the same changes.

  Args:
    size: side of the image, px.
    count: number of images.
  """
  import keras_cv
  import tensorflow as tf

  from dhpe_tf.data import augmentation
  image = tf.random.stateless_uniform([size, size, 3], [0, 1])
  layers = [keras_cv.layers.RandomColorJitter((0, 1), 0.2, 0.3, 0.4, 0.1), keras_cv.layers.RandomGaussianBlur(5, 0.5),
            keras_cv.layers.RandomCutout(0.3, 0.3)]

  def by_layers(number):
    changed = image + 0 * tf.cast(number, tf.float32)
    for layer in layers:
      changed = layer(changed, training=True)
    return changed
  for name, change in (('changes of colour', lambda i: augmentation.random_appearance(image, tf.stack([i, i]))),
                       ("keras-cv's layers for the same", by_layers)):
    batches = iter(tf.data.Dataset.range(count + 64).map(change, 2).batch(32))
    next(batches)
    wall, processor = _timed(lambda batches=batches: [next(batches) for _ in range(count // 32)])
    _print(f'{name}, {size}x{size}', count / wall, 1000 * processor / count)


def main(_):
  """Prints the rates of record making, pipeline, training and colour changes."""
  print(f'{"":<44}{"images / s":>10}{"processor ms":>14}')
  with tempfile.TemporaryDirectory() as folder:
    print_synthesis(os.path.join(folder, 'large'))
    small = os.path.join(folder, 'small')
    _make(small, 1024, _QUICKSTART_SIZE_PX)
    print_pipeline(small)
  if _APPEARANCE.value:
    print_appearance()


if __name__ == '__main__':
  app.run(main)
