r"""Accuracy and speed of files for devices: `python -m tests.benchmarks.devices`.

  python -m dhpe_tf.export --from_export=exported/dhpe_hand --export_dir=runs/devices --formats=saved_model,tflite,onnx
  python -m tests.benchmarks.devices --export=runs/devices --labels=photographs/labels.jsonl \
    --groups=exported/dhpe_hand/held_out_groups.txt --noflip --most=100 --landmark_full=hand_landmark_full.tflite

Hands are found by the shipped model, and each file answers the same crops without refinement; see `photographs` for
the figures. Times are of one crop and one thread, taken in turn; beside them stands the landmark network of MediaPipe,
a file of its package, which looks at a crop once, while the model looks at it and at its mirror image.
"""
import os
import time

import numpy as np
import tensorflow as tf
from absl import app, flags
from tqdm import tqdm

from tests.benchmarks import photographs

_EXPORT = flags.DEFINE_string('export', None, 'Export with files for devices.', required=True)
_LANDMARK_FULL = flags.DEFINE_string('landmark_full', None, "MediaPipe's landmark network, from its package.")
_CALLS = flags.DEFINE_integer('calls', 40, 'Calls of each, in turn.', lower_bound=1)
NAMES = ('2D, px of 256', 'Procrustes, mm')


def variants(folder: str) -> dict:
  """Functions from crops `[B, S, S, 3]` to outputs by name, each on one thread where that can be chosen."""
  from dhpe_tf.serving import devices, lite
  loaded = tf.saved_model.load(folder)
  found = {'SavedModel': lambda images: loaded.signatures['serving_default'](images=tf.constant(images))}
  for name in sorted(os.listdir(os.path.join(folder, 'assets.extra'))):
    if name.startswith(devices.NAME):
      with open(os.path.join(folder, 'assets.extra', name), 'rb') as file:
        content = file.read()
      found[name] = devices.onnx_session(content, 1) if name.endswith('.onnx') else lite.LiteNetwork(content, name)
  return found


def network(path: str):
  """A function that runs a file of TensorFlow Lite on one picture, by one thread."""
  interpreter = tf.lite.Interpreter(path, num_threads=1)
  interpreter.allocate_tensors()
  taken = interpreter.get_input_details()[0]['index']

  def run(images: np.ndarray) -> None:
    interpreter.set_tensor(taken, images)
    interpreter.invoke()
  return run


def times_ms(functions: dict, calls: int) -> dict[str, np.ndarray]:
  """Milliseconds of calls of each function, in turn, after one to warm up."""
  images = np.random.RandomState(0).uniform(size=[1, 224, 224, 3]).astype(np.float32)
  found = {name: [] for name in functions}
  for number in range(calls + 1):
    for name, function in functions.items():
      start = time.perf_counter()
      function(images)
      if number:
        found[name].append(1000 * (time.perf_counter() - start))
  return found


def accuracy(functions: dict) -> dict[str, list[dict]]:
  """The figures of each function for the photographs in which all find the hand."""
  from dhpe_tf.inference import predictor as predictors
  predictor = predictors.load(predictors.shipped_model())
  found = {name: [] for name in functions}
  folder = os.path.dirname(flags.FLAGS.labels)
  for label in tqdm(photographs.labelled(), unit=' photographs'):
    figures = {}
    for name, function in functions.items():
      def answer(inputs, function=function):
        answers = function(inputs['image'].numpy())
        return {key: tf.convert_to_tensor(value) for key, value in answers.items()}
      figures[name] = photographs.measure(predictor._replace(answer=answer, refined=None), folder, label, [0])
    if all(figures.values()):
      for name, (figure,) in figures.items():
        found[name].append(figure)
  return found


def main(argv: list[str]) -> None:
  """Prints two tables."""
  del argv
  from dhpe_tf.inference import predictor as predictors
  functions = variants(predictors.find_export(_EXPORT.value))
  print('| file | photographs | ' + ' | '.join(f'{name}: median | mean | 90%' for name in NAMES) + ' |')
  print('|' + ' --- |' * 8)
  for name, figures in accuracy(functions).items():
    numbers = []
    for measure in NAMES:
      values = np.array([figure[measure] for figure in figures])
      numbers += [f'{value:.2f}' for value in (np.median(values), values.mean(), np.percentile(values, 90))]
    print(f'| {name} | {len(figures)} | {" | ".join(numbers)} |')
  if _LANDMARK_FULL.value:
    functions = {'MediaPipe landmark_full, one look': network(_LANDMARK_FULL.value), **functions}
  times = times_ms(functions, _CALLS.value)
  print('\n| what, one crop | median, ms | fastest, ms | median ratio |\n| --- | --- | --- | --- |')
  first = next(iter(times.values()))
  for name, values in times.items():
    ratio = np.median(np.divide(values, first))
    print(f'| {name} | {np.median(values):.1f} | {np.min(values):.1f} | {ratio:.2f} |')


if __name__ == '__main__':
  app.run(main)
