"""Times predict beside MediaPipe: `python -m tests.benchmarks.photograph_speed --input=photographs`.

For each photograph both are called in turn: MediaPipe's whole way (palms, landmarks, hands in metres), and ours:
finding the hands, looking at each and its mirror image, and making its mesh, without refinement and with 20 steps.
Pictures are decoded before; drawing is timed apart. Beside the time on the clock stands that of all processors, which
other work on the machine changes less.
"""
import os
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from tests.benchmarks import peers

_INPUT = flags.DEFINE_string('input', None, 'Folder of photographs, each with a hand.', required=True)
_MODEL = flags.DEFINE_string('model', None, 'Another export than the shipped one.')
_LITE = flags.DEFINE_boolean('lite', True, 'As in predict.')
_MOST = flags.DEFINE_integer('most', 20, 'Largest number of photographs, taken evenly from the folder.')
_CALLS = flags.DEFINE_integer('calls', 3, 'Calls for each photograph, of which the fastest counts.')
_ENVIRONMENT = flags.DEFINE_string('environment', 'runs/mediapipe', 'Folder of the peer\'s virtual environment.')

PACKAGES = ['mediapipe==0.10.21']
REFINE_STEPS = 20
TARGETS = {'no refinement': 2., f'{REFINE_STEPS} steps': 3.}


def milliseconds(calls: int, function, *arguments) -> np.ndarray:
  """Of some calls the shortest time on the clock, and the shortest of all processors."""
  times = []
  for _ in range(calls):
    start_s, start_processor_s = time.perf_counter(), time.process_time()
    function(*arguments)
    times.append((1000 * (time.perf_counter() - start_s), 1000 * (time.process_time() - start_processor_s)))
  return np.min(times, axis=0)


def answer(predictor, picture: np.ndarray, steps: int) -> list:
  """All hands of a picture."""
  from dhpe_tf.inference.predictor import answer_with
  from dhpe_tf.tasks.hand import request as requests
  task = predictor.task
  hands = requests.find(picture, 'a photograph', task.hand_finder())
  request = requests.found(picture, 'a photograph', hands, upright=True)
  outputs = answer_with(predictor, task.inputs(request, predictor.input_specs), steps)
  return task.result(request, outputs, predictor.card)


def stages(predictor, picture: np.ndarray, calls: int) -> dict[str, np.ndarray]:
  """The times of the parts of an answer without refinement by `milliseconds`, and of networks by TensorFlow Lite."""
  from dhpe_tf.networks import landmark_net, palm_net
  from dhpe_tf.serving import lite
  from dhpe_tf.tasks.hand import request as requests
  task, hand_finder = predictor.task, predictor.task.hand_finder()
  image = tf.constant(picture)
  hands, _ = hand_finder.find(image)
  request = requests.found(picture, 'a photograph', hands, upright=True)
  inputs = task.inputs(request, predictor.input_specs)
  outputs = predictor.answer(inputs)
  parts = {'find the hands': (hand_finder.find, image),
           'inputs of the answer': (task.inputs, request, predictor.input_specs),
           'answer': (predictor.answer, inputs),
           'results in the picture': (task.result, request, outputs, predictor.card)}
  if isinstance(getattr(hand_finder, 'landmark_net', None), lite.LiteNetwork):
    crop, view = tf.zeros([1, landmark_net.SIZE_PX, landmark_net.SIZE_PX, 3]), palm_net.SIZE_PX
    parts.update({'palm network alone': (hand_finder.palm_net, tf.zeros([1, view, view, 3])),
                  'landmark network alone, one view': (hand_finder.landmark_net, crop)})
  return {name: milliseconds(calls, *part) for name, part in parts.items()}


def evenly(paths: list[str], most: int) -> list[str]:
  """At most so many of the paths, evenly from first to last: neighbours often show one session."""
  return [paths[number] for number in np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int))]


def with_hands(predictor, pictures: list[np.ndarray]) -> list[np.ndarray]:
  """The pictures in which a hand is found: the others cost both sides less. Says how many are left out."""
  hand_finder = predictor.task.hand_finder()
  kept = [picture for picture in pictures if len(hand_finder.find(tf.constant(picture))[0].presence)]
  print(f'{len(pictures) - len(kept)} of {len(pictures)} photographs are left out: no hand is found in them.')
  return kept


def main(argv: list[str]) -> None:
  """Prints the median over the photographs of the milliseconds, and of the ratios to MediaPipe's."""
  del argv
  from dhpe_tf.data import image_files
  from dhpe_tf.inference import files
  from dhpe_tf.inference import predictor as predictors
  from dhpe_tf.tasks.hand import prediction
  predictor = predictors.load(_MODEL.value or predictors.shipped_model(), lite=_LITE.value)
  paths = evenly(files.list_pictures(_INPUT.value), _MOST.value)
  pictures = [image_files.read_image(path) for path in paths]
  pictures = with_hands(predictor, pictures)
  for steps in (0, REFINE_STEPS):
    answer(predictor, pictures[0], steps)
  script = os.path.join(os.path.dirname(__file__), 'mediapipe_peer.py')
  peer = peers.Peer(peers.environment(_ENVIRONMENT.value, PACKAGES), script)
  rows, drawn = {'MediaPipe': [], 'no refinement': [], f'{REFINE_STEPS} steps': []}, []
  with tempfile.TemporaryDirectory() as folder:
    for picture in pictures:
      path = os.path.join(folder, 'picture.npz')
      np.savez(path, picture=picture)
      rows['MediaPipe'].append(np.min(peer.ask(file=path, calls=_CALLS.value), axis=0))
      rows['no refinement'].append(milliseconds(_CALLS.value, answer, predictor, picture, 0))
      rows[f'{REFINE_STEPS} steps'].append(milliseconds(_CALLS.value, answer, predictor, picture, REFINE_STEPS))
      hands = answer(predictor, picture, 0)
      drawn.append(milliseconds(_CALLS.value, prediction.draw, picture, hands))
  peer.close()
  print(f'{len(pictures)} photographs; TensorFlow {tf.__version__}, {os.cpu_count()} processors\n')
  print('| what | ms a photograph | ratio to MediaPipe | target | ms of processors | ratio |\n' + '| --- ' * 6 + '|')
  for name, times in rows.items():
    ratio = np.median(np.divide(times, rows['MediaPipe']), axis=0)
    clock_ms, processor_ms = np.median(times, axis=0)
    target = TARGETS.get(name, '')
    print(f'| {name} | {clock_ms:.0f} | {ratio[0]:.2f} | {target} | {processor_ms:.0f} | {ratio[1]:.2f} |')
  clock_ms, processor_ms = np.median(drawn, axis=0)
  print(f'| drawing | {clock_ms:.0f} | | | {processor_ms:.0f} | |')
  print('\n| part, for the first photograph | ms | ms of processors |\n| --- | --- | --- |')
  for name, (clock_ms, processor_ms) in stages(predictor, pictures[0], 5 * _CALLS.value).items():
    print(f'| {name} | {clock_ms:.1f} | {processor_ms:.1f} |')


if __name__ == '__main__':
  app.run(main)
