"""Times predict beside MediaPipe: `python -m tests.benchmarks.photograph_speed --input=photographs`.

For each photograph both are called in turn: MediaPipe's whole way (palms, landmarks, hands in metres), and ours:
finding the hands, then looking at each again, mirrored too, and making its mesh, without refinement and with 20 steps.
Pictures are decoded before; drawing is timed apart.
"""
import os
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from tests.benchmarks import peers

_INPUT = flags.DEFINE_string('input', None, 'Folder of photographs, each with a hand.', required=True)
_MODEL = flags.DEFINE_string('model', None, 'Another export than the shipped one.')
_MOST = flags.DEFINE_integer('most', 20, 'Largest number of photographs.')
_CALLS = flags.DEFINE_integer('calls', 3, 'Calls for each photograph, of which the fastest counts.')
_ENVIRONMENT = flags.DEFINE_string('environment', 'runs/mediapipe', 'Folder of the peer\'s virtual environment.')

PACKAGES = ['mediapipe==0.10.21']
REFINE_STEPS = 20
TARGETS = {'no refinement': 2., f'{REFINE_STEPS} steps': 3.}


def milliseconds(calls: int, function, *arguments) -> float:
  """The fastest of some calls."""
  times = []
  for _ in range(calls):
    start = time.perf_counter()
    function(*arguments)
    times.append(1000 * (time.perf_counter() - start))
  return min(times)


def answer(predictor, picture: np.ndarray, steps: int) -> list:
  """All hands of a picture."""
  from dhpe_tf.inference.predictor import answer_with
  from dhpe_tf.tasks.hand import request as requests
  task = predictor.task
  hands = requests.find(picture, 'a photograph', task.hand_finder())
  request = requests.found(picture, 'a photograph', hands, upright=True)
  outputs = answer_with(predictor, task.inputs(request, predictor.input_specs), steps)
  return task.result(request, outputs, predictor.card)


def main(argv: list[str]) -> None:
  """Prints the median over the photographs of the milliseconds, and of the ratios to MediaPipe's."""
  del argv
  from dhpe_tf.data import image_files
  from dhpe_tf.inference import files
  from dhpe_tf.inference import predictor as predictors
  from dhpe_tf.tasks.hand import prediction
  predictor = predictors.load(_MODEL.value or predictors.shipped_model())
  pictures = [image_files.read_image(path) for path in files.list_pictures(_INPUT.value)[:_MOST.value]]
  for steps in (0, REFINE_STEPS):
    answer(predictor, pictures[0], steps)
  script = os.path.join(os.path.dirname(__file__), 'mediapipe_peer.py')
  peer = peers.Peer(peers.environment(_ENVIRONMENT.value, PACKAGES), script)
  rows, drawn = {'MediaPipe': [], 'no refinement': [], f'{REFINE_STEPS} steps': []}, []
  with tempfile.TemporaryDirectory() as folder:
    for picture in pictures:
      path = os.path.join(folder, 'picture.npz')
      np.savez(path, picture=picture)
      rows['MediaPipe'].append(min(peer.ask(file=path, calls=_CALLS.value)))
      rows['no refinement'].append(milliseconds(_CALLS.value, answer, predictor, picture, 0))
      rows[f'{REFINE_STEPS} steps'].append(milliseconds(_CALLS.value, answer, predictor, picture, REFINE_STEPS))
      hands = answer(predictor, picture, 0)
      drawn.append(milliseconds(_CALLS.value, prediction.draw, picture, hands))
  peer.close()
  print(f'{len(pictures)} photographs; TensorFlow {tf.__version__}, {os.cpu_count()} processors\n')
  print('| what | ms a photograph | ratio to MediaPipe | target |\n| --- | --- | --- | --- |')
  for name, times in rows.items():
    ratio = statistics.median(time_ms / peer_ms for time_ms, peer_ms in zip(times, rows['MediaPipe']))
    print(f'| {name} | {statistics.median(times):.0f} | {ratio:.2f} | {TARGETS.get(name, "")} |')
  print(f'| drawing | {statistics.median(drawn):.0f} | | |')


if __name__ == '__main__':
  app.run(main)
